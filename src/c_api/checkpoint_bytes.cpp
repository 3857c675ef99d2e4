#include "c_api/checkpoint_bytes.h"

#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

#include <warpmeans/error.h>

namespace warpmeans::c_api {
namespace {

using Words = std::map<std::string, std::string>;

/// Of the layout below; read in the other byte order it is another number.
constexpr std::uint64_t kMark = 0x316b6365'68636d77;

std::uint64_t checksum(const std::byte* data, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (std::size_t i = 0; i < size; ++i) {
    hash = (hash ^ std::to_integer<std::uint64_t>(data[i])) * 0x100000001b3;
  }
  return hash;
}

class Writer {
 public:
  std::vector<std::byte> write(const Checkpoint& checkpoint) {
    number(kMark);
    words(checkpoint.options);
    words(checkpoint.data);
    number(checkpoint.items.size());
    for (const Checkpoint::Item& item : checkpoint.items) {
      number(static_cast<std::uint64_t>(item.attempts_done));
      number(item.under_way);
      number(item.best_converged);
      history(item.history);
      history(item.best_history);
    }
    matrix(checkpoint.centroids);
    matrix(checkpoint.best_centroids);
    number(checksum(bytes_.data(), bytes_.size()));
    return std::move(bytes_);
  }

 private:
  void append(const void* data, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }
  void number(std::uint64_t value) { append(&value, sizeof(value)); }
  void text(const std::string& value) {
    number(value.size());
    append(value.data(), value.size());
  }
  void words(const Words& values) {
    number(values.size());
    for (const auto& [name, value] : values) {
      text(name);
      text(value);
    }
  }
  void history(const std::vector<IterationStats>& rows) {
    static_assert(std::is_trivially_copyable_v<IterationStats> && sizeof(IterationStats) == 8 * 8);
    number(rows.size());
    append(rows.data(), rows.size() * sizeof(IterationStats));
  }
  void matrix(const Matrix& values) {
    number(values.dtype() == DType::float64);
    for (const std::int64_t extent : {values.batch(), values.rows(), values.cols()}) {
      number(static_cast<std::uint64_t>(extent));
    }
    append(values.data(), static_cast<std::size_t>(values.batch() * values.rows() * values.cols()) *
                              size_of(values.dtype()));
  }

  std::vector<std::byte> bytes_;
};

/// Counts are held against the bytes that are left before anything is allocated for them.
class Reader {
 public:
  Reader(const std::byte* data, std::size_t size, const char* who)
      : next_(data), left_(size), who_(who) {}

  Checkpoint read() {
    const std::byte* all = next_;
    const std::size_t size = left_;
    if (number() != kMark) refuse("are no checkpoint of this version of the library");
    std::uint64_t sum = 0;
    if (left_ < sizeof(sum)) refuse("end too early");
    std::memcpy(&sum, all + size - sizeof(sum), sizeof(sum));
    if (sum != checksum(all, size - sizeof(sum))) refuse("are damaged, or not all there");
    Checkpoint checkpoint;
    checkpoint.options = words();
    checkpoint.data = words();
    checkpoint.items.resize(count(5 * sizeof(std::uint64_t)));
    for (Checkpoint::Item& item : checkpoint.items) {
      item.attempts_done = static_cast<int>(number());
      item.under_way = number() != 0;
      item.best_converged = number() != 0;
      item.history = history();
      item.best_history = history();
    }
    checkpoint.centroids = matrix();
    checkpoint.best_centroids = matrix();
    if (left_ != sizeof(sum)) refuse("have more in them than a checkpoint");
    return checkpoint;
  }

 private:
  [[noreturn]] void refuse(const char* what) const {
    throw Error(ErrorCode::invalid_data, std::string(who_) + ": the bytes " + what);
  }
  const std::byte* take(std::size_t size) {
    if (size > left_) refuse("end too early");
    const std::byte* first = next_;
    next_ += size;
    left_ -= size;
    return first;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    std::memcpy(&value, take(sizeof(value)), sizeof(value));
    return value;
  }
  /// Of elements that take so many bytes at least.
  std::size_t count(std::size_t size) {
    const std::uint64_t value = number();
    if (value > left_ / size) refuse("end too early");
    return static_cast<std::size_t>(value);
  }
  std::string text() {
    const std::size_t size = count(1);
    return {reinterpret_cast<const char*>(take(size)), size};
  }
  Words words() {
    Words values;
    for (std::size_t i = count(2 * sizeof(std::uint64_t)); i > 0; --i) {
      const std::string name = text();
      values[name] = text();
    }
    return values;
  }
  std::vector<IterationStats> history() {
    std::vector<IterationStats> rows(count(sizeof(IterationStats)));
    const std::size_t size = rows.size() * sizeof(IterationStats);
    if (size > 0) std::memcpy(rows.data(), take(size), size);
    return rows;
  }
  Matrix matrix() {
    const DType dtype = number() != 0 ? DType::float64 : DType::float32;
    std::uint64_t elements = 1, extents[3];
    for (std::uint64_t& extent : extents) {
      extent = number();
      if (extent > left_ || (extent > 0 && elements > left_ / extent)) refuse("end too early");
      elements *= extent;
    }
    const std::byte* data = take(static_cast<std::size_t>(elements) * size_of(dtype));
    Matrix values(dtype, static_cast<std::int64_t>(extents[0]),
                  static_cast<std::int64_t>(extents[1]), static_cast<std::int64_t>(extents[2]));
    if (elements > 0) std::memcpy(values.data(), data, elements * size_of(dtype));
    return values;
  }

  const std::byte* next_;
  std::size_t left_;
  const char* who_;
};

}  // namespace

std::vector<std::byte> bytes_of(const Checkpoint& checkpoint) { return Writer().write(checkpoint); }

Checkpoint checkpoint_of(const void* data, std::int64_t bytes, const char* who) {
  return Reader(static_cast<const std::byte*>(data), static_cast<std::size_t>(bytes), who).read();
}

}  // namespace warpmeans::c_api
