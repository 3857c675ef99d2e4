// Checkpoints as .safetensors files: `centroids`, `best_centroids`, `history` and `items`, with
// what the fit is as metadata strings. docs/formats.md has the layout.
#pragma once

#include <string>

#include <warpmeans/kmeans.h>

#include "io/atomic_file.h"

namespace warpmeans::io {

void write_checkpoint(AtomicFile& file, const Checkpoint& checkpoint);

/// Throws Error (invalid_data) naming the file. Whether it fits a fit is for that to say.
Checkpoint read_checkpoint(const std::string& path);

}  // namespace warpmeans::io
