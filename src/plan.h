// Problem + execution -> Plan. Pure and printable: what runs, with which tiles, in how much memory.
#pragma once

#include <cstdint>
#include <string>

#include <warpmeans/execution.h>
#include <warpmeans/types.h>

#include "convergence.h"

namespace warpmeans {

/// Where the points are while a fit runs.
enum class Residence : std::uint8_t {
  memory,  ///< the caller's memory
  map,     ///< a memory map, whose pages come and go
  read,    ///< behind PointSource::read
};

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
  Init init = Init::kmeans_plusplus;  // that the run may be asked for; the others take less memory
  Residence residence = Residence::memory;
  std::int64_t result_bytes = 0;    // that the call takes itself: results, weights as float64
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
  std::string kernel;               // "cpu/avx512", "cuda/sm90", ...
  bool kernel_is_forced = false;    // by the caller: in every pass
  int threads = 1;                  // of the whole call
  bool items_in_parallel = false;   // a thread per batch item, or all threads on one item
  std::int64_t chunk_rows = 0;      // rows of a chunk; n_samples where there is but one
  int value_bits = 0;               // of a value in the integer sums
  int limbs = 1;                    // 64-bit words of a sum
  bool keep_bounds = false;         // may bounds be carried between iterations?
  bool keep_byte_scales = false;    // are scales of points that are screened in bytes kept,
  std::int64_t byte_rows_kept = 0;  // and the bytes of the first so many?
  bool seed_sketch = false;         // may k-means++ keep a sketch of the points?
  std::int64_t seed_gains = 0;      // what it may remember of a step's trials; beyond, another pass
  std::int64_t workspace_bytes = 0;  // on a CPU of the whole call, results included
};

/// "float32 (60000, 784) k=1000 euclidean: cpu/avx512, 2 threads, ..." in one line.
std::string to_string(const Plan& plan);

}  // namespace warpmeans
