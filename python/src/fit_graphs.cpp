#include "fit_graphs.h"

#if WARPMEANS_PYTHON_HAS_CUDA

#include <cuda_runtime_api.h>

#include <cstddef>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

namespace warpmeans::python {
namespace {

/// Calls that may come again before the one that came longest ago is forgotten.
constexpr std::size_t kMost = 32;
/// Recording costs as much as some calls do: done for those that come this often.
constexpr int kOften = 3;

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
  }
}

/// The device is this thread's current one meanwhile, and what allocates does not disturb a capture
/// that goes on in another thread.
class Recording {
 public:
  explicit Recording(int device) {
    check(cudaGetDevice(&before_), "cudaGetDevice");
    check(cudaSetDevice(device), "cudaSetDevice");
    cudaThreadExchangeStreamCaptureMode(&mode_);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording() {
    cudaThreadExchangeStreamCaptureMode(&mode_);
    cudaSetDevice(before_);
  }

 private:
  int before_ = 0;
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// What `enqueue` enqueues, recorded; null where the driver cannot.
cudaGraphExec_t record(int device, const std::function<void(void*)>& enqueue) {
  const Recording recording(device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaError_t status = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  if (status == cudaSuccess) {
    try {
      enqueue(stream);
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      if (graph) cudaGraphDestroy(graph);
      cudaStreamDestroy(stream);
      throw;
    }
    status = cudaStreamEndCapture(stream, &graph);
  }
  if (status == cudaSuccess) status = cudaGraphInstantiate(&executable, graph, 0);
  if (graph) cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
  if (status != cudaSuccess) cudaGetLastError();
  return status == cudaSuccess ? executable : nullptr;
}

/// The graphs of all threads. Launches of one graph are of one stream, so never at the same time.
class Graphs {
 public:
  /// Launches the graph of the key if there is one by now.
  bool replay(const std::string& key, int device, cudaStream_t stream,
              const std::function<void(void*)>& enqueue) {
    const std::lock_guard lock(mutex_);
    Entry& entry = touch(key);
    if (++entry.calls < kOften) return false;
    if (entry.calls == kOften) entry.graph = record(device, enqueue);
    if (!entry.graph) return false;
    check(cudaGraphLaunch(entry.graph, stream), "cudaGraphLaunch");
    return true;
  }

 private:
  struct Entry {
    std::string key;
    int calls = 0;
    cudaGraphExec_t graph = nullptr;
  };

  /// The key's entry, in front of all others.
  Entry& touch(const std::string& key) {
    const auto known = by_key_.find(key);
    if (known != by_key_.end()) {
      entries_.splice(entries_.begin(), entries_, known->second);
      return entries_.front();
    }
    if (entries_.size() == kMost) {
      if (entries_.back().graph) cudaGraphExecDestroy(entries_.back().graph);
      by_key_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front({key});
    by_key_.emplace(entries_.front().key, entries_.begin());
    return entries_.front();
  }

  std::mutex mutex_;
  std::list<Entry> entries_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
};

}  // namespace

void enqueue_or_replay(const std::string& key, int device, void* stream,
                       const std::function<void(void*)>& enqueue) {
  // Never destroyed: the driver may be gone by then.
  static Graphs& graphs = *new Graphs;
  auto* const callers = static_cast<cudaStream_t>(stream);
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(callers, &capture) != cudaSuccess) {
    cudaGetLastError();
    capture = cudaStreamCaptureStatusInvalidated;
  }
  if (capture == cudaStreamCaptureStatusNone && graphs.replay(key, device, callers, enqueue)) {
    return;
  }
  enqueue(stream);
}

}  // namespace warpmeans::python

#else

namespace warpmeans::python {

void enqueue_or_replay(const std::string&, int, void* stream,
                       const std::function<void(void*)>& enqueue) {
  enqueue(stream);
}

}  // namespace warpmeans::python

#endif
