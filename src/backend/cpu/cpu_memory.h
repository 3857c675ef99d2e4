// What a fit takes in memory on the CPU beside its points, known before it starts: docs/limits.md.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels.h"
#include "plan.h"

namespace warpmeans::cpu {

/// The program, stacks, what the allocator holds back, and all that does not grow with the data.
inline constexpr std::int64_t kFixedBytes = std::int64_t{16} << 20;

/// Fills in the plan what memory decides: chunk_rows, items_in_parallel where there may be a
/// choice, what seeding may keep, workspace_bytes. Throws Error(out_of_memory) with the bytes
/// needed and given where the limit cannot be kept.
void plan_memory(Plan& plan, const Kernels& kernels, const Execution& execution);

}  // namespace warpmeans::cpu
