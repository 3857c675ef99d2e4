// The formats of nearest-neighbour benchmarks. They have no magic number: their names say what they
// are.
//
// .fvecs, .bvecs, .ivecs (http://corpus-texmex.irisa.fr): rows, each an int32 d and then d
// elements. .fbin, .u8bin, .i8bin (https://big-ann-benchmarks.com): n and d as uint32, then n x d
// elements.
#pragma once

#include <memory>

#include "io/array.h"
#include "io/mapped_file.h"

namespace warpmeans::io {

/// float32, uint8 or int32 for .fvecs, .bvecs or .ivecs. Reads the d of every row: all must be
/// equal. Throws Error (invalid_data) naming the file, as all of these do.
Array open_vecs(std::shared_ptr<const MappedFile> file, ElementType type);

/// float32, uint8 or int8 for .fbin, .u8bin or .i8bin.
Array open_bin(std::shared_ptr<const MappedFile> file, ElementType type);

}  // namespace warpmeans::io
