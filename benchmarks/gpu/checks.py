"""One judge for everyone's results, in float64."""

import math

import torch

PIECE_BYTES = 1 << 30
TIE = 1e-5  # of |x||c|: what float32 accumulation may decide either way


def flat(labels, k):
    """(batch * n) int64: labels that name the cluster and its item."""
    first = torch.arange(labels.shape[0], device=labels.device)[:, None] * k
    return (labels.long() + first).reshape(-1)


def labels_of(points, centroids, labels, rounded=True, rows=2048):
    """Labels against the float64 argmin, on about `rows` rows spread over the batch, first and last
    among them. `rounded`: with the centroids in the points' type. `wrong`: worse than a tie, or no
    label at all (that, of all rows). `ties`: not the argmin, but as good within float32's reach."""
    batch, n, _ = points.shape
    k = centroids.shape[1]
    unlabelled = int(((labels < 0) | (labels >= k)).sum())
    generator = torch.Generator().manual_seed(2)
    each = min(n, max(2, rows // batch))
    some = torch.randint(0, n, (each,), generator=generator)
    some[0], some[-1] = 0, n - 1
    some = some.unique().to(points.device)
    items = max(1, PIECE_BYTES // (8 * k * len(some)))
    wrong = ties = 0
    for b in range(0, batch, items):
        x = points[b : b + items, some].double()
        c = centroids[b : b + items]
        c = (c.to(points.dtype) if rounded else c).double()
        scores = x @ c.transpose(1, 2)
        scores -= (c * c).sum(-1)[:, None] / 2
        best, argmin = scores.max(-1)
        got = labels[b : b + items, some].long()
        valid = (got >= 0) & (got < k)
        got = got.clamp(0, k - 1)
        behind = best - scores.gather(2, got[..., None])[..., 0]
        lengths = c.norm(dim=-1)
        length = torch.maximum(lengths.gather(1, got), lengths.gather(1, argmin))
        worse = behind > TIE * x.norm(dim=-1) * length
        wrong += int((worse & valid).sum())
        ties += int((valid & ~worse & (got != argmin)).sum())
    return {"wrong": wrong + unlabelled, "ties": ties, "unlabelled": unlabelled,
            "rows": len(some) * batch}  # fmt: skip


def means_of(points, labels, k):
    """(batch, k, d) float64 means, (batch, k) counts; zeros where a cluster is empty."""
    batch, _, d = points.shape
    where = flat(labels, k)
    rows = points.reshape(-1, d)
    sums = torch.zeros(batch * k, d, dtype=torch.float64, device=points.device)
    step = max(1, PIECE_BYTES // (8 * d))
    for i in range(0, len(rows), step):
        sums.index_add_(0, where[i : i + step], rows[i : i + step].double())
    counts = torch.bincount(where, minlength=batch * k)
    sums /= counts.clamp(min=1)[:, None]
    return sums.view(batch, k, d), counts.view(batch, k)


def update_of(reference, centroids, counts=None):
    """Centroids against means_of's, where a cluster has points."""
    means, right = reference
    error = (means - centroids.double()).abs().amax(-1)
    found = {"max_abs_error": finite(error[right > 0].max()), "empty": int((right == 0).sum())}
    if counts is not None:
        found["counts_equal"] = bool(torch.equal(counts, right))
        found["empty_are_zero"] = bool((centroids[right == 0] == 0).all())
    return found


def finite(value):
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def nearest(points, centroids):
    """(batch, n) labels by float64."""
    batch, n, _ = points.shape
    labels = torch.empty((batch, n), dtype=torch.int64, device=points.device)
    near = centroids.double()
    step = max(1, PIECE_BYTES // (8 * centroids.shape[1]))
    for b in range(batch):
        offsets = (near[b] * near[b]).sum(-1) / -2
        for i in range(0, n, step):
            scores = torch.addmm(offsets, points[b, i : i + step].double(), near[b].T)
            labels[b, i : i + step] = scores.argmax(1)
    return labels


def inertia_of(points, centroids, labels):
    """Sum over the whole batch, of these labels with these centroids."""
    d = points.shape[2]
    where = flat(labels, centroids.shape[1])
    rows, near = points.reshape(-1, d), centroids.reshape(-1, d)
    step = max(1, PIECE_BYTES // (16 * d))
    total = 0.0
    for i in range(0, len(rows), step):
        gap = rows[i : i + step].double() - near[where[i : i + step]].double()
        total += float((gap * gap).sum())
    return finite(total)


def same(call, other=None, poison=None):
    """Do two calls (or a call of each) give the same bits?"""
    first = [t.clone() for t in tensors(call())]
    if poison:
        poison()
    second = tensors((other or call)())
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def tensors(found):
    found = found if isinstance(found, tuple) else (found,)
    return [t for t in found if isinstance(t, torch.Tensor)]
