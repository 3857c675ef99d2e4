// Calls N_AVX3::fill(table) and so on by the kernel's name. A macro, since Highway's per-target
// namespaces have names only for the preprocessor.
#pragma once

#include <hwy/highway.h>

#if HWY_TARGETS & HWY_AVX3
#define WARPMEANS_IF_AVX512(call) call
#else
#define WARPMEANS_IF_AVX512(call)
#endif
#if HWY_TARGETS & HWY_AVX2
#define WARPMEANS_IF_AVX2(call) call
#else
#define WARPMEANS_IF_AVX2(call)
#endif

#define WARPMEANS_FOR_KERNEL_NAME(name, function, ...)                               \
  do {                                                                               \
    WARPMEANS_IF_AVX512(if (name == "avx512") return N_AVX3::function(__VA_ARGS__);) \
    WARPMEANS_IF_AVX2(if (name == "avx2") return N_AVX2::function(__VA_ARGS__);)     \
    HWY_STATIC_DISPATCH(function)(__VA_ARGS__);                                      \
  } while (false)
