// .safetensors files (https://huggingface.co/docs/safetensors): named tensors behind a JSON header.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/array.h"
#include "io/mapped_file.h"

namespace warpmeans::io {

class TensorFile {
 public:
  /// Throws Error (invalid_data) naming the file, as all of these do.
  explicit TensorFile(std::shared_ptr<const MappedFile> file);
  ~TensorFile();
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  std::vector<std::string> names() const;
  /// One tensor, checked. Without a name: the only one there is.
  Array tensor(const std::string& name) const;
  /// The metadata strings; empty where there are none.
  std::map<std::string, std::string> metadata() const;

 private:
  struct Header;  // keeps the JSON library out of here
  std::shared_ptr<const MappedFile> file_;
  std::unique_ptr<const Header> header_;
};

/// By its name: a .safetensors file has no magic number.
bool is_safetensors_name(const std::string& path);

struct TensorLayout {
  std::string name;
  ElementType type;
  std::vector<std::int64_t> shape;
};

/// What stands before the tensors' bytes, which follow in this order without a gap. Give the widest
/// type first: then every tensor is aligned.
std::string tensor_file_header(const std::vector<TensorLayout>& tensors,
                               const std::map<std::string, std::string>& metadata);

}  // namespace warpmeans::io
