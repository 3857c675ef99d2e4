"""k-means as one writes it in torch: scores by a GEMM in the points' type with the half norms as
its bias, argmax; sums by index_add_ in float32."""

import torch

PIECE_BYTES = 1 << 31  # of scores
SMALL = 1 << 22  # scores of an item under which items are multiplied together


class Adapter:
    name = "torch"
    version = torch.__version__

    def __init__(self, args):
        pass

    def load(self, points, init):
        return Problem(points, init)


class Problem:
    limit_ms = 50  # what takes longer is timed once only
    rep = 200

    def __init__(self, points, init):
        self.points = points
        self.init = init.to(points.dtype).contiguous()
        self.done = None
        self.labels = torch.empty(points.shape[:2], dtype=torch.int64, device=points.device)

    def assign(self, centroids=None):
        c = self.init if centroids is None else centroids
        (batch, n, _), k = self.points.shape, c.shape[1]
        bias = (c.float().square().sum(-1) / -2).to(c.dtype)  # (batch, k)
        size = c.element_size()
        if n * k < SMALL and batch > 1:
            step = max(1, PIECE_BYTES // (n * k * size))
            for b in range(0, batch, step):
                some = slice(b, b + step)
                scores = torch.baddbmm(
                    bias[some, None], self.points[some], c[some].transpose(1, 2)
                )
                torch.argmax(scores, dim=2, out=self.labels[some])
            return self.labels
        step = min(n, max(1, PIECE_BYTES // (k * size)))
        room = torch.empty(step, k, dtype=c.dtype, device=c.device)
        for b in range(batch):
            for i in range(0, n, step):
                rows = self.points[b, i : i + step]
                scores = torch.addmm(bias[b], rows, c[b].T, out=room[: len(rows)])
                torch.argmax(scores, dim=1, out=self.labels[b, i : i + step])
        return self.labels

    def update(self, labels, centroids=None):
        old = self.init if centroids is None else centroids
        batch, k, d = old.shape
        first = torch.arange(batch, device=old.device)[:, None] * k
        where = (labels.long() + first).view(-1)
        rows = self.points.view(-1, d)
        sums = torch.zeros(batch * k, d, device=old.device)
        counts = torch.zeros(batch * k, device=old.device)
        step = 1 << 20
        for i in range(0, len(rows), step):
            sums.index_add_(0, where[i : i + step], rows[i : i + step].float())
        counts.index_add_(0, where, torch.ones_like(where, dtype=torch.float32))
        means = (sums / counts.clamp(min=1)[:, None]).view(batch, k, d)
        return torch.where((counts > 0).view(batch, k, 1), means, old.float()).to(old.dtype)

    def iteration(self, centroids=None):
        labels = self.assign(centroids)
        return labels, self.update(labels, centroids)

    def fit_to(self, tol, max_iter):
        """Stops by the seed's rule: the largest shift of a centroid is under tol."""
        centroids = self.init
        for self.done in range(1, max_iter + 1):
            labels, found = self.iteration(centroids)
            shift = (found.float() - centroids.float()).norm(dim=-1).max()
            centroids = found
            if shift < tol:
                break
        return labels, centroids

    def default_fit(self, seed):
        """Rows by chance, then to a shift of 1e-4 or 100 iterations."""
        torch.manual_seed(seed)
        given, n = self.init, self.points.shape[1]
        rows = torch.randperm(n, device=self.points.device)[: given.shape[1]]
        self.init = self.points[:, rows]
        try:
            _, centroids = self.fit_to(1e-4, 100)
        finally:
            self.init = given
        return centroids, self.done

    def iterations_done(self):
        return [self.done]
