// docs/cpu.md derives the bound that this assembles.
#include "backend/cpu/byte_screen.h"

#include <algorithm>
#include <cmath>

#include "backend/cpu/outward.h"

namespace warpmeans::cpu {
namespace {

/// Whether the points' own bytes are what the screen reads.
bool are_bytes(const Problem& p) {
  return (p.dtype == DType::uint8 || p.dtype == DType::int8) && p.metric != Metric::cosine;
}

}  // namespace

std::int64_t ByteScreen::scales_of_row(const Kernels& kernels, const Problem& p) {
  constexpr std::int64_t kScales = 12;  // scale, residual and sum
  return used(kernels, p) && p.stop_rule.max_iter >= 2 ? kScales : 0;
}

std::int64_t ByteScreen::bytes_of_row(const Kernels& kernels, const Problem& p) {
  return scales_of_row(kernels, p) > 0 ? byte_stride(p.n_features) : 0;
}

std::int64_t ByteScreen::workspace_bytes(const Kernels& kernels, const Problem& p,
                                         std::int64_t workers) {
  if (!used(kernels, p)) return 0;
  const std::int64_t k = round_up(p.n_clusters, kernels.panel_width);
  return k * (2 * byte_stride(p.n_features) + 20) +
         workers * kernels.byte_scratch_bytes(p.n_features);
}

ByteScreen::ByteScreen(const Kernels& kernels, const Plan& plan)
    : kernels_(kernels),
      problem_(plan.problem),
      used_(used(kernels, plan.problem)),
      scales_kept_(used_ && plan.keep_byte_scales),
      pausable_(!plan.kernel_is_forced),
      rows_kept_(scales_kept_ ? plan.byte_rows_kept : 0) {
  if (!used_) return;
  const std::int64_t n = problem_.n_samples, d = problem_.n_features;
  data_.resize(rows_kept_ * byte_stride(d));
  if (scales_kept_) {
    row_scale_.resize(n);
    row_residual_.resize(n);
    row_start_.resize(n);
  }
  const std::int64_t k = round_up(problem_.n_clusters, kernels.panel_width);
  panels_.k = problem_.n_clusters;
  panels_.words = (d + 3) / 4;
  panels_.width = kernels.panel_width;
  packed_.resize(k * panels_.words * 4);
  rows_.resize(k * round_up(d, kFeaturePad));
  for (AlignedVector<float>* array : {&h_lo_, &eps_, &scale_, &norm_, &residual_}) array->resize(k);
  panels_.packed = packed_.data();
  panels_.rows = rows_.data();
  panels_.h_lo = h_lo_.data();
  panels_.eps = eps_.data();
  panels_.scale = scale_.data();
  panels_.norm = norm_.data();
  panels_.residual = residual_.data();
}

void ByteScreen::begin_points(const PointRange& range) {
  ready_ = false;
  norm_scale_ = range.norm_scale;
  offset_.clear();
  panels_.offset_norm = 0;
  if (!are_bytes(problem_)) return;
  // What the screen reads of x is x - zero; y' is that and (zero - mean), in units of norm_scale.
  const double zero = problem_.dtype == DType::uint8 ? 128 : 0;
  double sum = 0;
  for (std::int64_t f = 0; f < problem_.n_features; ++f) {
    offset_.push_back((zero - range.mean[f]) * norm_scale_);
    sum += offset_.back() * offset_.back();
  }
  panels_.offset_norm = next_up(std::sqrt(sum) * (1 + 1e-9));
}

void ByteScreen::build(const Team& team, const CentroidPanels& centroids, const SlotOrder& order) {
  const Panels& p = centroids.panels();
  panels_.order = order;
  panels_.ratio = static_cast<float>(centroids.scale() / norm_scale_);
  PackBytesArgs args;
  args.panels = &panels_;
  args.zero = kernels_.bytes.zero;
  args.largest = kernels_.bytes.largest;
  args.offset = offset_.empty() ? nullptr : offset_.data();
  args.unit_error = problem_.metric == Metric::cosine ? unit_row_error(p.d) * centroids.scale() : 0;
  args.packed = packed_.data();
  args.h_lo = h_lo_.data();
  args.eps = eps_.data();
  args.scale = scale_.data();
  args.norm = norm_.data();
  args.residual = residual_.data();
  team.for_each((p.k + p.width - 1) / p.width, [&](std::int64_t panel, int) {
    const std::int64_t first = panel * p.width;
    PackBytesArgs own = args;
    own.rows = rows_.data() + first * round_up(p.d, kFeaturePad);
    kernels_.pack_bytes(p, own, first, std::min(p.width, p.k - first));
  });
}

void ByteScreen::Leavings::add(const Leavings& other) {
  screened += other.screened;
  read += other.read;
  compared += other.compared;
  overflowed += other.overflowed;
}

void ByteScreen::end_pass(const Leavings& left) {
  const bool first = !labelled_;
  labelled_ = true;
  if (paused_ > 0) {
    --paused_;
    return;
  }
  // Without labels to start from, more is left than ever after.
  if (first || !pausable_ || left.screened == 0) return;
  // All in float32's scores of a tile. To read and convert a row costs 26, a dot product of its own
  // 2.5, a whole pass of float32 20 a row beside its scores, and one of bytes about a quarter.
  const std::int64_t width = kernels_.panel_width, k = problem_.n_clusters;
  const double pass = 20 + static_cast<double>(k > width / 2 ? round_up(k, width) : k);
  const double cost = 26 * static_cast<double>(left.read) +
                      2.5 * static_cast<double>(left.compared) +
                      pass * static_cast<double>(left.overflowed);
  if (cost < (0.75 * pass - 5) * static_cast<double>(left.screened)) return;
  paused_ = next_pause_;
  next_pause_ *= 2;
}

void ByteScreen::set(AssignArgs& args, const Rows& rows, std::int64_t first_row) {
  args.byte_kernel = &kernels_.bytes;
  args.byte_panels = &panels_;
  args.byte_source = rows;
  args.byte_source.scale = norm_scale_;
  args.bytes_ready = scales_kept_ && ready_;
  if (!scales_kept_) return;
  args.bytes.stride = byte_stride(rows.d);
  // Assign fills them in its first pass.
  args.bytes_kept = std::max<std::int64_t>(0, rows_kept_ - first_row);
  if (args.bytes_kept > 0) args.bytes.data = data_.data() + first_row * args.bytes.stride;
  args.bytes.scale = row_scale_.data() + first_row;
  args.bytes.residual = row_residual_.data() + first_row;
  args.bytes.start = row_start_.data() + first_row;
}

}  // namespace warpmeans::cpu
