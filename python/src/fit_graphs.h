// Fits that come again with the same arguments, in the same memory, as CUDA graphs: one launch.
#pragma once

#include <functional>
#include <string>

namespace warpmeans::python {

/// Does `enqueue(stream)`, which is all that `key` says it is: on the first calls by calling it,
/// then by replaying what it enqueued. A stream that is being captured gets the call itself. The
/// stream is of `device`.
void enqueue_or_replay(const std::string& key, int device, void* stream,
                       const std::function<void(void* stream)>& enqueue);

}  // namespace warpmeans::python
