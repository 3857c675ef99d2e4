"""Any array -> what the core takes; the core's NumPy arrays -> the caller's kind of array."""

import mmap
import sys

import numpy as np

#: Dtypes that are read as they are; `bfloat16` is ml_dtypes' in NumPy.
DTYPES = ("float32", "float64", "float16", "bfloat16", "uint8", "int8")


#: DLPack's kDLCUDA and kDLCUDAManaged.
_CUDA = (2, 13)


def as_points(x, name="x"):
    """An array for the core, without a copy if `x` is an array.

    NumPy's arrays and whatever has ``__dlpack__`` are returned as they are (torch tensors
    detached from their graph). Objects with the buffer protocol or ``__array_interface__`` are
    viewed. Everything else (lists, data frames) is converted by `numpy.asarray`, in C order, and
    integers and booleans among it to float64.

    Raises
    ------
    TypeError
        For sparse and masked arrays, and for what is no array of numbers.
    """
    kind = type(x)
    if kind is np.ndarray:
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill or drop the masked values first")
    if isinstance(x, np.ndarray):
        return x
    if hasattr(kind, "__dlpack__"):
        if hasattr(kind, "detach"):
            x = x.detach()
        return _CudaPoints(x) if x.__dlpack_device__()[0] in _CUDA else x
    if hasattr(x, "__cuda_array_interface__"):
        return x
    if hasattr(kind, "tocsr"):
        raise TypeError(f"{name} is sparse ({kind.__name__}); give a dense array: x.toarray()")
    if hasattr(x, "__array_interface__") or _has_buffer(x):
        return np.asarray(x)
    return _converted(x, name)


class _CudaPoints:
    """A CUDA array whose library orders its work before the legacy default stream, DLPack's 1.

    The core waits for that stream; asked for no stream, some libraries order nothing.
    """

    def __init__(self, array):
        self._array = array
        self.ndim = array.ndim
        self.dtype = array.dtype

    def __dlpack__(self, **_):
        return self._array.__dlpack__(stream=1)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def _has_buffer(x):
    try:
        return bool(memoryview(x).format)
    except (TypeError, BufferError):
        return False


def in_shared_map(x):
    """Whether `x` is of a `numpy.memmap` that is no copy-on-write: its pages may be given up."""
    shared = False
    while isinstance(x, np.ndarray):
        shared |= isinstance(x, np.memmap) and x.mode != "c"
        x = x.base
    return shared and isinstance(x, mmap.mmap)


def _converted(x, name):
    try:
        array = np.asarray(x, order="C")
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} is no array of numbers: {error}") from None
    if array.dtype.name in DTYPES:
        return array
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    raise TypeError(f"{name} must be an array of numbers, not {type(x).__name__} of {array.dtype}")


def as_parameter(values, name):
    """Weights or centroids for the core: contiguous, integers as float64; copied if need be."""
    if hasattr(type(values), "contiguous"):  # torch's
        values = values.contiguous()
    array = as_points(values, name)
    if isinstance(array, np.ndarray):
        if array.dtype.kind in "iub" and array.dtype.itemsize > 1 or array.dtype.kind == "b":
            array = array.astype(np.float64)
        return np.ascontiguousarray(array)
    return array


class Kind:
    """What kind of array the caller gave, to answer in it, on the device where it lies."""

    __slots__ = ("_convert",)

    def __init__(self, x):
        self._convert = None
        if isinstance(x, np.ndarray) or not hasattr(type(x), "__dlpack__"):
            return
        module = type(x).__module__.partition(".")[0]
        if module == "torch":
            self._convert = _to_torch(x.device)
        elif module == "cupy":
            self._convert = _to_cupy(x.device)
        elif hasattr(x, "__array_namespace__"):
            self._convert = _to_namespace_of(x)

    def answer(self, array):
        """The NumPy array as the caller's kind; without a copy where the caller's is the host's."""
        if self._convert is None or not isinstance(array, np.ndarray):
            return array
        return self._convert(array)


def _to_torch(device):
    from_dlpack = sys.modules["torch"].from_dlpack
    if device.type == "cpu":
        return from_dlpack
    return lambda array: from_dlpack(array).to(device)


def _to_cupy(device):
    def convert(array):
        with device:
            return sys.modules["cupy"].asarray(array)

    return convert


def _to_namespace_of(x):
    """For JAX and others of the array API standard."""
    from_dlpack = getattr(x.__array_namespace__(), "from_dlpack", None)
    if from_dlpack is None or x.__dlpack_device__()[0] not in _CUDA:
        return from_dlpack
    device = x.device
    return lambda array: from_dlpack(array).to_device(device)
