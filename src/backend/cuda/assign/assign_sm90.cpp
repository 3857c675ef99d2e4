// The parts of assign_sm90's host side that are compiled once.
#include <cuda.h>
#include <cudaTypedefs.h>

#include <string>

#include <warpmeans/error.h>

#include "backend/cuda/assign/assign.h"
#include "backend/cuda/device/check.h"

namespace warpmeans::cuda {

template <bool kBf16, bool kScores>
void launch_assign_sm90_as(const FitState&, const DeviceSpec&, const ScoreOutputs&, bool final_pass,
                           cudaStream_t);

/// By the runtime, so that the library needs no driver to be linked with, or to load.
PFN_cuTensorMapEncodeTiled_v12000 tensor_map_encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result{};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                         cudaEnableDefault, &result),
        "cudaGetDriverEntryPointByVersion");
  if (result != cudaDriverEntryPointSuccess) {
    throw Error(ErrorCode::unsupported, "cuda: the driver has no cuTensorMapEncodeTiled");
  }
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
}

CUtensorMap tensor_map(bool bf16, const void* data, std::int64_t features, std::int64_t rows,
                       std::int64_t items, std::int64_t row_stride, std::int64_t item_stride) {
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = tensor_map_encoder();
  CUtensorMap map;
  const auto unsigned_of = [](std::int64_t v) { return static_cast<cuuint64_t>(v); };
  const cuuint64_t extents[] = {unsigned_of(features), unsigned_of(rows), unsigned_of(items)};
  // A single item's stride is never used, but must be a legal one.
  if (items == 1) item_stride = 8;
  const cuuint64_t strides[] = {unsigned_of(row_stride * 2), unsigned_of(item_stride * 2)};
  const cuuint32_t box[] = {64, 128, 1}, steps[] = {1, 1, 1};
  const CUresult result =
      encode(&map, bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 3,
             const_cast<void*>(data), extents, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(ErrorCode::unsupported,
                "cuda: no tensor map for " + std::to_string(items) + " x " + std::to_string(rows) +
                    " x " + std::to_string(features) + " values " + std::to_string(row_stride) +
                    " and " + std::to_string(item_stride) + " apart (error " +
                    std::to_string(static_cast<int>(result)) + ")");
  }
  return map;
}

void launch_assign_sm90(const FitState& s, const DeviceSpec& device, const ScoreOutputs& scores,
                        bool final_pass, cudaStream_t stream) {
  const auto launch = [&]<bool kBf16>() {
    if (scores.wanted()) {
      launch_assign_sm90_as<kBf16, true>(s, device, scores, final_pass, stream);
    } else {
      launch_assign_sm90_as<kBf16, false>(s, device, scores, final_pass, stream);
    }
  };
  if (s.dtype == DType::bfloat16) {
    launch.template operator()<true>();
  } else {
    launch.template operator()<false>();
  }
}

}  // namespace warpmeans::cuda
