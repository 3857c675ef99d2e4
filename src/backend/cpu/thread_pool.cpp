#include "backend/cpu/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include <warpmeans/error.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace warpmeans {
namespace {

// A few microseconds: as long as the serial part between two parallel loops of a small fit.
constexpr int kSpins = 4000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// How many forks are between the first process and this one. A child has none of its parent's
/// threads, and would wait for them for ever.
std::atomic<int>& forks() {
  static std::atomic<int> count{0};
  static const int registered = pthread_atfork(nullptr, nullptr, [] { ++count; });
  static_cast<void>(registered);
  return count;
}

/// Spins a little, then sleeps, until `value` is no longer `old`.
template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads < 1) {
    throw Error(ErrorCode::invalid_argument,
                "ThreadPool: threads (" + std::to_string(threads) + ") must be at least 1");
  }
  impl_ = std::make_unique<Impl>(threads);
}
ThreadPool::~ThreadPool() = default;
int ThreadPool::size() const { return impl_->size(); }

ThreadPool::Impl::Impl(int size) : size_(size), forks_(forks()) {}

ThreadPool::Impl::~Impl() {
  if (forks_ != forks()) {
    for (auto& worker : workers_) {
      worker->thread.detach();
      static_cast<void>(worker.release());  // what the parent's thread waits on
    }
    return;
  }
  stopping_ = true;
  for (auto& worker : workers_) {
    worker->calls.fetch_add(1);
    worker->calls.notify_one();
    worker->thread.join();
  }
}

bool ThreadPool::Impl::run(int workers, void (*call)(void*, int), void* context) {
  if (forks_ != forks()) return false;
  std::unique_lock lock(busy_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  while (static_cast<int>(workers_.size()) < workers - 1 && add_worker()) continue;
  workers = std::min(workers, static_cast<int>(workers_.size()) + 1);
  call_ = call;
  context_ = context;
  remaining_.store(workers - 1, std::memory_order_relaxed);
  for (int w = 0; w < workers - 1; ++w) {
    workers_[w]->calls.fetch_add(1, std::memory_order_release);
    workers_[w]->calls.notify_one();
  }
  call(context, 0);
  for (int left; (left = remaining_.load(std::memory_order_acquire)) != 0;) {
    wait_while_equal(remaining_, left);
  }
  return true;
}

/// False where the system has no thread to give: tasks are then shared by those there are.
bool ThreadPool::Impl::add_worker() {
  try {
    auto worker = std::make_unique<Worker>();
    workers_.reserve(workers_.size() + 1);
    const int number = static_cast<int>(workers_.size()) + 1;
    worker->thread = std::thread([this, self = worker.get(), number] { work(*self, number); });
    workers_.push_back(std::move(worker));
    return true;
  } catch (const std::system_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void ThreadPool::Impl::work(const Worker& self, int worker) {
  for (std::uint32_t seen = 0;; ++seen) {
    wait_while_equal(self.calls, seen);
    if (stopping_) return;
    call_(context_, worker);
    if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) remaining_.notify_one();
  }
}

namespace cpu {
namespace {

std::unique_ptr<ThreadPool> make_process_pool() {
  return std::make_unique<ThreadPool>(std::max(1u, std::thread::hardware_concurrency()));
}

ThreadPool::Impl& process_pool() {
  static std::unique_ptr<ThreadPool> pool = [] {
    forks();  // counts before the child's pool is made
    pthread_atfork(nullptr, nullptr, [] {
      static_cast<void>(pool.release());
      pool = make_process_pool();
    });
    return make_process_pool();
  }();
  return pool->impl();
}

}  // namespace

Team make_team(const Execution& execution) {
  if (execution.threads < 0) {
    throw Error(
        ErrorCode::invalid_argument,
        "execution.threads (" + std::to_string(execution.threads) + ") must be 0 (all) or more");
  }
  if (execution.pool) {
    const int size = execution.pool->size();
    return {&execution.pool->impl(), execution.threads ? std::min(execution.threads, size) : size};
  }
  if (execution.threads == 1) return {};
  ThreadPool::Impl& pool = process_pool();
  return {&pool, execution.threads ? execution.threads : pool.size()};
}

}  // namespace cpu
}  // namespace warpmeans
