#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fma_peak.cpp"
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace warpmeans::benchmarks::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Chains enough to cover latency x ports, few enough for the registers: two stay for the operands.
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
constexpr int kChains = 12;
#else
constexpr int kChains = 16;
#endif

/// Runs `rounds` FMAs in each chain; returns the floating-point operations done. The sum goes to
/// `sink`, so that none of it can be left out.
HWY_NOINLINE double run_chains(std::int64_t rounds, float* sink) {
  const hn::CappedTag<float, 16> d;
  using V = hn::Vec<decltype(d)>;
  const V half = hn::Set(d, 0.5f);
  const V one = hn::Set(d, 1.0f);
  V chains[kChains];
  for (int c = 0; c < kChains; ++c) chains[c] = hn::Set(d, static_cast<float>(c));
  for (std::int64_t r = 0; r < rounds; ++r) {
    for (int c = 0; c < kChains; ++c) chains[c] = hn::MulAdd(chains[c], half, one);
  }
  V sum = hn::Zero(d);
  for (int c = 0; c < kChains; ++c) sum = hn::Add(sum, chains[c]);
  *sink = hn::GetLane(sum);
  return 2.0 * kChains * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace warpmeans::benchmarks::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <chrono>
#include <latch>
#include <thread>
#include <vector>

#include "fma_peak.h"

namespace warpmeans::benchmarks {
namespace {

HWY_EXPORT(run_chains);
HWY_EXPORT(target_name);

using Clock = std::chrono::steady_clock;

constexpr int kMeasurements = 4;
constexpr double kSeconds = 0.05;
constexpr std::int64_t kRounds = 20000;

double measure(int threads) {
  std::vector<double> rates(static_cast<std::size_t>(threads));
  std::latch start(threads);
  std::vector<std::jthread> workers;
  for (double& rate : rates) {
    workers.emplace_back([&rate, &start] {
      float sink = 0;
      HWY_DYNAMIC_DISPATCH(run_chains)(kRounds, &sink);  // wakes the wide units
      start.arrive_and_wait();
      const auto begin = Clock::now();
      double flops = 0, seconds = 0;
      while (seconds < kSeconds) {
        flops += HWY_DYNAMIC_DISPATCH(run_chains)(kRounds, &sink);
        seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      }
      volatile float kept = sink;
      static_cast<void>(kept);
      rate = flops / seconds;
    });
  }
  workers.clear();  // joins
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum * 1e-9;
}

}  // namespace

double fma_peak_gflops(int threads) {
  double best = 0;
  for (int i = 0; i < kMeasurements; ++i) best = std::max(best, measure(std::max(threads, 1)));
  return best;
}

const char* fma_peak_target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

}  // namespace warpmeans::benchmarks
#endif  // HWY_ONCE
