// Warpgroup matrix multiply (wgmma) for sm_90a: D += A x B over k = 16 of 16-bit values, float32
// sums.
//
// The 64 x 128 accumulator is spread over the four warps: warp w has rows 16 w .. 16 w + 15; of
// them lane l has rows l / 4 and l / 4 + 8, columns 8 j + 2 (l % 4) and the next, as acc[4 j + {0,
// 1}] and acc[4 j + {2, 3}].
#pragma once

#include <cstdint>

namespace warpmeans::cuda {

/// Makes this thread's register writes visible to the wgmmas that follow.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most kPending committed groups are in flight.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
/// Keeps the compiler from moving uses of an accumulator over what is in flight on it.
__device__ __forceinline__ void pin(float (&acc)[64]) {
#pragma unroll
  for (int i = 0; i < 64; ++i) asm volatile("" : "+f"(acc[i])::"memory");
}

/// Shared-memory matrix descriptors: the low word holds address / 16, so a step of 16 bytes adds 1.
/// Swizzled: rows of 128 bytes under the 128-byte swizzle, eight rows (1024 bytes) a group.
__device__ __forceinline__ std::uint32_t swizzled_low(std::uint32_t address) {
  return ((address & 0x3FFFF) >> 4) | (1u << 16);
}
__device__ __forceinline__ std::uint64_t swizzled_descriptor(std::uint32_t low) {
  std::uint64_t descriptor;
  asm("mov.b64 %0, {%1, %2};" : "=l"(descriptor) : "r"(low), "r"(0x40000040u));
  return descriptor;
}
/// Plain: 8 x 8 core matrices, 128 bytes apart along k and 256 along the rows.
__device__ __forceinline__ std::uint64_t plain_descriptor(std::uint32_t address) {
  const std::uint32_t low = ((address & 0x3FFFF) >> 4) | ((128u >> 4) << 16);
  std::uint64_t descriptor;
  asm("mov.b64 %0, {%1, %2};" : "=l"(descriptor) : "r"(low), "r"(256u >> 4));
  return descriptor;
}

// The 64 accumulators of a thread as operands of one asm statement.
#define WM_ACC8(i)                                                                      \
  "+f"(acc[i]), "+f"(acc[i + 1]), "+f"(acc[i + 2]), "+f"(acc[i + 3]), "+f"(acc[i + 4]), \
      "+f"(acc[i + 5]), "+f"(acc[i + 6]), "+f"(acc[i + 7])
#define WM_ACC64                                                                           \
  WM_ACC8(0), WM_ACC8(8), WM_ACC8(16), WM_ACC8(24), WM_ACC8(32), WM_ACC8(40), WM_ACC8(48), \
      WM_ACC8(56)
#define WM_ACC64_NAMES                                                               \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "          \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "

/// acc = (accumulate ? acc : 0) + A x B: A (64 x 16) from registers, B (128 x 16) from shared
/// memory.
template <bool kBf16>
__device__ __forceinline__ void wgmma_m64n128(float (&acc)[64], const std::uint32_t (&a)[4],
                                              std::uint64_t b, int accumulate) {
#define WM_WGMMA_RS(type)                                                             \
  asm volatile(                                                                       \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"                                    \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " " WM_ACC64_NAMES \
      "{%64, %65, %66, %67}, %68, p, 1, 1, 0;\n}\n"                                   \
      : WM_ACC64                                                                      \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate))
  if constexpr (kBf16) {
    WM_WGMMA_RS("bf16");
  } else {
    WM_WGMMA_RS("f16");
  }
#undef WM_WGMMA_RS
}

/// The same with A (64 x 16) from shared memory.
template <bool kBf16>
__device__ __forceinline__ void wgmma_m64n128(float (&acc)[64], std::uint64_t a, std::uint64_t b,
                                              int accumulate) {
#define WM_WGMMA_SS(type)                                                             \
  asm volatile(                                                                       \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"                                    \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " " WM_ACC64_NAMES \
      "%64, %65, p, 1, 1, 0, 0;\n}\n"                                                 \
      : WM_ACC64                                                                      \
      : "l"(a), "l"(b), "r"(accumulate))
  if constexpr (kBf16) {
    WM_WGMMA_SS("bf16");
  } else {
    WM_WGMMA_SS("f16");
  }
#undef WM_WGMMA_SS
}
#undef WM_ACC64_NAMES
#undef WM_ACC64
#undef WM_ACC8

}  // namespace warpmeans::cuda
