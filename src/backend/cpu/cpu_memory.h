// What a fit takes in memory on the CPU beside its points, known before it starts: docs/limits.md.
#pragma once

#include "backend/cpu/kernels.h"
#include "plan.h"

namespace warpmeans::cpu {

/// Fills in the plan what memory decides: chunk_rows, items_in_parallel where there may be a
/// choice, what seeding may keep, workspace_bytes. Throws Error(out_of_memory) with the bytes
/// needed and given where the limit cannot be kept.
void plan_memory(Plan& plan, const Kernels& kernels, const Execution& execution);

}  // namespace warpmeans::cpu
