// A team of threads that take numbered tasks. Which thread takes which task never enters a result.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <warpmeans/execution.h>

namespace warpmeans {

// Hidden, though the class around it is exported.
class __attribute__((visibility("hidden"))) ThreadPool::Impl {
 public:
  explicit Impl(int size);
  ~Impl();
  int size() const { return size_; }

  /// Runs call(context, worker) on `workers` threads at most, the caller being worker 0. False if
  /// the pool is busy, or another process's: then nothing ran.
  bool run(int workers, void (*call)(void*, int), void* context);

 private:
  /// A worker and the number of the run it was last called to. Only those called wake up.
  struct Worker {
    alignas(64) std::atomic<std::uint32_t> calls{0};
    std::thread thread;
  };
  bool add_worker();
  void work(const Worker& self, int worker);

  const int size_;
  const int forks_;
  std::mutex busy_;  // held for a whole run()
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<int> remaining_{0};
  std::atomic<bool> stopping_{false};
  // Written by run() before a worker's `calls` rises, read by the worker after it saw that.
  void (*call_)(void*, int) = nullptr;
  void* context_ = nullptr;
};

namespace cpu {

/// A pool and how many of its threads this call may use.
class Team {
 public:
  Team() = default;  // the calling thread alone
  Team(ThreadPool::Impl* pool, int threads)
      : pool_(threads > 1 ? pool : nullptr), threads_(threads) {}
  int threads() const { return pool_ ? threads_ : 1; }

  /// body(task, worker) for every task in [0, tasks), worker < threads(). The first exception
  /// thrown is thrown again here, after all threads have stopped.
  template <class Body>
  void for_each(std::int64_t tasks, Body&& body) const {
    if (!pool_ || tasks <= 1) {
      for (std::int64_t t = 0; t < tasks; ++t) body(t, 0);
      return;
    }
    struct Shared {
      Body& body;
      std::int64_t tasks;
      std::atomic<std::int64_t> next{0};
      std::atomic<bool> failed{false};
      std::exception_ptr error;
    } shared{body, tasks, {}, {}, {}};
    const auto call = [](void* context, int worker) {
      auto& s = *static_cast<Shared*>(context);
      try {
        for (std::int64_t t; !s.failed && (t = s.next.fetch_add(1)) < s.tasks;) s.body(t, worker);
      } catch (...) {
        if (!s.failed.exchange(true)) s.error = std::current_exception();
      }
    };
    const auto workers = static_cast<int>(std::min<std::int64_t>(threads_, tasks));
    if (!pool_->run(workers, call, &shared)) call(&shared, 0);
    if (shared.error) std::rethrow_exception(shared.error);
  }

  /// body(begin, end, worker) over [0, n) in pieces of at most `grain`.
  template <class Body>
  void for_ranges(std::int64_t n, std::int64_t grain, Body&& body) const {
    for_each((n + grain - 1) / grain, [&](std::int64_t t, int worker) {
      body(t * grain, std::min(n, (t + 1) * grain), worker);
    });
  }

 private:
  ThreadPool::Impl* pool_ = nullptr;
  int threads_ = 1;
};

/// The threads that `execution` asks for.
Team make_team(const Execution& execution);

}  // namespace cpu
}  // namespace warpmeans
