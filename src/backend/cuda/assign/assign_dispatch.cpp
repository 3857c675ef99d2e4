// Which assign kernel runs, and why.
#include <string>

#include <warpmeans/error.h>

#include "backend/cuda/assign/assign.h"
#include "backend/cuda/fused/fused_fit.h"

namespace warpmeans::cuda {
namespace {

/// Why this kernel cannot serve the problem here; empty if it can.
std::string obstacle(AssignKernel kernel, const Problem& problem, const DeviceSpec& device) {
  const bool native = problem.precision == Precision::native;
  const std::string capability = "this device has compute capability " +
                                 std::to_string(device.major) + "." + std::to_string(device.minor);
  switch (kernel) {
    case AssignKernel::simt:
      return native ? "it computes in float64, which is precision \"exact\"" : "";
    case AssignKernel::sm80:
      if (!native) return "it computes in 16 bits, which is precision \"native\"";
      return device.major < 8 ? "it needs compute capability 8.0; " + capability : "";
    case AssignKernel::sm90:
      if (!native) return "it computes in 16 bits, which is precision \"native\"";
      if (device.major != 9) return "it needs compute capability 9.0; " + capability;
      if (problem.n_features > kSm90MostFeatures) {
        return "it takes at most " + std::to_string(kSm90MostFeatures) + " features, not " +
               std::to_string(problem.n_features);
      }
      return problem.row_alignment < 16 ? "its copies need rows that start at multiples of 16 bytes"
                                        : "";
  }
  return "there is no such kernel";
}

}  // namespace

std::string_view name_of(AssignKernel kernel) {
  return kernel == AssignKernel::sm90 ? "sm90" : kernel == AssignKernel::sm80 ? "sm80" : "simt";
}

AssignKernel choose_assign(const Problem& problem, const DeviceSpec& device,
                           std::string_view forced) {
  const bool half = problem.dtype == DType::float16 || problem.dtype == DType::bfloat16;
  if (problem.precision == Precision::native && !half) {
    throw Error(ErrorCode::unsupported,
                "precision \"native\" is for float16 and bfloat16 points, not " +
                    std::string(warpmeans::name_of(problem.dtype)) + "; use \"exact\"");
  }
  if (problem.precision == Precision::tf32) {
    throw Error(ErrorCode::unsupported, "precision \"tf32\" is not in this version; use \"exact\"");
  }
  std::string why_not;
  for (const AssignKernel kernel : {AssignKernel::sm90, AssignKernel::sm80, AssignKernel::simt}) {
    if (!forced.empty() && forced != name_of(kernel)) continue;
    why_not = obstacle(kernel, problem, device);
    if (why_not.empty()) return kernel;
  }
  if (forced.empty()) {
    throw Error(ErrorCode::unsupported, "no CUDA kernel serves this problem: " + why_not);
  }
  throw Error(ErrorCode::unsupported,
              "execution.kernel \"" + std::string(forced) + "\": " +
                  (why_not.empty() ? "there is no such CUDA kernel; there are sm90, sm80 and simt, "
                                     "and fused for whole fits"
                                   : why_not));
}

/// Of an item and an iteration: beyond that a block of threads takes longer than the launches it
/// saves, and the device is full with the kernels that share an item out.
constexpr std::int64_t kMostFusedProducts = 1 << 17;

bool fits_at_once(const Problem& problem, const DeviceSpec& device, std::string_view forced) {
  if (!forced.empty() && forced != "fused") return false;
  const std::string why_not = fused_obstacle(problem, device);
  if (forced.empty()) {
    // Native labels are to be those of predict, which has the matrix units' sums.
    return problem.precision == Precision::exact && why_not.empty() &&
           problem.n_samples * problem.n_clusters * problem.n_features <= kMostFusedProducts;
  }
  if (why_not.empty()) return true;
  throw Error(ErrorCode::unsupported, "execution.kernel \"fused\": " + why_not);
}

void launch_assign(AssignKernel kernel, const FitState& state, const DeviceSpec& device,
                   bool final_pass, cudaStream_t stream, const ScoreOutputs& scores) {
  switch (kernel) {
    case AssignKernel::sm90:
      return launch_assign_sm90(state, device, scores, final_pass, stream);
    case AssignKernel::sm80:
      return launch_assign_sm80(state, device, scores, final_pass, stream);
    case AssignKernel::simt:
      return launch_assign_simt(state, scores, final_pass, stream);
  }
}

}  // namespace warpmeans::cuda
