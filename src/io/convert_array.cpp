#include "io/convert_array.h"

#include <algorithm>
#include <vector>

#include "io/array_writer.h"
#include "io/convert_elements.h"
#include "io/file_error.h"

namespace warpmeans::io {
namespace {

constexpr std::int64_t kBlockBytes = 4 << 20;

[[noreturn]] void refuse(const Array& array, const Conversion& conversion, std::int64_t index,
                         const std::byte* element) {
  const std::int64_t cols = array.n_cols();
  const bool would_round =
      !conversion.may_round && (conversion.to.kind == 'f' || conversion.to.kind == 'b');
  bad_file(array.path, "has " + element_text(element, conversion.from) + " at row " +
                           std::to_string(index / cols) + ", column " +
                           std::to_string(index % cols) + ", which " + name_of(conversion.to) +
                           " does not hold" +
                           (would_round ? " exactly; --dtype " + name_of(conversion.to) + " rounds"
                                        : std::string()));
}

}  // namespace

void convert_array(const Array& array, AtomicFile& out, const std::string& format,
                   std::optional<ElementType> type, bool (*keep_going)()) {
  const ElementType to = type ? *type : only_type_of(format).value_or(array.type);
  const Conversion conversion{array.type, to, type.has_value()};
  ArrayWriter writer(out, format, to, array.shape);
  const std::int64_t rows = array.n_rows(), cols = array.n_cols();
  const std::int64_t row_bytes = cols * std::max(array.type.size, to.size);
  const std::int64_t block =
      std::min(rows, std::max<std::int64_t>(kBlockBytes / std::max<std::int64_t>(row_bytes, 1), 1));
  std::vector<std::byte> in_bytes(static_cast<std::size_t>(block * cols * array.type.size));
  std::vector<std::byte> out_bytes(static_cast<std::size_t>(block * cols * to.size));
  for (std::int64_t first = 0; first < rows && cols > 0; first += block) {
    if (!keep_going()) throw Error(ErrorCode::interrupted, "convert: interrupted");
    const std::int64_t count = std::min(block, rows - first);
    array.read_rows(first, count, in_bytes.data());
    const std::int64_t done =
        convert_elements(in_bytes.data(), out_bytes.data(), count * cols, conversion);
    if (done < count * cols) {
      refuse(array, conversion, first * cols + done, in_bytes.data() + done * array.type.size);
    }
    writer.write_rows(out_bytes.data(), count);
  }
  writer.finish();
}

}  // namespace warpmeans::io
