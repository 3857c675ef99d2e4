// Errors carry the values that caused them and never end the process.
#pragma once

#include <stdexcept>
#include <string>

#include <warpmeans/export.h>

namespace warpmeans {

enum class ErrorCode {
  invalid_argument,  ///< an option or a shape is wrong
  invalid_data,      ///< NaN, Inf or a negative weight in the input; a broken file
  empty_cluster,     ///< EmptyClusters::error, and there was one
  out_of_memory,     ///< the message has the bytes needed
  unsupported,       ///< this build or machine cannot do it; the message says which
  interrupted,       ///< the callback asked to stop, for callers with no use for a partial result
};

/// Everything the library throws on purpose. `what()` reads "fit: n_clusters (9) exceeds ...".
class WM_EXPORT Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace warpmeans
