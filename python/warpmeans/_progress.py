"""What `verbose` shows: tqdm's bar where it is installed, else a line an iteration."""

import sys


def _describe(progress, batched, n_init):
    parts = []
    if batched:
        parts.append(f"item {progress.batch_item}")
    if n_init > 1:
        parts.append(f"attempt {progress.attempt + 1}/{n_init}")
    return ", ".join(["kmeans", *parts])


class Reporter:
    """A callback for the core that shows progress and then asks the user's callback.

    A context manager: leaving it closes the bar.
    """

    def __init__(self, callback, batched, n_init):
        self._callback = callback
        self._batched = batched
        self._n_init = n_init
        try:
            from tqdm.auto import tqdm
        except ImportError:
            tqdm = None
        self._tqdm = tqdm
        self._bar = None
        self._shown = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def __call__(self, progress):
        """Show the iteration; False if the user's callback says so."""
        name = _describe(progress, self._batched, self._n_init)
        if self._tqdm is None:
            print(
                f"{name}: iteration {progress.iteration}/{progress.max_iter}, "
                f"inertia {progress.inertia:.6g}, shift {progress.shift:.3g}, "
                f"{progress.labels_changed} labels changed",
                file=sys.stderr,
            )
        else:
            self._show_bar(progress, name)
        return None if self._callback is None else self._callback(progress)

    def _show_bar(self, progress, name):
        if self._bar is None:
            self._bar = self._tqdm(total=progress.max_iter, unit="iteration")
        if name != self._shown:
            self._bar.set_description(name, refresh=False)
            self._shown = name
        self._bar.set_postfix_str(
            f"inertia {progress.inertia:.6g}, {progress.labels_changed} changed", refresh=False
        )
        self._bar.update(progress.iteration - self._bar.n)
