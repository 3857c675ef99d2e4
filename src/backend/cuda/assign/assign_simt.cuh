// assign in float64 on the ordinary units: the contract's labels for every dtype and metric. It is
// the GPU's own oracle, and what exact precision runs until certified screening comes.
//
// A block takes 64 points and walks over tiles of 64 centroids; both lie in shared memory as
// float64, a few features at a time. A thread has 4 x 4 scores in registers. Squared differences,
// not dot products: what is near zero stays exact.
#pragma once

#include "backend/cuda/assign/assign.h"
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/element.cuh"

namespace warpmeans::cuda {

namespace simt {

constexpr int kThreads = 256;
constexpr int kTile = 64;

struct Candidate {
  double score = __builtin_huge_val();
  int column = 0x7FFFFFFF;
  __device__ __forceinline__ bool better_than(const Candidate& other) const {
    return score < other.score || (score == other.score && column < other.column);
  }
};

/// An epilogue sees what the nearest so far is compared with, before it gives way.
struct LabelsOnly {
  static constexpr bool kScores = false;
  struct Outputs {
    explicit Outputs(const ScoreOutputs&) {}
  };
  __device__ __forceinline__ void see(const Candidate&, const Candidate&) {}
  __device__ __forceinline__ void see_lane(int) {}
};

/// Keeps the least score of all other centroids than the nearest.
struct LabelsAndScores {
  static constexpr bool kScores = true;
  struct Outputs {
    double *scores, *second_scores;
    explicit Outputs(const ScoreOutputs& to)
        : scores(static_cast<double*>(to.scores)),
          second_scores(static_cast<double*>(to.second_scores)) {}
  };
  double second = __builtin_huge_val();

  __device__ __forceinline__ void see(const Candidate& best, const Candidate& other) {
    second = fmin(second, fmax(best.score, other.score));
  }
  /// What another lane has kept, of other centroids.
  __device__ __forceinline__ void see_lane(int apart) {
    second = fmin(second, __shfl_xor_sync(~0u, second, apart));
  }
};

/// What was compared, as a score: without the points' scale, and of |x - c|^2 half without |x|^2.
template <bool kEuclidean>
__device__ __forceinline__ double as_score(double compared, double sq_norm, const FitState& s) {
  if constexpr (kEuclidean) return 0.5 * (compared - sq_norm) / (s.scale * s.scale);
  return compared / (s.metric == Metric::cosine ? s.scale : s.scale * s.scale);
}

}  // namespace simt

template <class T, class C, bool kEuclidean, int kFeatures, class Epilogue>
__global__ void __launch_bounds__(simt::kThreads)
    assign_simt_kernel(const FitState s, int blocks, bool final_pass,
                       const typename Epilogue::Outputs outputs) {
  using namespace simt;
  constexpr int kPitch = kTile + 2;  // for transposing stores to spread over the banks
  __shared__ double points[kFeatures][kPitch], centroids[kFeatures][kPitch];
  const int b = blockIdx.x / blocks;
  if (!is_active(s.items[b], final_pass)) return;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x % blocks) * kTile;
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const C* all_centroids =
      static_cast<const C*>(s.centroids) + static_cast<std::int64_t>(b) * s.k * s.d;
  // Rows 4 y + r; columns 2 x, 2 x + 1, 32 + 2 x, 33 + 2 x: 16-byte loads without bank conflicts.
  Candidate best[4];
  Epilogue epilogue[4];
  double sq_norms[4] = {};
  for (int tile = 0; tile < s.k; tile += kTile) {
    double score[4][4] = {};
    for (int base = 0; base < s.d; base += kFeatures) {
      __syncthreads();
      for (int e = threadIdx.x; e < kTile * kFeatures; e += kThreads) {
        const int r = e / kFeatures, f = e % kFeatures;
        const bool feature = base + f < s.d;
        double point = 0, centroid = 0;
        if (feature && first + r < s.n) {
          point =
              to_double(row_of<T>(s.points, s.batch_stride, s.row_stride, b, first + r)[base + f]);
        }
        if (feature && tile + r < s.k) {
          centroid = static_cast<double>(
              all_centroids[static_cast<std::int64_t>(tile + r) * s.d + base + f]);
        }
        if constexpr (sizeof(T) == 8) {
          point *= s.scale;
          centroid *= s.scale;
        }
        points[f][r] = point;
        centroids[f][r] = centroid;
      }
      __syncthreads();
      if constexpr (Epilogue::kScores && kEuclidean) {
        for (int f = 0; tile == 0 && f < kFeatures; ++f) {
#pragma unroll
          for (int r = 0; r < 4; ++r) {
            const double value = points[f][4 * y + r];
            sq_norms[r] = fma(value, value, sq_norms[r]);
          }
        }
      }
#pragma unroll
      for (int f = 0; f < kFeatures; ++f) {
        double p[4], c[4];
#pragma unroll
        for (int q = 0; q < 4; ++q) {
          p[q] = points[f][4 * y + q];
          c[q] = centroids[f][(q / 2) * 32 + 2 * x + q % 2];
        }
#pragma unroll
        for (int r = 0; r < 4; ++r) {
#pragma unroll
          for (int q = 0; q < 4; ++q) {
            if constexpr (kEuclidean) {
              const double apart = p[r] - c[q];
              score[r][q] = fma(apart, apart, score[r][q]);
            } else {
              score[r][q] = fma(p[r], -c[q], score[r][q]);
            }
          }
        }
      }
    }
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const int column = tile + (q / 2) * 32 + 2 * x + q % 2;
      if (column >= s.k) break;
      const double factor =
          s.metric == Metric::cosine ? s.inv_norms[static_cast<std::int64_t>(b) * s.k + column] : 1;
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const Candidate candidate{kEuclidean ? score[r][q] : score[r][q] * factor, column};
        epilogue[r].see(best[r], candidate);
        if (candidate.better_than(best[r])) best[r] = candidate;
      }
    }
  }
  int changed = 0;
#pragma unroll
  for (int r = 0; r < 4; ++r) {
#pragma unroll
    for (int apart = 8; apart > 0; apart >>= 1) {
      const Candidate other{__shfl_xor_sync(~0u, best[r].score, apart),
                            __shfl_xor_sync(~0u, best[r].column, apart)};
      epilogue[r].see_lane(apart);
      epilogue[r].see(best[r], other);
      if (other.better_than(best[r])) best[r] = other;
    }
    const std::int64_t row = first + 4 * y + r;
    if (x == r && row < s.n) {
      const std::int64_t i = static_cast<std::int64_t>(b) * s.n + row;
      // Scores that are all NaN or Inf have no best column; such points are refused elsewhere.
      const int label = best[r].column < s.k ? best[r].column : 0, before = s.labels[i];
      s.previous[i] = before;
      s.labels[i] = label;
      changed += before != label;
      if constexpr (Epilogue::kScores) {
        if (outputs.scores) {
          outputs.scores[i] = as_score<kEuclidean>(best[r].score, sq_norms[r], s);
        }
        if (outputs.second_scores) {
          outputs.second_scores[i] = as_score<kEuclidean>(epilogue[r].second, sq_norms[r], s);
        }
      }
    }
  }
  changed = __reduce_add_sync(~0u, changed);
  if ((threadIdx.x & 31) == 0 && changed) atomicAdd(&s.items[b].changed, changed);
}

template <bool kScores>
void launch_assign_simt_as(const FitState& s, const ScoreOutputs& scores, bool final_pass,
                           cudaStream_t stream) {
  using Epilogue = std::conditional_t<kScores, simt::LabelsAndScores, simt::LabelsOnly>;
  const typename Epilogue::Outputs outputs(scores);
  const int blocks = (s.n + simt::kTile - 1) / simt::kTile;
  const auto grid = static_cast<unsigned>(static_cast<std::int64_t>(blocks) * s.batch);
  const auto launch = [&]<class T, bool kEuclidean, int kFeatures>() {
    using C = std::conditional_t<sizeof(T) == 8, double, float>;
    assign_simt_kernel<T, C, kEuclidean, kFeatures, Epilogue>
        <<<grid, simt::kThreads, 0, stream>>>(s, blocks, final_pass, outputs);
  };
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    const bool euclidean = s.metric == Metric::euclidean;
    // Where scores are wanted one instance serves few features too: it is rare, and half the code.
    if constexpr (!kScores) {
      if (s.d <= 4) {
        return euclidean ? launch.template operator()<T, true, 4>()
                         : launch.template operator()<T, false, 4>();
      }
    }
    euclidean ? launch.template operator()<T, true, 16>()
              : launch.template operator()<T, false, 16>();
  });
  check(cudaGetLastError(), "assign_simt");
}

}  // namespace warpmeans::cuda
