// wm_source: points behind a callback, as the C++ PointSource that they are.
#include <memory>

#include "c_api/handles.h"

using namespace warpmeans;
using namespace warpmeans::c_api;

wm_status wm_source_create(wm_dtype dtype, int64_t rows, int64_t cols, wm_read_callback read,
                           void* user, wm_source** source) {
  const char* who = __func__;
  return guarded(who, [&] {
    require(source, who, "source");
    *source = nullptr;
    require(reinterpret_cast<const void*>(read), who, "read");
    *source =
        new wm_source(enumerator<DType>(dtype, WM_INT8, who, "dtype"), rows, cols, read, user);
  });
}

void wm_source_free(wm_source* source) { delete source; }

void wm_source::read(std::int64_t first, std::int64_t count, void* out) {
  const int answer = read_(user_, first, count, out);
  if (answer == 0) return;
  throw Error(ErrorCode::invalid_data,
              "points: rows " + std::to_string(first) + " to " + std::to_string(first + count - 1) +
                  " could not be read; the callback returned " + std::to_string(answer));
}
