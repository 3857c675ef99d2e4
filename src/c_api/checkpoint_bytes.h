// A checkpoint as bytes, for programs that keep them where they like.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <warpmeans/kmeans.h>

namespace warpmeans::c_api {

/// In the machine's byte order, with a checksum at the end.
std::vector<std::byte> bytes_of(const Checkpoint& checkpoint);
/// Throws Error (invalid_data), `who` first, unless they are what bytes_of made, whole. Whether it
/// fits a fit is for that to say.
Checkpoint checkpoint_of(const void* data, std::int64_t bytes, const char* who);

}  // namespace warpmeans::c_api
