#include "stream/point_input.h"

namespace warpmeans {

PointInput::PointInput(PointSource& points) : view(points.view()), source(&points) {
  if (view.data) return;
  view = MatrixView::dense(nullptr, points.dtype(), points.rows(), points.cols());
}

std::unique_ptr<ChunkSource> PointInput::open(Items items, const Plan& plan) const {
  if (source && !view.data) return std::make_unique<ReadSource>(*source, plan.chunk_rows);
  return std::make_unique<MemorySource>(view.items(items.first, items.count), plan.chunk_rows,
                                        source);
}

}  // namespace warpmeans
