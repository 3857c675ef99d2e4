// Which kernels run, and why: the widest instruction set that this build has and this machine runs,
// with its dot product of bytes where that pays.
#include "backend/cpu/kernels.h"

#include <hwy/highway.h>
#include <array>
#include <string>

#include <warpmeans/error.h>

namespace warpmeans::cpu {
namespace {

struct Named {
  std::string_view name;
  std::string_view instructions;  // what for_kernel_name.h calls those of Highway's target
  std::int64_t target;
  bool in_bytes;
};

/// Where a screen in bytes costs less than one in float32. docs/cpu.md has the measurements that
/// these edges lie between.
struct ByteEdges {
  std::int64_t few;            // up to so many centroids float32 takes by a tile that is for few
  std::int64_t few_features;   // at least, beside those, where points stay as bytes
  std::int64_t features;       // at least, beside more
  std::int64_t many_features;  // so many are enough where points stay as bytes
  std::int64_t kept_work;      // else features times centroids, at least
  std::int64_t fresh_work;     // and where each pass makes bytes of them
};

#if HWY_ARCH_X86
constexpr std::array<Named, 7> kNamed{{{"amx", "avx512", HWY_AVX3, true},
                                       {"avx512vnni", "avx512", HWY_AVX3, true},
                                       {"avx512", "avx512", HWY_AVX3, false},
                                       {"avxvnni", "avx2", HWY_AVX2, true},
                                       {"avx2bytes", "avx2", HWY_AVX2, true},
                                       {"avx2", "avx2", HWY_AVX2, false},
                                       {"portable", "portable", HWY_STATIC_TARGET, false}}};
#elif HWY_ARCH_ARM
constexpr std::array<Named, 2> kNamed{
    {{"neondot", "neon", HWY_STATIC_TARGET, true}, {"neon", "neon", HWY_STATIC_TARGET, false}}};
#else
constexpr std::array<Named, 1> kNamed{{{"portable", "portable", HWY_STATIC_TARGET, false}}};
#endif

bool runs(std::int64_t target) {
  // Asked once: the answer takes the processor microseconds inside a virtual machine.
  static const std::int64_t supported = hwy::SupportedTargets();
  return (target & HWY_TARGETS) != 0 && (target == HWY_STATIC_TARGET || (target & supported) != 0);
}

using Tables = std::array<Kernels, kNamed.size()>;

/// Tables of what cannot run have no functions.
Tables make_tables() {
  Tables tables{};
  for (std::size_t i = 0; i < kNamed.size(); ++i) {
    const Named& named = kNamed[i];
    tables[i].name = named.name;
    if (!runs(named.target)) continue;
    if (named.in_bytes) {
      fill_avx512_byte_kernel(named.name, tables[i]);
      fill_avx2_byte_kernel(named.name, tables[i]);
      fill_neon_byte_kernel(named.name, tables[i]);
      if (!tables[i].bytes.tile) continue;
    }
    fill_assign_kernels(named.instructions, tables[i]);
    fill_bounded_kernels(named.instructions, tables[i]);
    fill_row_kernels(named.instructions, tables[i]);
    fill_centroid_kernels(named.instructions, tables[i]);
    fill_seed_kernels(named.instructions, tables[i]);
  }
  return tables;
}

ByteEdges edges_of(std::string_view name) {
  if (name == "amx") return {16, 192, 96, 128, 4096, 20480};
  if (name == "avx512vnni") return {16, 192, 1, 128, 4096, 20480};
  if (name == "avxvnni") return {8, 192, 1, 128, 4096, 12288};
  if (name == "avx2bytes") return {8, 384, 24, 256, 4096, 40960};
  return {4, 192, 1, 128, 4096, 20480};  // neondot: not measured
}

bool bytes_pay(std::string_view name, const Workload& w) {
  const ByteEdges edges = edges_of(name);
  // Beside few centroids, what takes time is reading the points where no cache holds them, and
  // bytes are shorter.
  constexpr std::int64_t kMostCached = 1 << 23;
  if (w.k <= edges.few) {
    return w.keep_bytes && w.d >= edges.few_features && w.n * w.d > kMostCached;
  }
  if (w.d < edges.features) return false;
  if (!w.keep_bytes) return w.d * w.k >= edges.fresh_work;
  return w.d >= edges.many_features || w.d * w.k >= edges.kept_work;
}

}  // namespace

const Kernels& find_kernels(std::string_view name, const Workload& workload) {
  static const Tables tables = make_tables();
  std::string known;
  for (std::size_t i = 0; i < kNamed.size(); ++i) {
    const bool usable = tables[i].assign != nullptr;
    const bool pays = !kNamed[i].in_bytes || bytes_pay(kNamed[i].name, workload);
    if (usable && (name.empty() ? pays : name == kNamed[i].name)) return tables[i];
    if (name == kNamed[i].name) {
      throw Error(ErrorCode::unsupported,
                  "execution.kernel: this machine or build does not run \"" + std::string(name) +
                      "\" instructions");
    }
    known += (known.empty() ? "\"" : ", \"") + std::string(kNamed[i].name) + "\"";
  }
  throw Error(ErrorCode::unsupported, "execution.kernel: \"" + std::string(name) +
                                          "\" is not a kernel of this build, which has " + known);
}

}  // namespace warpmeans::cpu
