// The kernels of the CPU backend: written once with Google Highway, compiled per instruction set,
// chosen once per run. They take raw pointers in one struct and know nothing of fits.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <warpmeans/types.h>

#include "core/seed_draws.h"

namespace warpmeans::cpu {

/// Arrays of d features that kernels read by whole vectors are padded to a multiple of this.
inline constexpr std::int64_t kFeaturePad = 16;
/// Sums in float64 that are not integers run over blocks of this many rows, at fixed places.
inline constexpr std::int64_t kSumBlock = 1024;

/// Points packed one a lane come in tiles; memory for them is of a multiple of this many.
inline constexpr std::int64_t kTileRows = 64;

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

/// Rows that a task of the screen in bytes should start at a multiple of: whole tiles of 14, of 32.
inline constexpr std::int64_t kByteBlockPoints = 224;
/// Rows of a tile of bytes, at most.
inline constexpr std::int64_t kMostByteTile = 32;
/// Bytes between rows of ByteRows. Not a multiple of a page's quarter: rows of a tile would share
/// lines of the cache.
inline std::int64_t byte_stride(std::int64_t d) {
  const std::int64_t bytes = round_up(d, kFeaturePad);
  return bytes % 1024 == 0 ? bytes + 64 : bytes;
}

/// size_of() where it is asked for once a row.
inline std::int64_t element_bytes(DType dtype) {
  if (dtype == DType::float32) return 4;
  if (dtype == DType::float64) return 8;
  return dtype == DType::float16 || dtype == DType::bfloat16 ? 2 : 1;
}

/// Rows as the caller gave them, and the map to what the screen sees:
/// y' = (x / length - mean) * scale, with scale a power of two.
struct Rows {
  const void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t stride = 0;  // elements
  std::int64_t d = 0;
  const double* mean = nullptr;     // (d, padded)
  const float* mean32 = nullptr;    // the same values; exact unless wide
  const double* lengths = nullptr;  // (rows) |x| of the cosine metric; null otherwise
  double scale = 1;
  bool wide = false;  // subtract in float64: float64 points, unit rows, extremes

  /// What makes row i a unit row; a zero row stays zero.
  double unit_factor(std::int64_t i) const {
    return !lengths ? 1.0 : lengths[i] > 0 ? 1.0 / lengths[i] : 0.0;
  }
  const void* row(std::int64_t i) const {
    return static_cast<const char*>(data) + i * stride * element_bytes(dtype);
  }
};

/// Centroids as the screen sees them. All in units of `scale`; see docs/cpu.md for the bound.
/// lower bound of a score: h_lo[j] - radius_i * norm[j] - x'.c'  (radius_i = alpha * |x'_i|)
/// upper bound: lower + 2 * (eps[j] + radius_i * norm[j])
struct Panels {
  std::int64_t k = 0, d = 0;
  std::int64_t width = 0;  // centroids of a panel: two vectors
  float alpha = 0;
  const float* packed = nullptr;  // (k_padded / width, d, width)
  const float* rows = nullptr;    // (k, d_padded), for one centroid at a time
  const float* h_lo = nullptr;    // (k_padded), +inf where j can never win
  const float* norm = nullptr;    // (k_padded)
  const float* eps = nullptr;     // (k_padded)
};

/// Points as signed bytes: y'_i = scale[i] * data[i] + offset + what is left over, whose length is
/// at most residual[i]. In units of Rows::scale, which is PointRange::norm_scale.
struct ByteRows {
  std::int8_t* data = nullptr;  // (rows, stride), what is beyond d is zero
  std::int64_t stride = 0;
  float* scale = nullptr;
  float* residual = nullptr;
  std::int32_t* start = nullptr;  // -ByteKernel::zero times the sum of the row's bytes

  /// The bytes themselves as rows without gaps.
  Rows rows() const {
    Rows rows;
    rows.data = data;
    rows.dtype = DType::int8;
    rows.stride = rows.d = stride;
    return rows;
  }
};

/// An order of the centroids; nulls: that of their ids.
struct SlotOrder {
  const std::int32_t* id_of = nullptr;    // (k) by slots
  const std::int32_t* slot_of = nullptr;  // (k) by ids
};

/// The centroids of Panels as bytes, maybe in another order; see docs/cpu.md for the bound.
/// lower bound of a score: h_lo[j] - reach_i * norm[j] - length_i * residual[j]
///                         - scale_i * scale[j] * (x.c)
/// upper bound: lower + 2 * (eps[j] + reach_i * norm[j] + length_i * residual[j])
struct BytePanels {
  std::int64_t k = 0;
  std::int64_t words = 0;                // bytes of a row, by fours
  std::int64_t width = 0;                // centroids of a panel: that of Panels
  const std::uint8_t* packed = nullptr;  // (k_padded / width, words, width, 4): zero + the byte
  const std::uint8_t* rows = nullptr;    // (k, round_up(d, kFeaturePad)) for one at a time
  SlotOrder order;
  const float* h_lo = nullptr;      // (k_padded), +inf where j can never win
  const float* eps = nullptr;       // (k_padded)
  const float* scale = nullptr;     // (k_padded)
  const float* norm = nullptr;      // (k_padded) at least |scale * bytes|
  const float* residual = nullptr;  // (k_padded) at least |c' - scale * bytes|
  float ratio = 1;                  // unit of the points' norms to that of the panels
  float offset_norm = 0;            // |offset| of the points, in units of their norms
};

/// Rows of a tile on their way through a panel. Arrays are readable to a multiple of 16 rows.
struct ByteTileRows {
  const std::int8_t* data;
  std::int64_t stride;
  const std::int32_t* start;
  const float *scale, *reach, *length, *threshold;
  const std::int32_t* own;  // a centroid that is not reported; -1: none
  bool all = false;         // write `lower` of all rows
};

/// An instruction set's dot products of bytes.
struct ByteKernel {
  std::int64_t points = 0;  // rows of a tile
  // Centroids' bytes are within [-largest, largest], and stored with `zero` added.
  std::int32_t zero = 0, largest = 127;
  /// Lower bounds of a tile's scores with a panel, against the rows' thresholds. Returns a bit for
  /// each row that has bounds below it beside that of `known`, and writes those rows of `lower`
  /// (points, width), or all, and, for all rows, the bit of own in `known`.
  std::uint32_t (*tile)(const BytePanels&, std::int64_t panel, const ByteTileRows&, float* lower,
                        std::uint32_t* known) = nullptr;
  /// The sum of the products of n bytes.
  std::int32_t (*dot)(const std::uint8_t* centroid, const std::int8_t* point,
                      std::int64_t n) = nullptr;
  int speed = 1;  // times as fast as float32's tile, roughly
};

/// Where pack_bytes writes: the arrays of BytePanels.
struct PackBytesArgs {
  const BytePanels* panels = nullptr;    // words, width, order, ratio and offset_norm are set
  std::int32_t zero = 0, largest = 127;  // those of ByteKernel
  const double* offset = nullptr;        // (d) of the points, or null for zeros
  double unit_error = 0;                 // of the centroids' coordinates, in units of the panels
  std::uint8_t* rows = nullptr;          // (width, round_up(d, kFeaturePad)) those of this panel
  std::uint8_t* packed = nullptr;
  float *h_lo = nullptr, *eps = nullptr, *scale = nullptr, *norm = nullptr, *residual = nullptr;
};

/// The centroids themselves, for the float64 evaluation.
struct ExactCentroids {
  const void* data = nullptr;  // (k, d) dense
  DType dtype = DType::float32;
  Metric metric = Metric::euclidean;
  std::int64_t k = 0, d = 0;
  const double* inv_norm = nullptr;  // (k) of the cosine metric
  double scale = 1;  // of coordinates, before they are squared: 1 unless float64 would overflow
};

struct LabelChange {
  std::int64_t row;
  std::int32_t from, to;  // from is -1 for a first label
};

struct AssignArgs {
  Rows rows;                     // row 0 is the first row of the chunk
  const float* norms = nullptr;  // (rows) upper bounds of |x'|; not finite: evaluate exactly
  const Panels* panels = nullptr;
  const ExactCentroids* exact = nullptr;
  std::int32_t* labels = nullptr;               // (rows) in and out; -1: none yet
  std::vector<LabelChange>* changes = nullptr;  // appended to, unless null
  std::int64_t doubtful = 0;                    // rows, counted up
  std::int64_t exact_scores = 0;                // counted up
  double seconds_exact = 0;                     // counted up
  char* scratch = nullptr;                      // assign_scratch_bytes, 64-byte aligned
  // Where rows, once packed, stay for the next iteration: (rows up to a multiple of kTileRows, d)
  // floats, 64-byte aligned, or null.
  float* tiles = nullptr;
  bool tiles_packed = false;
  // Of the screen in bytes: null where float32 screens.
  const ByteKernel* byte_kernel = nullptr;
  const BytePanels* byte_panels = nullptr;
  // Where rows stay for the next iteration, the data of the first bytes_kept only; or null.
  ByteRows bytes;
  std::int64_t bytes_kept = 0;
  bool bytes_ready = false;
  Rows byte_source;                      // rows, in units of the norms
  const std::uint8_t* wanted = nullptr;  // (rows) which of them assign; null: all
  // What the bytes leave to float32, counted up: rows that are read, centroids that those are
  // compared with, and rows that have too many of them.
  std::int64_t rows_left = 0, scores_left = 0, rows_overflowed = 0;
};

/// Lower bounds of a point are padded to a multiple of this.
inline constexpr std::int64_t kBoundsPad = 8;
/// Groups of centroids, at most.
inline constexpr std::int64_t kMostGroups = 256;
/// Parts of a unit that an upper bound is kept in, and one that says nothing.
inline constexpr std::int32_t kUpperParts = 256;
inline constexpr std::int32_t kUpperUnknown = 1 << 29;

/// Bounds carried from one iteration to the next; PointBounds has their units and their rules. The
/// centroids of `panels`, or of assign.byte_panels where bytes screen, are in another order than
/// their ids: `slots`, groups of near ones together. `panels` are packed a vector of them at a
/// time; its `rows` stay in the order of the ids.
struct BoundedAssignArgs {
  AssignArgs assign;
  Panels panels;
  const std::int32_t* id_of = nullptr;    // (slots) centroid
  const std::int32_t* slot_of = nullptr;  // (k)
  std::int64_t groups = 0, group_width = 0;
  std::int64_t stride = 0;         // from one point's lower bounds to the next's
  std::uint16_t* lower = nullptr;  // (rows, stride), of the first row that the call is for
  std::int32_t* upper = nullptr;   // (rows) as well
  const std::uint16_t* group_drift_floor = nullptr;  // (stride)
  const std::uint16_t* group_drift_ceil = nullptr;   // (stride)
  const std::int32_t* own_drift_floor = nullptr;     // (k)
  const std::int32_t* own_drift_ceil = nullptr;      // (k)
  float units = 1;            // of `lower`, in one of the screen's; a power of two
  bool fresh = false;         // no bounds yet: every group is evaluated
  bool by_bytes = false;      // groups are evaluated in bytes; else in float32
  std::int64_t opened = 0;    // rows that were read, counted up
  std::int64_t pairs = 0;     // of a row and a group that were evaluated, counted up
  std::int64_t screened = 0;  // scores, counted up
};

struct PrepareArgs {
  Rows rows;
  double* min = nullptr;  // (d) running; null where the metric makes them needless
  double* max = nullptr;
  double* sq_norms = nullptr;  // (count) |y'|^2, written
  char* scratch = nullptr;     // 2 * round_up(d, kFeaturePad) doubles
};

/// Which integer units a value is counted in.
struct SumUnits {
  const double* unit = nullptr;  // (d, padded) powers of two per feature
  int limbs = 1;
  double limb_unit = 1;  // second limb: 2^-bits of the first
};

struct AccumulateArgs {
  Rows rows;  // of the chunk
  const double* weights = nullptr;
  SumUnits units;
  const std::int64_t* entries = nullptr;  // row * 2 + (1 where it is taken away)
  std::int64_t count = 0;
  std::int64_t* sums = nullptr;  // (limbs, d_padded) added to
};

/// A cluster's integer sums, and what they are in.
struct CentroidSums {
  const std::int64_t* sums = nullptr;  // (limbs, d_padded)
  double weight = 0;                   // of the cluster
  std::int64_t d = 0;
  const double* worth = nullptr;   // (d, padded) of a unit: powers of two
  const double* centre = nullptr;  // (d, padded) what the sums are about
  int limbs = 1;
  double limb_unit = 1;
};

/// What a float64 sum loses, relative to the size of its terms.
inline constexpr double kInertiaError = 0x1p-46;

/// What a cluster adds to the inertia, and the size of the terms of that.
struct InertiaPart {
  double total = 0, size = 0;
};

/// Trials of a k-means++ step, at most; 2 + ln k stays below it for any k that fits memory.
inline constexpr std::int64_t kMostTrials = kMostSeedTrials;
/// A sketch is a point's coordinates along this many axes and the length of what is left.
inline constexpr std::int64_t kSketchAxes = 7;
inline constexpr std::int64_t kSketchSize = kSketchAxes + 1;

/// A row and a trial that may be nearer to it than its seed.
struct SeedPair {
  std::int32_t row, trial;
};

struct SeedFilterArgs {
  const double* sq_distance = nullptr;    // (count) to the nearest seed
  const std::int32_t* nearest = nullptr;  // (count) that seed; -1: none yet
  const float* norms = nullptr;           // (count) upper bounds of |y'|
  const float* gaps = nullptr;            // (seeds, kMostTrials); see Seeding::measure_gaps
  const float* sketches = nullptr;        // (count, kSketchSize), or null
  const float* trial_sketches = nullptr;  // (kSketchSize, kMostTrials)
  float largest_trial_norm = 0;
  std::int64_t count = 0;
  std::int64_t trials = 0;
};

/// Rows this short are screened whole, by tiles of points; see seed_screen.
inline constexpr std::int64_t kMostSeedTileFeatures = 64;

/// A row and a trial of a k-means++ step are no nearer than the row and its seed, D apart, where
/// x.t <= |x|^2 / 2 - D^2 / 2 + half_squares[t] - slopes[t] * |x| in float32; see docs/cpu.md.
struct SeedScreenArgs {
  Rows rows;                              // row 0 is the first of a block
  const double* sq_distance = nullptr;    // (count) to the nearest seed
  const std::int32_t* nearest = nullptr;  // (count) that seed; -1: none yet
  const float* norms = nullptr;           // (count) upper bounds of |y'|
  std::int64_t count = 0;
  const float* trials = nullptr;  // (n_trials, round_up(d, kFeaturePad)) as the screen sees them
  const float* half_squares = nullptr;  // (n_trials) NaN: float32 cannot square this trial
  const float* slopes = nullptr;        // (n_trials)
  std::int64_t n_trials = 0;
  // Where rows, once packed, stay for the next step: (rows up to a multiple of kTileRows, d)
  // floats, 64-byte aligned, or null.
  float* tiles = nullptr;
  bool tiles_packed = false;
};

struct Kernels {
  std::string_view name;
  std::int64_t panel_width;  // centroids
  /// Rows that an assign task should start at a multiple of.
  std::int64_t (*block_points)(std::int64_t d, std::int64_t k);
  /// Whether assign takes AssignArgs::tiles.
  bool (*keeps_tiles)(std::int64_t d, std::int64_t k);

  /// Labels of rows [first, first + count) of the chunk.
  void (*assign)(AssignArgs&, std::int64_t first, std::int64_t count);
  std::int64_t (*assign_scratch_bytes)(std::int64_t d, std::int64_t k);
  /// The same labels, from what carried bounds leave to be evaluated.
  void (*assign_bounded)(BoundedAssignArgs&, std::int64_t first, std::int64_t count);
  std::int64_t (*bounded_scratch_bytes)(std::int64_t d, std::int64_t k, std::int64_t groups);
  /// Packs centroids [first, first + count) of `rows` into panels (count padded with zeros).
  void (*pack_panel)(const float* rows, std::int64_t d, std::int64_t first, std::int64_t count,
                     float* panel);

  /// Dot products of bytes, or nothing where float32 screens.
  ByteKernel bytes;
  std::int64_t (*byte_scratch_bytes)(std::int64_t d);  // beyond assign_scratch_bytes
  /// Packs `count` centroids of Panels, those of the panel from slot `first` on, as bytes.
  void (*pack_bytes)(const Panels&, const PackBytesArgs&, std::int64_t first, std::int64_t count);

  /// Extremes, |y'|^2; returns false where a value is NaN or Inf.
  bool (*prepare)(const PrepareArgs&, std::int64_t first, std::int64_t count);
  /// y' of one row as float32 (d, padded with zeros).
  void (*screen_row)(const Rows&, std::int64_t row, float* out);
  /// Float64 scores of one row with centroids ids[0..n) (ids null: 0..n), in units of
  /// exact.scale^2.
  void (*exact_scores)(const Rows&, std::int64_t row, const ExactCentroids&,
                       const std::int32_t* ids, std::int64_t n, double* out);
  void (*accumulate)(const AccumulateArgs&);
  /// centre + sum / weight * worth, of one limb, into out (d, padded).
  void (*mean_of_sums)(const CentroidSums&, double* out);
  /// Rounds values (d, padded) into a centroid (d); returns its squared shift.
  double (*round_centroid)(const double* values, std::int64_t d, DType, void* centroid);
  /// Beyond the scatter about the centre; without the constant of the cosine. `factor`: what makes
  /// the centroid a unit row, or 1.
  InertiaPart (*inertia_part)(const CentroidSums&, DType, const void* centroid, Metric,
                              double factor);
  /// |y|^2 of y = (c_j * factor - centre) * scale, with centre (d, padded); the largest |y_f|, and
  /// y as float32 (d, padded with zeros), where they are asked for.
  double (*centre_centroid)(const ExactCentroids&, std::int64_t j, double factor,
                            const double* centre, double scale, double* largest, float* out);
  /// The pairs of a block whose trial may be nearer than the seed, by rows; returns how many. One
  /// more than there are is written to.
  std::int64_t (*seed_filter)(const SeedFilterArgs&, SeedPair* pairs);
  /// The pairs of a block of rows with at most kMostSeedTileFeatures whose trial may be nearer than
  /// the seed; those of a trial by rows. Returns how many.
  std::int64_t (*seed_screen)(const SeedScreenArgs&, SeedPair* pairs);
  /// dots[q] = x'_row . trial of pairs[q], q in [0, n); rows of pairs before `known` are asked for.
  void (*seed_dots)(const Rows&, const float* trials, std::int64_t trial_stride,
                    const SeedPair* pairs, std::int64_t n, std::int64_t known, float* dots);
  /// Coordinates of y' along kSketchAxes orthonormal axes (axes, d) and the length of the rest.
  void (*sketch_row)(const Rows&, std::int64_t row, const double* axes, float* out);
  /// out[q] = |y_row - y_trial|^2 of pairs[q], in float64 and units of scale^2.
  void (*sq_distances)(const Rows&, const Rows& trials, const SeedPair* pairs, std::int64_t n,
                       double* out);
  /// x.y of the float32 screen rows.
  float (*dot)(const float* a, const float* b, std::int64_t d);
};

/// What the choice of kernels depends on.
struct Workload {
  std::int64_t n = 0, d = 0, k = 0;
  bool keep_bytes = false;  // do points that are screened in bytes stay as such between passes?
};

/// "" is the best that this machine runs for the workload. Throws Error(unsupported) for what it
/// cannot.
const Kernels& find_kernels(std::string_view name, const Workload& workload);

// A part of the table per translation unit; find_kernels joins them.
void fill_assign_kernels(std::string_view name, Kernels& table);
void fill_bounded_kernels(std::string_view name, Kernels& table);
void fill_row_kernels(std::string_view name, Kernels& table);
void fill_centroid_kernels(std::string_view name, Kernels& table);
void fill_seed_kernels(std::string_view name, Kernels& table);
// They leave table.bytes empty where it is another's name, or this build or machine lacks it.
void fill_avx512_byte_kernel(std::string_view name, Kernels& table);
void fill_avx2_byte_kernel(std::string_view name, Kernels& table);
void fill_neon_byte_kernel(std::string_view name, Kernels& table);

}  // namespace warpmeans::cpu
