"""
Warpmeans' C++ library for Python's arrays; warpmeans has the functions for users.
"""

from collections.abc import Sequence


class Progress:
    """State of a fit after an iteration, for callbacks."""

    @property
    def batch_item(self) -> int:
        """item of the batch; 0 without one"""

    @property
    def attempt(self) -> int:
        """which of n_init, from 0"""

    @property
    def iteration(self) -> int:
        """iterations done, from 1"""

    @property
    def max_iter(self) -> int:
        """iterations at most"""

    @property
    def inertia(self) -> float:
        """of this iteration's labels"""

    @property
    def shift(self) -> float:
        """sum of the squared shifts of the centroids"""

    @property
    def labels_changed(self) -> int:
        """labels that differ from the previous iteration's"""

class DeviceMatrix:
    """An array in a GPU's memory, by address."""

    def __init__(self, name: str, data: int, dtype: str, shape: Sequence[int], strides: Sequence[int], device: int) -> None:
        """Strides are in elements."""

class DeviceFit:
    """A fit to be enqueued; nothing in it waits."""

    def __init__(self, points: DeviceMatrix, n_clusters: int, init: str, centroids: DeviceMatrix | None, metric: str, weights: DeviceMatrix | None, max_iter: int, tol: float, seed: int, empty: str, precision: str) -> None: ...

    @property
    def workspace_bytes(self) -> int: ...

    def enqueue(self, labels: int, centroids: int, counts: int, inertia: int, n_iter: int, converged: int, bad: int, workspace: int, stream: int) -> None:
        """Addresses of the results' memory; see warpmeans::cuda::FitOutputs."""

def order_workspace_bytes(batch: int, n: int, n_clusters: int) -> int:
    """Workspace of enqueue_order."""

def enqueue_order(labels: int, batch: int, n: int, n_clusters: int, order: int, workspace: int, bytes: int, stream: int) -> None:
    """The rows of each item in the order of their labels, int32."""

def device_count() -> int:
    """GPUs that this build can use."""

def fit(x: object, n_clusters: int, init: str, centroids: object | None, metric: str, weights: object | None, n_init: int, max_iter: int, tol: float, absolute_tol: bool, fixed_iterations: bool, seed: int, empty: str, precision: str, threads: int, device: str, memory: str | None, mapped: bool, checkpoint: str, checkpoint_every: str, resume: bool, order: bool, callback: object | None) -> tuple:
    """
    Fits; returns the result's fields, the exception that stopped it or None, and why a checkpoint could not be saved or None.
    """

def predict(x: object, centroids: object, metric: str, weights: object | None, distances: bool, threads: int, device: str, memory: str | None, mapped: bool) -> tuple:
    """Returns labels, distances or None, and inertia."""

def version() -> str:
    """Version of the library."""

def has_cuda() -> bool:
    """Built with the CUDA engine."""

def address_of(x: object) -> int:
    """Where the library reads the points: for tests that nothing is copied."""

def transform(x: object, centroids: object, metric: str, threads: int, device: str) -> object:
    """Returns distances to all centroids."""
