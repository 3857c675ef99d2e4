// Asynchronous copies, matrix loads and the warp-wide matrix multiply of sm_80, one instruction
// each. All later architectures have them too.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace warpmeans::cuda {

__device__ __forceinline__ std::uint32_t shared_offset(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Starts a copy of `bytes` (0..16) to 16 bytes of shared memory; the rest becomes zero. Both
/// addresses are multiples of 16; with 0 bytes `from` is not read and may be anything.
__device__ __forceinline__ void copy_async(std::uint32_t to, const void* from,
                                           std::uint32_t bytes) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(bytes)
               : "memory");
}
/// This thread's copies since the last commit become a group, which may be empty.
__device__ __forceinline__ void copy_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most kPending of this thread's groups are in flight.
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

__device__ __forceinline__ void store_shared(std::uint32_t to, std::uint16_t value) {
  asm volatile("st.shared.u16 [%0], %1;" ::"r"(to), "h"(value) : "memory");
}
__device__ __forceinline__ float2 load_shared_float2(std::uint32_t from) {
  float2 v;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(from) : "memory");
  return v;
}
/// Four 8 x 8 matrices of 16-bit values: lane l gives the address of row l % 8 of matrix l / 8, and
/// r[i] receives columns 2 (l % 4) and the next of row l / 4 of matrix i.
__device__ __forceinline__ void load_matrices_sm80(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/// d = A x B + c over 16 x 8 x 16 of 16-bit values, float32 sums. Lane l holds, with g = l / 4 and
/// t = 2 (l % 4):
///   d, c: (row g, columns t, t + 1), (row g + 8, the same)
///   a:    (row g, k = t, t + 1), (row g + 8, the same), (row g, k + 8), (row g + 8, k + 8)
///   b0:   (k = t, t + 1, column g);  b1: k + 8
template <bool kBf16>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4],
                                             std::uint32_t b0, std::uint32_t b1,
                                             const float (&c)[4]) {
#define WM_MMA(type)                                                                        \
  asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                                \
      ".f32 {%0, %1, %2, %3}, "                                                             \
      "{%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"                                   \
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])                                      \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), \
        "f"(c[2]), "f"(c[3]))
  if constexpr (kBf16) {
    WM_MMA("bf16");
  } else {
    WM_MMA("f16");
  }
#undef WM_MMA
}

/// d += A x B over 16 x 8 x 32 signed bytes, exactly. Lane l holds, with g = l / 4 and t = l % 4:
///   d: as above
///   a: (row g, k = 4 t to 4 t + 3), (row g + 8, the same), (row g, k + 16), (row g + 8, k + 16)
///   b0: (k = 4 t to 4 t + 3, column g);  b1: k + 16
__device__ __forceinline__ void mma_m16n8k32(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                             std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace warpmeans::cuda
