// The rounds of k-means|| on one item of a run, for the host: each step waits for what it brings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/engine.h"
#include "backend/cuda/memory.h"
#include "plan.h"

namespace warpmeans::cuda {

class CudaSeeding {
 public:
  /// Borrows the run's engine; `weights` of the item in host memory, or null.
  CudaSeeding(const Plan& plan, const Engine& engine, std::int64_t item, const double* weights);

  /// The rows where the running mass passes fractions of the whole.
  std::vector<std::int64_t> draw(std::span<const double> u) const;
  void accept_seeds(std::span<const std::int64_t> rows);
  std::vector<std::int64_t> sample_rows(double factor, std::uint64_t seed,
                                        std::uint32_t round) const;
  std::vector<double> seed_weights() const;
  std::vector<std::byte> gather(std::span<const std::int64_t> rows) const;
  double whole_mass() const;

 private:
  const Plan& plan_;
  const Engine& engine_;
  FitState item_;  // the run's state as a batch of one
  const double* weights_;
  std::int32_t n_seeds_ = 0;
};

}  // namespace warpmeans::cuda
