// What a call was given to work on, and how its rows are gone through.
#pragma once

#include <memory>

#include <warpmeans/point_source.h>

#include "stream/chunk_source.h"

namespace warpmeans {

/// Points in memory, or behind a source: then the view has their shape, and data only if they lie
/// in memory.
struct PointInput {
  MatrixView view;
  PointSource* source = nullptr;

  PointInput(const MatrixView& points) : view(points) {}
  PointInput(PointSource& points);
  /// The rows of some batch items, in chunks of the plan.
  std::unique_ptr<ChunkSource> open(Items items, const Plan& plan) const;
};

}  // namespace warpmeans
