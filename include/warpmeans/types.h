// The vocabulary of options and results. Values only: no CUDA, no Python, no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <warpmeans/export.h>

namespace warpmeans {

/// Element type of points. Centroids are float32, or float64 where the points are float64.
enum class DType : std::uint8_t { float32, float64, float16, bfloat16, uint8, int8 };

enum class Metric : std::uint8_t {
  euclidean,      ///< squared Euclidean distance; centroids are means
  cosine,         ///< 1 - cosine; spherical k-means: centroids are renormalised means of unit rows
  inner_product,  ///< negative inner product; centroids are means
};

enum class Init : std::uint8_t {
  kmeans_plusplus,  ///< greedy k-means++ with 2 + floor(ln k) trials (Arthur & Vassilvitskii 2007)
  kmeans_parallel,  ///< k-means|| (Bahmani et al. 2012), for large k
  random,           ///< k rows drawn without replacement
  given,            ///< KMeansOptions::init_centroids
};

enum class EmptyClusters : std::uint8_t {
  relocate,  ///< to the points farthest from their centroids (docs/contract.md has the rule)
  keep,      ///< the old centroid stays
  error,     ///< Error with ErrorCode::empty_cluster
};

enum class Precision : std::uint8_t {
  exact,   ///< every label is the float64 argmin
  native,  ///< one pass in the input's 16-bit type (CUDA only)
  tf32,    ///< one TF32 pass (CUDA only)
};

enum class DeviceKind : std::uint8_t { automatic, cpu, cuda };

struct Device {
  DeviceKind kind = DeviceKind::automatic;
  int index = 0;
};

WM_EXPORT std::size_t size_of(DType dtype);
WM_EXPORT std::string_view name_of(DType dtype);
WM_EXPORT std::string_view name_of(Metric metric);
WM_EXPORT std::string_view name_of(Init init);
WM_EXPORT std::string_view name_of(EmptyClusters policy);
WM_EXPORT std::string_view name_of(Precision precision);

}  // namespace warpmeans
