"""Greedy k-means++ as well as torch does it: one problem, all trials of a step by one product, and a
step as a CUDA graph that is replayed, so that the host neither waits nor computes in between."""

import torch


class Seeding:
    """Points (n, d). `products`: the type in which distances to trials are multiplied, "tf32" or
    "float16" (of a copy that is made once); `compiled`: elementwise work by torch.compile."""

    def __init__(self, points, k, trials, products="tf32", compiled=False):
        self.points, self.k, self.trials = points, k, trials
        self.name = products + (", compiled" if compiled else "")
        n = len(points)
        self.tf32 = products == "tf32"
        self.rows = points if self.tf32 else points.to(torch.float16)
        self.squares = torch.empty(n, device=points.device)
        self.closest = torch.empty(n, device=points.device)
        self.chosen = torch.zeros(k, dtype=torch.int64, device=points.device)
        self.fractions = torch.empty(k, trials, device=points.device)
        self.turn = torch.zeros(1, dtype=torch.int64, device=points.device)
        self.left = torch.compile(left_by, dynamic=False) if compiled else left_by
        self.graph = None

    def step(self):
        u = self.fractions.index_select(0, self.turn)[0]
        masses = self.closest.cumsum(0)
        trials = torch.searchsorted(masses, u * masses[-1]).clamp_(max=len(masses) - 1)
        dots = self.rows @ self.rows.index_select(0, trials).T
        closest, sums = self.left(self.closest, self.squares, dots, self.squares[trials])
        best = sums.argmin()[None]
        self.closest.copy_(closest.index_select(1, best)[:, 0])
        self.chosen.index_copy_(0, self.turn, trials.index_select(0, best))
        self.turn += 1

    def begin(self, generator):
        """The first row, by chance, and the distances to it."""
        points = self.points
        self.fractions.uniform_(generator=generator)
        torch.sum(points.float() ** 2, 1, out=self.squares)
        first = torch.randint(len(points), (1,), generator=generator, device=points.device)
        self.chosen[0] = first[0]
        self.closest.copy_(((points - points[first]).float() ** 2).sum(1))
        self.turn.fill_(1)

    def __call__(self, seed=0):
        """The rows of the seeds."""
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        try:
            generator = torch.Generator(device=self.points.device).manual_seed(seed)
            self.begin(generator)
            if self.graph is None:
                self.capture()
                self.turn.fill_(1)
                self.begin(generator.manual_seed(seed))
            for _ in range(1, self.k):
                self.graph.replay()
            return self.chosen
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    def capture(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.step()  # compiles, and makes cuBLAS's handles
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()


    def release(self):
        """What it holds on the device; the name stays."""
        self.graph = self.rows = self.points = None
        self.squares = self.closest = self.chosen = self.fractions = None


def seedings(points, k, trials):
    """Every way, made when its turn comes."""
    for products in ("tf32", "float16"):
        for compiled in (False, True):
            yield Seeding(points, k, trials, products, compiled)


def left_by(closest, squares, dots, trial_squares):
    """Squared distances with each trial as one more seed (n, trials), and their sums."""
    apart = squares[:, None] + trial_squares - 2 * dots.float()
    apart = torch.minimum(apart.clamp_min(0), closest[:, None])
    return apart, apart.sum(0)


def inertia_of(points, rows):
    """Sum of float64 squared distances to the nearest of these rows."""
    seeds = points[rows].double()
    total = 0.0
    for part in points.split(1 << 18):
        part = part.double()
        apart = (part * part).sum(1)[:, None] + (seeds * seeds).sum(1) - 2 * part @ seeds.T
        total += float(apart.min(1).values.sum())
    return total
