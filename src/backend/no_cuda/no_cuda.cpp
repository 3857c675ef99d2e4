// Linked where the CUDA backend is not built.
#include <warpmeans/cuda.h>

#include "backend.h"

namespace warpmeans {
namespace {

[[noreturn]] void refuse() {
  throw Error(
      ErrorCode::unsupported,
      "execution.device: cuda was asked for, but this library is built without CUDA; use cpu");
}

}  // namespace

const Backend& cuda_backend() { refuse(); }

namespace cuda {

int device_count() noexcept { return 0; }
std::size_t workspace_bytes(const MatrixView&, const KMeansOptions&) { refuse(); }
void fit_async(const MatrixView&, const KMeansOptions&, const FitOutputs&, void*, std::size_t,
               void*, std::string_view) {
  refuse();
}
void assign_async(const MatrixView&, const MatrixView&, const KMeansOptions&, const AssignOutputs&,
                  void*, std::size_t, void*, std::string_view) {
  refuse();
}
void sort_by_label_async(const std::int32_t*, std::int64_t, std::int64_t, std::int64_t,
                         std::int32_t*, void*, std::size_t&, void*) {
  refuse();
}
void update_async(const MatrixView&, const std::int32_t*, const KMeansOptions&, void*,
                  std::int64_t*, void*, std::size_t, void*) {
  refuse();
}

}  // namespace cuda
}  // namespace warpmeans
