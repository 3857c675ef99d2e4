#include "io/checkpoint_file.h"

#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/file_error.h"
#include "io/mapped_file.h"
#include "io/tensor_file.h"

namespace warpmeans::io {
namespace {

using Words = std::map<std::string, std::string>;

const std::string kFormatKey = "warpmeans_checkpoint";
const std::string kFormatVersion = "1";
const std::string kOptions = "options.", kData = "data.", kFields = "history_fields";
constexpr ElementType kFloat32{'f', 4}, kFloat64{'f', 8}, kInt64{'i', 8};

/// A field of a row of history, as float64: counts are whole numbers to 2^53.
struct Field {
  const char* name;
  double (*get)(const IterationStats&);
  bool (*set)(IterationStats&, double);  // false: no such count
};

template <auto Member>
constexpr Field field(const char* name) {
  using T = std::remove_reference_t<decltype(std::declval<IterationStats&>().*Member)>;
  return {name, [](const IterationStats& row) { return static_cast<double>(row.*Member); },
          [](IterationStats& row, double value) {
            if (std::is_integral_v<T> && !(value >= 0 && value <= 0x1p53)) return false;
            row.*Member = static_cast<T>(value);
            return true;
          }};
}

constexpr Field kHistory[] = {field<&IterationStats::inertia>("inertia"),
                              field<&IterationStats::shift>("shift"),
                              field<&IterationStats::labels_changed>("labels_changed"),
                              field<&IterationStats::labels_doubtful>("labels_doubtful"),
                              field<&IterationStats::scores_skipped>("scores_skipped"),
                              field<&IterationStats::seconds_assign>("seconds_assign"),
                              field<&IterationStats::seconds_update>("seconds_update"),
                              field<&IterationStats::seconds>("seconds")};
constexpr std::size_t kFieldCount = std::size(kHistory);
static_assert(sizeof(IterationStats) == 8 * kFieldCount, "a field is missing here");

/// The columns of `items`.
enum Column { kAttemptsDone, kUnderWay, kRows, kBestRows, kBestConverged, kColumns };

std::string field_names() {
  std::string names;
  for (const Field& f : kHistory) {
    if (!names.empty()) names += ',';
    names += f.name;
  }
  return names;
}

void append(std::vector<double>& values, const std::vector<IterationStats>& history) {
  for (const IterationStats& row : history) {
    for (const Field& f : kHistory) values.push_back(f.get(row));
  }
}

std::size_t bytes_of(const Matrix& matrix) {
  return static_cast<std::size_t>(matrix.batch() * matrix.rows() * matrix.cols()) *
         size_of(matrix.dtype());
}

TensorLayout layout_of(const char* name, const Matrix& matrix) {
  return {name,
          matrix.dtype() == DType::float64 ? kFloat64 : kFloat32,
          {matrix.batch(), matrix.rows(), matrix.cols()}};
}

class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path), file_(std::make_shared<const MappedFile>(path)) {}

  Checkpoint read() {
    Checkpoint checkpoint;
    read_words(checkpoint);
    checkpoint.centroids = matrix("centroids");
    for (const std::string& name : file_.names()) {
      if (name == "best_centroids") checkpoint.best_centroids = matrix(name);
    }
    read_items(checkpoint);
    return checkpoint;
  }

 private:
  void read_words(Checkpoint& checkpoint) {
    Words words = file_.metadata();
    if (!words.contains(kFormatKey)) {
      bad_file(path_, "is no checkpoint: its metadata do not say " + kFormatKey);
    }
    if (words[kFormatKey] != kFormatVersion || words[kFields] != field_names()) {
      bad_file(path_, "has " + kFormatKey + " '" + words[kFormatKey] + "' with " + kFields + " '" +
                          words[kFields] + "'; this version reads '" + kFormatVersion + "' with '" +
                          field_names() + "'");
    }
    for (const auto& [name, word] : words) {
      if (name.starts_with(kOptions)) checkpoint.options[name.substr(kOptions.size())] = word;
      if (name.starts_with(kData)) checkpoint.data[name.substr(kData.size())] = word;
    }
  }

  Matrix matrix(const std::string& name) {
    const Array array = file_.tensor(name);
    if ((array.type != kFloat32 && array.type != kFloat64) || array.shape.size() != 3 ||
        array.n_elements() == 0) {
      bad_file(path_, name + " are " + name_of(array.type) + " " + shape_text(array.shape) +
                          "; expected float32 or float64, (batch, k, d)");
    }
    Matrix matrix(*dtype_of(array.type), array.shape[0], array.shape[1], array.shape[2]);
    std::memcpy(matrix.data(), array.data, bytes_of(matrix));
    return matrix;
  }

  /// The elements of a table with so many columns.
  template <class T>
  std::vector<T> table(const std::string& name, ElementType type, std::size_t columns) {
    const Array array = file_.tensor(name);
    if (array.type != type || array.shape.size() != 2 ||
        array.shape[1] != static_cast<std::int64_t>(columns)) {
      bad_file(path_, name + " are " + name_of(array.type) + " " + shape_text(array.shape) +
                          "; expected " + name_of(type) + ", " + std::to_string(columns) +
                          " columns");
    }
    std::vector<T> values(static_cast<std::size_t>(array.n_elements()));
    if (!values.empty()) std::memcpy(values.data(), array.data, values.size() * sizeof(T));
    return values;
  }

  void read_items(Checkpoint& checkpoint) {
    const auto items = table<std::int64_t>("items", kInt64, kColumns);
    const auto values = table<double>("history", kFloat64, kFieldCount);
    std::size_t next = 0;
    const auto take = [&](std::int64_t rows) {
      if (rows < 0 || static_cast<std::uint64_t>(rows) > (values.size() - next) / kFieldCount) {
        bad_file(path_, "has fewer rows of history than its items say: " +
                            std::to_string(values.size() / kFieldCount));
      }
      std::vector<IterationStats> history(static_cast<std::size_t>(rows));
      for (IterationStats& row : history) {
        for (const Field& f : kHistory) {
          const double value = values[next++];
          if (f.set(row, value)) continue;
          bad_file(path_, "has " + std::to_string(value) + " as " + f.name + " in its history");
        }
      }
      return history;
    };
    for (std::size_t at = 0; at < items.size(); at += kColumns) {
      Checkpoint::Item item;
      const std::int64_t done = items[at + kAttemptsDone];
      if (done < 0 || done > std::numeric_limits<int>::max()) {
        bad_file(path_, "says that " + std::to_string(done) + " attempts are done");
      }
      item.attempts_done = static_cast<int>(done);
      item.under_way = items[at + kUnderWay] != 0;
      item.history = take(items[at + kRows]);
      item.best_history = take(items[at + kBestRows]);
      item.best_converged = items[at + kBestConverged] != 0;
      checkpoint.items.push_back(std::move(item));
    }
  }

  std::string path_;
  TensorFile file_;
};

}  // namespace

void write_checkpoint(AtomicFile& file, const Checkpoint& checkpoint) {
  std::vector<std::int64_t> items;
  std::vector<double> history;
  for (const Checkpoint::Item& item : checkpoint.items) {
    const std::array<std::int64_t, kColumns> row{
        item.attempts_done, item.under_way, static_cast<std::int64_t>(item.history.size()),
        static_cast<std::int64_t>(item.best_history.size()), item.best_converged};
    items.insert(items.end(), row.begin(), row.end());
    append(history, item.history);
    append(history, item.best_history);
  }
  Words words{{kFormatKey, kFormatVersion}, {kFields, field_names()}};
  for (const auto& [name, word] : checkpoint.options) words[kOptions + name] = word;
  for (const auto& [name, word] : checkpoint.data) words[kData + name] = word;
  const auto rows = static_cast<std::int64_t>(history.size() / kFieldCount);
  std::vector<TensorLayout> tensors{
      {"items", kInt64, {static_cast<std::int64_t>(checkpoint.items.size()), kColumns}},
      {"history", kFloat64, {rows, static_cast<std::int64_t>(kFieldCount)}},
      layout_of("centroids", checkpoint.centroids)};
  const bool has_best = checkpoint.best_centroids.rows() > 0;
  if (has_best) tensors.push_back(layout_of("best_centroids", checkpoint.best_centroids));
  file.write(tensor_file_header(tensors, words));
  file.write(items.data(), items.size() * sizeof(std::int64_t));
  file.write(history.data(), history.size() * sizeof(double));
  file.write(checkpoint.centroids.data(), bytes_of(checkpoint.centroids));
  if (has_best) file.write(checkpoint.best_centroids.data(), bytes_of(checkpoint.best_centroids));
}

Checkpoint read_checkpoint(const std::string& path) { return Reader(path).read(); }

}  // namespace warpmeans::io
