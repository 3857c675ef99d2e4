// A fit of a whole batch on one GPU: the seam's operations, enqueued. The first iteration is
// recorded as a graph while it is enqueued, and replayed from then on; the host runs a few
// iterations ahead and looks at the stop flag of those that are done.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "backend.h"
#include "backend/cuda/engine.h"
#include "backend/cuda/memory.h"
#include "backend/cuda/seeding/cuda_seeding.h"

namespace warpmeans::cuda {

class CudaRun : public Run {
 public:
  CudaRun(const Plan& plan, const DeviceSpec& device, const Execution& execution);
  ~CudaRun() override;

  void begin_items(Items items, const MatrixView& sample, ItemWeights weights) override;
  void prepare(const Chunk& chunk) override;
  void finish_prepare() override;

  void begin_seeding(const ChunkSource& source, std::int64_t item) override;
  std::vector<std::int64_t> draw(std::span<const double> u) override { return seeding_->draw(u); }
  // set_centroids_to_seeds does these steps on the device.
  std::vector<double> try_seeds(std::span<const std::int64_t>) override { no_steps(); }
  void accept_seed(std::int64_t) override { no_steps(); }
  void accept_seeds(std::span<const std::int64_t> rows) override { seeding_->accept_seeds(rows); }
  std::vector<std::int64_t> sample_rows(double factor, std::uint64_t seed,
                                        std::uint32_t round) override {
    return seeding_->sample_rows(factor, seed, round);
  }
  std::vector<double> seed_weights() override { return seeding_->seed_weights(); }
  double whole_mass() override { return seeding_->whole_mass(); }
  std::vector<std::byte> gather(std::span<const std::int64_t> rows) override {
    return seeding_->gather(rows);
  }

  void set_centroids(const MatrixView& centroids, bool normalize) override;
  void set_centroids_to_rows(const ChunkSource& source, std::span<const std::int64_t> rows,
                             bool normalize) override;
  bool set_centroids_to_seeds(std::uint64_t seed, std::uint32_t attempt,
                              const std::function<bool()>& keep_going, bool normalize) override;
  void resume(const MatrixView&, std::span<const IterationStats>) override { no_resuming(); }
  bool fit_at_once() override;
  std::vector<std::int64_t> chosen_rows() override;
  void set_labels(const Chunk& chunk, const std::int32_t* labels) override;
  void begin_iteration(bool final_pass) override;
  void assign(const Chunk& chunk) override;
  void accumulate(const Chunk& chunk) override;
  ClusterSumsView sums() override { return {}; }
  // Empty clusters and sums that would cancel are found and met on the device.
  bool wants_relocation() override { return false; }
  void relocate(const Chunk&) override {}
  bool wants_direct_inertia() override { return false; }
  void measure_inertia(const Chunk& chunk) override;
  void finish_iteration(const ChunkSource& source) override;
  bool stop_requested() override;
  std::optional<IterationStats> last_stats(std::int64_t item) override;

  bool labels_current() override;
  std::string kernel() override {
    return at_once_ ? "cuda/fused" : "cuda/" + std::string(name_of(engine_.kernel));
  }
  ItemOutcome outcome(std::int64_t item) override;
  void collect(std::int64_t item, const ItemResult& result) override;
  void distances(std::int64_t item, const Chunk& chunk, bool to_all, double* out) override;

 private:
  /// Iterations enqueued before the first of them is looked at.
  static constexpr int kAhead = 4;

  [[noreturn]] static void no_resuming();
  [[noreturn]] static void no_steps();
  void use(AssignKernel kernel);
  void upload(const MatrixView& points);
  void upload_weights();
  const std::vector<ItemState>& items();
  double point_value(std::int64_t b, std::int64_t row, std::int64_t column) const;
  void look_again();
  void fetch_history();

  const Plan plan_;
  DeviceGuard guard_;
  Stream stream_;
  DeviceBuffer workspace_, points_, weights_;
  PinnedBuffer running_;  // copies of the count of running items, one an iteration ahead
  Engine engine_;
  std::optional<CudaSeeding> seeding_;
  ItemWeights item_weights_;
  std::int64_t first_item_ = 0;
  double largest_ = 0;    // that a point's feature lies from the mean
  bool at_once_ = false;  // a whole fit is one launch
  bool forced_ = false;   // the kernel is the caller's choice
  bool final_pass_ = false, labels_given_ = false, recording_ = false, replaying_ = false;
  cudaGraphExec_t iteration_ = nullptr;
  int enqueued_ = 0;
  std::array<Event, kAhead> done_;
  std::vector<ItemState> items_;  // as last looked at; empty: look again
  // The same of all items' results, fetched when the first is asked for.
  std::vector<HistoryRow> history_;
  int history_rows_ = 0;  // of an item
  std::vector<std::int32_t> labels_;
  std::vector<std::byte> centroids_;
  std::vector<std::int64_t> counts_;
};

}  // namespace warpmeans::cuda
