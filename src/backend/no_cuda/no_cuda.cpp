// Linked where the CUDA backend is not built.
#include "backend.h"

namespace warpmeans {

const Backend& cuda_backend() {
  throw Error(
      ErrorCode::unsupported,
      "execution.device: cuda was asked for, but this library is built without CUDA; use cpu");
}

}  // namespace warpmeans
