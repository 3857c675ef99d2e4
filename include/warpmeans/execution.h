// Where and with how many threads a call runs. Threads never change a bit of the result.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <warpmeans/export.h>
#include <warpmeans/types.h>

namespace warpmeans {

/// Worker threads that calls share. Copies of the handle share one pool. A call that finds the pool
/// busy (two callers at once, or a call from inside a worker), or its threads left behind in the
/// process that this one was forked from, runs on its own thread alone.
class WM_EXPORT ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  class Impl;
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// Whether a fit carries bounds from one iteration to the next, and skips what they exclude. They
/// never change a bit of the result.
enum class Skipping : std::uint8_t {
  automatic,  ///< where that is found to pay
  off,
  on,  ///< from the second iteration on, wherever the metric has such bounds
};

struct Execution {
  Device device;  ///< automatic: where the points are
  /// 0: as many as the pool has, or the machine's cores. Otherwise at most that many.
  int threads = 0;
  /// Caller's pool; null: one for the process, made at the first call that wants more than a
  /// thread.
  ThreadPool* pool = nullptr;
  /// "" chooses by the processor, d and k. Otherwise "amx", "avx512vnni", "avx512", "avxvnni",
  /// "avx2bytes", "avx2", "neondot", "neon" or "portable" on a CPU, "sm90", "sm80", "simt" or
  /// "fused" on a GPU: an error if this build or machine has it not.
  std::string kernel;
  /// The cudaStream_t to enqueue on; null: a stream of the call's own. CUDA only.
  void* stream = nullptr;
  /// Rows in a chunk of a pass, rounded up to a multiple of 1024; 0: as the plan sees fit.
  std::int64_t chunk_rows = 0;
  /// Bytes of memory that a call may take beside points in memory or in a map, its results
  /// included; 0: no limit. Where they are too few: Error(out_of_memory) with the bytes needed.
  /// CPU only.
  std::int64_t memory_limit = 0;
  Skipping skipping = Skipping::automatic;  ///< on a CPU
};

}  // namespace warpmeans
