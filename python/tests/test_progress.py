"""Callbacks, `verbose`, and what ends a fit early."""

import builtins
import os
import signal
import threading

import numpy as np
import pytest

import warpmeans


def test_callback_sees_every_iteration(points):
    seen = []
    result = warpmeans.kmeans(points, 5, n_init=2, callback=seen.append)
    first = [p for p in seen if p.attempt == 0]
    assert [p.iteration for p in first] == list(range(1, len(first) + 1))
    assert {p.attempt for p in seen} == {0, 1} and {p.max_iter for p in seen} == {300}
    assert {p.batch_item for p in seen} == {0}
    rows = [(p.inertia, p.shift, p.labels_changed) for p in first]
    alone = warpmeans.kmeans(points, 5)
    assert rows == [tuple(row)[:3] for row in alone.history.tolist()]
    assert not result.interrupted


def test_callback_of_a_batch(batch):
    seen = []
    result = warpmeans.kmeans(batch, 3, callback=seen.append)
    for item in range(4):
        assert sum(p.batch_item == item for p in seen) == result.n_iter[item]


@pytest.mark.parametrize("answer", [False, 0, np.bool_(False)])
def test_false_stops(points, answer):
    result = warpmeans.kmeans(
        points, 40, tol=0, callback=lambda p: answer if p.iteration == 2 else None
    )
    assert result.interrupted and result.n_iter == 2 and not result.converged
    again = warpmeans.kmeans(points, 40, tol=0, max_iter=2)
    np.testing.assert_array_equal(result.labels, again.labels)
    np.testing.assert_array_equal(result.centroids, again.centroids)


def test_exception_of_a_callback_has_the_result(points):
    def fail(progress):
        if progress.iteration == 3:
            raise KeyError("from the callback")

    with pytest.raises(KeyError, match="from the callback") as caught:
        warpmeans.kmeans(points, 9, tol=0, callback=fail)
    result = caught.value.result
    assert result.interrupted and result.n_iter == 3
    np.testing.assert_array_equal(result.labels, warpmeans.predict(points, result.centroids))


def test_exception_without_attributes_passes(points):
    class Frozen(Exception):
        __slots__ = ()

        def __setattr__(self, name, value):
            raise AttributeError(name)

    def fail(progress):
        raise Frozen

    with pytest.raises(Frozen):
        warpmeans.kmeans(points, 3, callback=fail)


@pytest.fixture
def ctrl_c():
    """Python's own handler, also where the tests were started with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("shape", [(300, 4), (6, 300, 4)])
def test_ctrl_c_ends_the_fit(shape, ctrl_c):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        warpmeans.kmeans(x, 5, fixed_iterations=True, max_iter=2**31 - 1)
    timer.join()
    result = caught.value.result
    assert result.interrupted and np.all(result.n_iter >= 0)
    np.testing.assert_array_equal(result.labels, warpmeans.predict(x, result.centroids))


def test_ctrl_c_leaves_a_fitted_estimator(ctrl_c):
    X = np.random.default_rng(0).normal(size=(300, 4))
    model = warpmeans.KMeans(5, tol=0, max_iter=10**6, random_state=0)

    def interrupt(progress):
        if progress.iteration == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callback=interrupt).fit(X)
    assert model.n_iter_ == 2 and model.result_.interrupted
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_the_lock_is_released_meanwhile():
    x = np.random.default_rng(0).normal(size=(2000, 8))
    ran = threading.Event()
    thread = threading.Thread(target=ran.set)
    stopped = []

    def other_thread_ran(progress):
        if progress.iteration == 1:
            thread.start()
        stopped.append(progress.iteration)
        return not (ran.is_set() and progress.iteration > 1)

    result = warpmeans.kmeans(
        x, 50, fixed_iterations=True, max_iter=10**6, callback=other_thread_ran
    )
    assert result.interrupted
    thread.join()


def test_verbose_without_tqdm(points, capsys, monkeypatch):
    real = builtins.__import__

    def without_tqdm(name, *args, **kwargs):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    seen = []
    result = warpmeans.kmeans(points, 3, verbose=True, n_init=2, callback=seen.append)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == "" and len(lines) == len(seen) >= result.n_iter
    assert lines[0].startswith("kmeans, attempt 1/2: iteration 1/300, inertia ")
    assert lines[0].endswith("600 labels changed")


def test_verbose_with_tqdm(batch, capsys):
    pytest.importorskip("tqdm")
    warpmeans.kmeans(batch, 3, verbose=True)
    captured = capsys.readouterr()
    assert captured.out == "" and "kmeans, item " in captured.err and "inertia" in captured.err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_can_fit():
    x = np.random.default_rng(0).normal(size=(20000, 8))
    expected = warpmeans.kmeans(x, 20, threads=2, max_iter=2).inertia  # the pool is there now
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        same = warpmeans.kmeans(x, 20, threads=2, max_iter=2).inertia == expected
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
