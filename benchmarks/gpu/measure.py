"""What is measured of each kind of row. A step that fails leaves its error in the row, and the rest
goes on; the row is filled in place, so that one cut short keeps what it has."""

import torch

import checks
import gpu
import measure_init


class Row:
    """One shape: its points, and everyone's results."""

    def __init__(self, row, args, competitors):
        self.row, self.args = row, args
        self.points = gpu.make_points(row)
        self.init = gpu.make_init(self.points, row["k"])
        self.loaded = {}
        for name, adapter in competitors.items():
            if name not in row.get("who", competitors):
                continue
            row[name] = {}
            problem = self.attempt(name, "load", lambda: adapter.load(self.points, self.init))
            if problem is not None:
                self.loaded[name] = problem

    def attempt(self, name, step, call):
        """call()'s result, or None and its error in the row."""
        try:
            found = call()
            gpu.sync()
            return found
        except Exception as error:
            self.row["errors"][f"{name}.{step}"] = f"{type(error).__name__}: {error}"[:500]
        if not gpu.is_alive():
            raise gpu.DeviceLost(f"{name}.{step}")
        return None

    def keep(self, name, step, call):
        found = self.attempt(name, step, call)
        if found is not None:
            self.row[name][step] = found
        return found

    def bench(self, name, step, call, most=None):
        """At most `most` ms of it, and no more than --rep."""
        problem = self.loaded[name]
        rep = min(self.args.rep, most or getattr(problem, "rep", self.args.rep))
        limit = getattr(problem, "limit_ms", None)
        return self.keep(name, step, lambda: gpu.bench(call, rep, limit))

    def common_labels(self):
        """Labels for everyone's update: the first competitor's that has any."""
        for name, problem in self.loaded.items():
            if not hasattr(problem, "assign"):  # whole calls are all it has
                continue
            labels = self.attempt(name, "labels", problem.assign)
            if labels is not None:
                self.row["labels_from"] = name
                return labels.to(torch.int32, copy=True)
        raise RuntimeError("nobody has labels")

    def means_of(self, labels):
        return self.attempt(
            "checks", "means", lambda: checks.means_of(self.points, labels, self.row["k"])
        )

    def check_labels(self, name, step, found):
        """`found`: (labels, centroids)."""
        rounded = name != "ours" or self.args.precision == "native"
        self.keep(
            name, step, lambda: checks.labels_of(self.points, found[1], found[0], rounded)
        )

    def check_update(self, name, labels, reference):
        problem = self.loaded[name]

        def check():
            poison_of(problem)()
            centroids = problem.update(labels)
            return checks.update_of(reference, centroids, getattr(problem, "counts", None))

        if reference is not None:
            self.keep(name, "update_check", check)
        self.check_rerun(name, "update", lambda: problem.update(labels))

    def check_rerun(self, name, step, call):
        poison = poison_of(self.loaded[name])
        self.keep(name, step + "_rerun_equal", lambda: checks.same(call, poison=poison))


def poison_of(problem):
    return getattr(problem, "poison", lambda: None)


def check_assign(row, name, problem):
    poison_of(problem)()
    labels = row.attempt(name, "assign", problem.assign)
    if labels is not None:
        row.check_labels(name, "assign_check", (labels, row.init))
    row.check_rerun(name, "assign", problem.assign)


def check_fit(row, name, problem, iterations):
    """The labels that come back belong to the centroids that come back, and do again."""
    poison_of(problem)()
    found = row.attempt(name, "fit", lambda: problem.fit(iterations))
    if found is not None:
        row.check_labels(name, "fit_check", found)
        check_iterations(row, name, problem, iterations)
    row.check_rerun(name, "fit", lambda: problem.fit(iterations))


def check_iterations(row, name, problem, iterations):
    done = row.attempt(name, "fit_iterations", problem.iterations_done)
    if done is not None and set(done) != {iterations}:
        text = f"{sorted(set(done))[:8]} iterations, not {iterations}"
        row.row["errors"][f"{name}.fit_iterations"] = text


def steps(row):
    """Assign, update, an iteration, a fit of 20."""
    labels = row.common_labels()
    reference = row.means_of(labels)
    for name, problem in row.loaded.items():
        if not hasattr(problem, "assign"):
            continue
        check_assign(row, name, problem)
        timed = row.bench(name, "assign", problem.assign)
        if timed is not None and timed["regime"].startswith("once"):
            continue
        row.check_update(name, labels, reference)
        row.bench(name, "update", lambda: problem.update(labels))
        if hasattr(problem, "iteration"):
            row.bench(name, "iteration", problem.iteration)
        if name == "ours":
            check_fit(row, name, problem, 20)
            for n in (1, 2):
                row.bench(name, f"fit{n}", lambda: problem.fit(n))
        if hasattr(problem, "fit"):
            row.bench(name, "fit20", lambda: problem.fit(20), 300)


def small(row):
    """As steps, and our fit of 20 as a CUDA graph."""
    steps(row)
    problem = row.loaded.get("ours")
    if problem is None:
        return

    def replayed():
        replay()
        return problem.labels, problem.centroids

    replay = row.attempt("ours", "graph", lambda: gpu.graph_of(lambda: problem.fit(20)))
    if replay is not None:
        both = (lambda: problem.fit(20), replayed, problem.poison)
        row.keep("ours", "graph_rerun_equal", lambda: checks.same(*both))
        row.bench("ours", "graph20", replay)


def skewed(row):
    """The update with half of the points, drawn at random, in cluster 0; and without."""
    balanced = row.common_labels()
    generator = torch.Generator(device=balanced.device).manual_seed(3)
    drawn = torch.rand(balanced.shape, device=balanced.device, generator=generator) < 0.5
    labels = balanced.masked_fill(drawn, 0)
    reference = row.means_of(labels)
    for name, problem in row.loaded.items():
        row.check_update(name, labels, reference)
        row.bench(name, "update_balanced", lambda: problem.update(balanced))
        row.bench(name, "update", lambda: problem.update(labels))


def tolerance(row):
    """A whole fit to `tol`. The rules differ: ours is relative to the variance, theirs is the
    largest shift itself. So also: our fit of as many iterations as the seed took."""
    tol, most = row.row["tol"], row.row["max_iter"]
    for name, problem in row.loaded.items():

        def fit():
            return problem.fit_to(tol, most)

        poison_of(problem)()
        found = row.attempt(name, "fit", fit)
        if found is None:
            continue
        row.keep(name, "iterations", problem.iterations_done)
        row.keep(name, "inertia", lambda: checks.inertia_of(row.points, found[1], found[0]))
        row.check_labels(name, "fit_check", found)
        if name == "ours":
            row.row[name]["converged"] = int(problem.converged.sum())
            row.check_rerun(name, "fit", fit)
        row.keep(name, "fit", lambda: gpu.few(fit, 2 if name == "torch" else 5))
    ours, taken = row.loaded.get("ours"), row.row.get("seed", {}).get("iterations")
    if ours is not None and taken:
        row.keep("ours", "fit_as_many", lambda: gpu.few(lambda: ours.fit(taken[0]), 5))


def end_to_end(row):
    """A whole fit of so many iterations, the final labels with it; events around it, once warm. The
    seed is compiled for every n, so it is warmed by an iteration on these very points."""
    iterations, part = row.row["max_iter"], row.points[:, : 1 << 18]
    if "seed" in row.loaded:
        seed = row.loaded["seed"]
        row.attempt("seed", "warm", lambda: seed.fit(1))
        row.keep("seed", "fit", lambda: timed(seed, iterations, 1)[0])
    if "ours" in row.loaded:
        ours = row.loaded["ours"]
        row.attempt("ours", "warm", lambda: ours.adapter.load(part, row.init).fit(1))
        found = row.attempt("ours", "fit", lambda: timed(ours, iterations, 2))
        if found is not None:
            row.row["ours"]["fit"], row.row["ours"]["fit_rerun_equal"] = found
            row.check_labels("ours", "fit_check", (ours.labels, ours.centroids))
            check_iterations(row, "ours", ours, iterations)


def timed(problem, iterations, runs):
    """Times, and whether the last run's bits are the first's."""
    times, results = [], []
    for turn in range(runs):
        poison_of(problem)()
        gpu.sync()
        times.append(gpu.once(lambda: results.append(problem.fit(iterations))))
        if turn == 0:
            first = [t.clone() for t in checks.tensors(results[0])]
    last = checks.tensors(results[-1])
    equal = all(torch.equal(a, b) for a, b in zip(first, last, strict=True))
    return gpu.summary(times, "events, warm"), equal


def chart(row):
    """Whole fits of 20 iterations, as users call them."""
    for name, problem in row.loaded.items():
        if name == "ours":
            check_fit(row, name, problem, 20)
        row.bench(name, "fit20", lambda: problem.fit(20), 200)


def call(row):
    """Two iterations from given centroids: from the call to the result, and of that the kernels.

    A captured fit replayed back to back is the kernels with nothing between; the rest is the call's
    overhead. `enqueue` is how long the call keeps the host.
    """
    for name, problem in row.loaded.items():
        if name == "ours":
            check_fit(row, name, problem, 2)
        row.keep(name, "wall", lambda: gpu.wall(lambda: problem.fit(2)))
        row.keep(name, "enqueue", lambda: gpu.wall(lambda: problem.fit(2), wait=False))
    ours = row.loaded.get("ours")
    replay = ours and row.attempt("ours", "graph", lambda: gpu.graph_of(lambda: ours.fit(2)))
    if replay:
        row.keep("ours", "kernels", lambda: gpu.back_to_back(replay))


KINDS = {
    "chart": chart,
    "call": call,
    "steps": steps,
    "small": small,
    "skewed": skewed,
    "tolerance": tolerance,
    "end_to_end": end_to_end,
    **measure_init.KINDS,
}
