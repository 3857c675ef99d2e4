// Which kernels run, and why: the widest instruction set that this build has and this machine runs.
#include "backend/cpu/kernels.h"

#include <hwy/highway.h>
#include <array>
#include <string>

#include <warpmeans/error.h>

namespace warpmeans::cpu {
namespace {

#if HWY_ARCH_X86
constexpr std::array<std::pair<std::string_view, std::int64_t>, 3> kNamed{
    {{"avx512", HWY_AVX3}, {"avx2", HWY_AVX2}, {"portable", HWY_STATIC_TARGET}}};
#elif HWY_ARCH_ARM
constexpr std::array<std::pair<std::string_view, std::int64_t>, 1> kNamed{
    {{"neon", HWY_STATIC_TARGET}}};
#else
constexpr std::array<std::pair<std::string_view, std::int64_t>, 1> kNamed{
    {{"portable", HWY_STATIC_TARGET}}};
#endif

bool is_usable(std::int64_t target) {
  // Asked once: the answer takes the processor microseconds inside a virtual machine.
  static const std::int64_t supported = hwy::SupportedTargets();
  return (target & HWY_TARGETS) != 0 && (target == HWY_STATIC_TARGET || (target & supported) != 0);
}

std::array<Kernels, kNamed.size()> make_tables() {
  std::array<Kernels, kNamed.size()> tables;
  for (std::size_t i = 0; i < kNamed.size(); ++i) {
    tables[i].name = kNamed[i].first;
    if (!is_usable(kNamed[i].second)) continue;
    fill_assign_kernels(kNamed[i].first, tables[i]);
    fill_row_kernels(kNamed[i].first, tables[i]);
    fill_seed_kernels(kNamed[i].first, tables[i]);
  }
  return tables;
}

}  // namespace

const Kernels& find_kernels(std::string_view name) {
  static const auto tables = make_tables();
  std::string known;
  for (std::size_t i = 0; i < kNamed.size(); ++i) {
    const bool usable = is_usable(kNamed[i].second);
    if (usable && (name.empty() || name == kNamed[i].first)) return tables[i];
    if (name == kNamed[i].first) {
      throw Error(ErrorCode::unsupported,
                  "execution.kernel: this machine or build does not run \"" + std::string(name) +
                      "\" instructions");
    }
    known += (known.empty() ? "\"" : ", \"") + std::string(kNamed[i].first) + "\"";
  }
  throw Error(ErrorCode::unsupported, "execution.kernel: \"" + std::string(name) +
                                          "\" is not a kernel of this build, which has " + known);
}

}  // namespace warpmeans::cpu
