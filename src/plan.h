// Problem + execution -> Plan. Pure and printable: what runs, with which tiles, in how much memory.
#pragma once

#include <cstdint>
#include <string>

#include <warpmeans/execution.h>
#include <warpmeans/types.h>

#include "convergence.h"

namespace warpmeans {

struct Problem {
  std::int64_t batch = 1;
  std::int64_t n_samples = 0;
  std::int64_t n_features = 0;
  std::int64_t n_clusters = 0;
  DType dtype = DType::float32;
  Metric metric = Metric::euclidean;
  EmptyClusters empty_clusters = EmptyClusters::relocate;
  bool weighted = false;
  Precision precision = Precision::exact;
  StopRule stop_rule;
  Device points_device;             // where the points are
  std::int64_t row_alignment = 16;  // bytes, a power of two to 16, that every row starts at

  DType centroid_dtype() const { return dtype == DType::float64 ? DType::float64 : DType::float32; }
};

/// The integer sums are the same on every backend, and so is what they are made of. Bits of a
/// value: n of them must not overflow 63 bits, and 50 is what rounding by 1.5 x 2^52 takes.
int sum_value_bits(const Problem& problem);
/// 64-bit words of a sum: float64, weights and unit rows need two.
int sum_limbs(const Problem& problem);

struct Plan {
  Problem problem;
  std::string kernel;              // "cpu/avx512", "cuda/sm90", ...
  int threads = 1;                 // of the whole call
  bool items_in_parallel = false;  // a thread per batch item, or all threads on one item
  std::int64_t chunk_rows = 0;     // rows of a chunk; n_samples when resident
  int value_bits = 0;              // of a value in the integer sums
  int limbs = 1;                   // 64-bit words of a sum
  std::int64_t workspace_bytes = 0;
};

/// "float32 (60000, 784) k=1000 euclidean: cpu/avx512, 2 threads, ..." in one line.
std::string to_string(const Plan& plan);

}  // namespace warpmeans
