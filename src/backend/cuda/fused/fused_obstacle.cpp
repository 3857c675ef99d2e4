#include "backend/cuda/fused/fused_fit.h"
#include "backend/cuda/fused/fused_layout.h"

namespace warpmeans::cuda {
namespace {

constexpr std::int64_t kMostPoints = 4096;
/// Shared memory that the kernel declares beside what its layout says.
constexpr std::int64_t kOwnBytes = 12 * 1024;

}  // namespace

std::string fused_obstacle(const Problem& p, const DeviceSpec& device) {
  if (p.dtype == DType::float64 || p.dtype == DType::uint8 || p.dtype == DType::int8) {
    return "it takes float32, float16 and bfloat16, not " + std::string(name_of(p.dtype));
  }
  if (p.metric == Metric::cosine) return "it knows euclidean and inner_product, not cosine";
  if (p.n_samples > kMostPoints) {
    return "it takes at most " + std::to_string(kMostPoints) + " points, not " +
           std::to_string(p.n_samples);
  }
  const auto most = static_cast<std::int64_t>(device.shared_per_block) - kOwnBytes;
  // First by what is surely there, so that nothing overflows.
  const std::int64_t values = p.n_samples + p.n_features + p.n_clusters;
  const std::int64_t bytes = values > most ? values
                                           : fused_layout(p.n_samples, p.n_features, p.n_clusters,
                                                          sum_limbs(p), size_of(p.dtype))
                                                 .bytes;
  if (bytes > most) {
    return "an item takes " + std::to_string(bytes) + " bytes of shared memory, and a block has " +
           std::to_string(most);
  }
  return "";
}

}  // namespace warpmeans::cuda
