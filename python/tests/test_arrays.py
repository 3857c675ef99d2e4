"""Arrays in and out: nothing copied, every kind answered in kind, the rest refused."""

import array

import numpy as np
import pytest

import warpmeans
from warpmeans import _core
from warpmeans._arrays import as_points


def address(x):
    """Where the core reads `x` as `kmeans` hands it over."""
    return _core.address_of(as_points(x))


class SpeaksDLPack:
    """An array of an unknown library."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


class HasInterface:
    """An array that NumPy can view."""

    def __init__(self, values):
        self.values = values
        self.__array_interface__ = values.__array_interface__


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int8"])
def test_nothing_is_copied(dtype):
    x = np.arange(48).reshape(8, 6).astype(dtype)
    assert address(x) == x.ctypes.data
    assert address(x[2:, 1:4]) == x[2:, 1:4].ctypes.data
    assert address(x[::-2]) == x[::-2].ctypes.data
    assert address(x.reshape(2, 4, 6)[::-1]) == x.reshape(2, 4, 6)[1].ctypes.data
    assert address(SpeaksDLPack(x)) == x.ctypes.data
    assert address(HasInterface(x)) == x.ctypes.data
    assert address(memoryview(x)) == x.ctypes.data
    read_only = x.copy()
    read_only.flags.writeable = False
    assert address(read_only) == read_only.ctypes.data
    assert address(SpeaksDLPack(read_only)) == read_only.ctypes.data


def test_bfloat16_of_numpy_is_not_copied(points):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = points.astype(ml_dtypes.bfloat16)
    assert address(x) == x.ctypes.data
    result = warpmeans.kmeans(x, 4, init=points[:4])
    exact = warpmeans.kmeans(x.astype(np.float32), 4, init=points[:4])
    np.testing.assert_array_equal(result.labels, exact.labels)
    np.testing.assert_array_equal(result.centroids, exact.centroids)


def test_memory_maps_are_read_where_they_are(tmp_path, points):
    np.save(tmp_path / "points.npy", points)
    mapped = np.load(tmp_path / "points.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap) and address(mapped) == mapped.ctypes.data
    np.testing.assert_array_equal(
        warpmeans.kmeans(mapped, 4).labels, warpmeans.kmeans(points, 4).labels
    )


def test_a_map_larger_than_what_is_read_costs_no_memory(tmp_path):
    resource = pytest.importorskip("resource")
    with open(tmp_path / "sparse.bin", "wb") as file:
        file.truncate(1 << 36)  # 64 GiB that the disk does not have
    mapped = np.memmap(tmp_path / "sparse.bin", dtype=np.float32, mode="r").reshape(-1, 16)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert address(mapped) == mapped.ctypes.data
    warpmeans.predict(mapped[: 1 << 16], np.eye(16))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 17  # KiB


def test_views_of_strided_rows_give_what_copies_give(points):
    wide = np.zeros((600, 9), np.float32)
    wide[:, 2:7] = points
    for view in (wide[:, 2:7], points[::-1], np.broadcast_to(points[0], (5, 5))):
        a = warpmeans.kmeans(view, 2, seed=3)
        b = warpmeans.kmeans(view.copy(), 2, seed=3)
        np.testing.assert_array_equal(a.labels, b.labels)
        np.testing.assert_array_equal(a.centroids, b.centroids)
    column = points[:, 1:2]
    assert address(column) == column.ctypes.data
    assert warpmeans.kmeans(column, 3).centroids.shape == (3, 1)


def test_results_own_their_memory(points):
    result = warpmeans.kmeans(points, 4)
    before = [array.copy() for array in (result.labels, result.centroids, result.counts)]
    labels, centroids, counts = result.labels, result.centroids, result.counts
    del result
    for _ in range(3):
        warpmeans.kmeans(points * 2, 7)
    for array_, copy in zip((labels, centroids, counts), before, strict=True):
        np.testing.assert_array_equal(array_, copy)
        array_[:] = 0  # and may be written to


def test_lists_and_buffers_are_converted():
    expected = warpmeans.kmeans(np.array([[1.0], [2.0], [9.0]]), 2, init=np.array([[1.0], [9.0]]))
    for x in (
        [[1.0], [2.0], [9.0]],
        [[1], [2], [9]],
        ((1,), (2,), (9,)),
        memoryview(array.array("d", [1, 2, 9])).cast("B").cast("d", (3, 1)),
    ):
        result = warpmeans.kmeans(x, 2, init=[[1], [9]])
        np.testing.assert_array_equal(result.labels, expected.labels)
        assert result.centroids.dtype == np.float64


def test_data_frames_are_converted(points):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(points)
    np.testing.assert_array_equal(
        warpmeans.kmeans(frame, 3).labels, warpmeans.kmeans(points, 3).labels
    )


def test_torch_in_torch_out(points, batch):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(points)
    assert address(x) == x.data_ptr()
    result = warpmeans.kmeans(x, 4, order=True)
    expected = warpmeans.kmeans(points, 4, order=True)
    for name in ("labels", "centroids", "counts", "order"):
        assert isinstance(getattr(result, name), torch.Tensor)
        np.testing.assert_array_equal(getattr(result, name).numpy(), getattr(expected, name))
    assert result.labels.dtype == torch.int32 and isinstance(result.inertia, float)
    labels, distances = warpmeans.predict(x, result.centroids, distances=True)
    assert isinstance(labels, torch.Tensor) and distances.dtype == torch.float64
    assert isinstance(warpmeans.transform(x, result.centroids), torch.Tensor)
    of_batch = warpmeans.kmeans(torch.from_numpy(batch), 3)
    assert all(isinstance(value, torch.Tensor) for value in of_batch[:5])
    half = x.to(torch.bfloat16).requires_grad_()
    assert address(half) == half.data_ptr()
    start = x[:4].to(torch.bfloat16)
    np.testing.assert_array_equal(
        warpmeans.kmeans(half, 4, init=start).labels,
        warpmeans.kmeans(half.detach().float(), 4, init=start.float()).labels,
    )
    model = warpmeans.KMeans(3, random_state=0).fit(x)
    assert isinstance(model.labels_, torch.Tensor)
    assert isinstance(model.predict(x), torch.Tensor)
    assert isinstance(model.cluster_centers_, torch.Tensor)
    assert model.score(x) == pytest.approx(-model.inertia_)


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (np.zeros(6), ValueError, r"x of shape \(6,\) must have two dimensions"),
        (np.zeros((2, 2, 2, 2)), ValueError, "must have two dimensions"),
        (np.float32(1), ValueError, r"x of shape \(\) must have"),
        (np.zeros((0, 3)), ValueError, r"x of shape \(0, 3\) is empty"),
        (np.zeros((3, 0)), ValueError, r"x of shape \(3, 0\) is empty"),
        (np.zeros((0, 3, 2)), ValueError, r"x of shape \(0, 3, 2\) is empty"),
        (np.zeros((6, 3), np.int64), TypeError, "x has dtype int64; taken are float32"),
        (np.zeros((6, 3), bool), TypeError, "x has dtype bool"),
        (np.zeros((6, 3), complex), TypeError, "x has dtype complex128"),
        (np.zeros((6, 3), np.longdouble), TypeError, "x has dtype (longdouble|float128)"),
        (np.zeros((6, 3), ">f4"), TypeError, "x has dtype >f4; .* byte order"),
        (np.zeros((6, 3), object), TypeError, "x has dtype object"),
        (np.zeros((6, 3), "M8[s]"), TypeError, r"x has dtype datetime64\[s\]"),
        (np.zeros(6, [("a", "f4"), ("b", "f4")]), TypeError, "x has dtype"),
        (np.zeros((3, 6)).T, ValueError, r"\(6, 3\) has features 6 elements apart; make a copy"),
        (np.zeros((6, 3))[:, ::-1], ValueError, "features -1 elements apart"),
        (np.ma.masked_array(np.zeros((6, 3))), TypeError, "x is a masked array"),
        (None, TypeError, "x must be an array of numbers, not NoneType"),
        ("points", TypeError, "x must be an array of numbers, not str"),
        ([[1, 2], [3]], ValueError, "x is no array of numbers"),
        ([["a"], ["b"]], TypeError, "x must be an array of numbers, not list"),
        ({}, TypeError, "x must be an array of numbers, not dict"),
    ],
)
def test_what_is_no_points_is_refused(x, error, text):
    with pytest.raises(error, match=text):
        warpmeans.kmeans(x, 2)


def test_sparse_points_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"x is sparse \(csr_matrix\); give a dense array"):
        warpmeans.kmeans(sparse.csr_matrix(np.eye(4)), 2)


def test_odd_layouts_are_refused():
    packed = np.zeros(6, [("flag", "u1"), ("x", "f4", 3)])["x"]
    with pytest.raises(ValueError, match=r"x has strides of \(13, 4\) bytes, not whole elements"):
        warpmeans.kmeans(packed, 2)
    misaligned = np.zeros(73, np.uint8)[1:].view(np.float32).reshape(6, 3)
    with pytest.raises(ValueError, match="x is not aligned to its elements"):
        warpmeans.kmeans(misaligned, 2)
    # The estimator, like scikit-learn's, makes copies of them.
    assert warpmeans.KMeans(1).fit(packed).inertia_ == 0
    assert warpmeans.KMeans(1).fit(misaligned).inertia_ == 0


def test_cuda_array_interface():
    class Numba:
        def __init__(self, **interface):
            self.__cuda_array_interface__ = {"data": (4096, True), "version": 3, **interface}

    if not _core.has_cuda():
        with pytest.raises(RuntimeError, match="built without CUDA"):
            warpmeans.kmeans(Numba(shape=(6, 4), typestr="<f4", strides=None), 2)
    with pytest.raises(TypeError, match="taken are float32"):
        warpmeans.kmeans(Numba(shape=(6, 4), typestr="<i8"), 2)
    with pytest.raises(ValueError, match="parts of an element"):
        warpmeans.kmeans(Numba(shape=(6, 4), typestr="<f4", strides=(18, 4)), 2)
    with pytest.raises(ValueError, match="features 2 elements apart"):
        warpmeans.kmeans(Numba(shape=(6, 4), typestr="<f4", strides=(32, 8)), 2)


def device_matrix(dtype="float32", shape=(8, 4), strides=(4, 1), data=1 << 20):
    """Memory that is only described: what is checked before anything reads it."""
    return _core.DeviceMatrix("x", data, dtype, shape, strides, 0)


def test_memory_of_a_gpu_is_checked_by_its_description():
    device_matrix("bfloat16", (2, 8, 4), (40, 5, 1))
    device_matrix(shape=(8, 1), strides=(1, 77))  # the stride of a single feature means nothing
    for options, error, message in (
        ({"dtype": "int64"}, TypeError, "x has dtype int64; taken are float32"),
        ({"shape": (4,), "strides": (1,)}, ValueError, r"shape \(4,\) must have two dimensions"),
        ({"shape": (0, 4)}, ValueError, r"shape \(0, 4\) is empty"),
        ({"strides": (1, 8)}, ValueError, r"shape \(8, 4\) has features 8 elements apart"),
        ({"data": (1 << 20) + 2}, ValueError, "not aligned"),
    ):
        with pytest.raises(error, match=message):
            device_matrix(**options)


def test_a_fit_on_a_gpu_without_one_says_so():
    if _core.device_count():
        pytest.skip("there is a GPU")
    x = device_matrix()
    with pytest.raises(RuntimeError, match="cuda was asked for"):
        _core.DeviceFit(x, 2, "kmeans++", None, "euclidean", None, 3, 0.0, 0, "keep", "exact")
    with pytest.raises(ValueError, match='metric is "manhattan"'):
        _core.DeviceFit(x, 2, "kmeans++", None, "manhattan", None, 3, 0.0, 0, "keep", "exact")
