// warpmeans/cuda.h for Python: fits enqueued on a stream, in memory that a library of arrays owns.
#pragma once

#include <nanobind/nanobind.h>

namespace warpmeans::python {

void bind_device_calls(nanobind::module_& m);

}  // namespace warpmeans::python
