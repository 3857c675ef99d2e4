"""The card: clocks, ceilings, points. What touches CUDA itself is here, and in the adapters."""

import os
import platform
import statistics
import subprocess
import time

import torch
import triton

DEVICE = "cuda"
LONG_MS = 50  # a call longer than this is timed by `few`, whose samples are fewer


class DeviceLost(RuntimeError):
    """An error that this process's CUDA context does not survive."""


def sync():
    torch.cuda.synchronize()


def stream():
    return torch.cuda.current_stream().cuda_stream


def is_alive():
    try:
        sync()
        release()
        return int(torch.ones(1, device=DEVICE).item()) == 1
    except RuntimeError:
        return False


def summary(values, regime):
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "samples": len(values),
        "regime": regime,
    }


def once(call):
    """Milliseconds of one call."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    sync()
    return start.elapsed_time(end)


def bench(call, rep=500, limit_ms=None):
    """do_bench's milliseconds: warm, L2 flushed before each call, about `rep` ms of them, and 20
    samples or more of what takes up to LONG_MS. Slower than `limit_ms`: one sample only."""
    call()
    sync()
    first = once(call)
    if limit_ms and first > limit_ms:
        return summary([first], f"once: over {limit_ms} ms")
    if first > LONG_MS:
        return few(call, max(3, min(20, int(2 * rep / first))))
    rep = int(max(rep, 20 * first + 25))
    return summary(triton.testing.do_bench(call, rep=rep, return_mode="all"), "do_bench")


def few(call, samples):
    """do_bench's loop without its estimates, for what takes long: L2 flushed before each call."""
    driver = triton.runtime.driver.active
    cache = driver.get_empty_cache_for_benchmark()
    times = []
    for _ in range(samples):
        driver.clear_cache(cache)
        times.append(once(call))
    return summary(times, "do_bench's loop, few samples")


def wall(call, samples=300, wait=True):
    """The host's milliseconds of a call and, if `wait`, until its work is done; the GPU idle before."""
    times = []
    for _ in range(samples):
        sync()
        start = time.perf_counter()
        call()
        if wait:
            sync()
        times.append(1e3 * (time.perf_counter() - start))
    return summary(times, "host's clock" if wait else "host's clock, without the wait")


def back_to_back(call, calls=50, samples=20):
    """Milliseconds of a call among many that are enqueued at once."""
    times = []
    for _ in range(samples):
        sync()
        times.append(once(lambda: [call() for _ in range(calls)]) / calls)
    return summary(times, "events around 50 calls")


def graph_of(call):
    """`call` captured once; what it returns replays it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        call()
    torch.cuda.current_stream().wait_stream(side)
    sync()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def ceilings(rep):
    """cuBLAS at 8192 cubed, TFLOP/s by dtype, and a copy of 4 GiB, TB/s read and written."""
    found = {}
    size = 8192
    for dtype in ("float16", "bfloat16"):
        a, b = (torch.randn(size, size, device=DEVICE, dtype=getattr(torch, dtype)) for _ in "ab")
        out = torch.empty_like(a)
        found[dtype] = bench(lambda: torch.mm(a, b, out=out), rep)
        found[dtype]["tflops"] = 2e-9 * size**3 / found[dtype]["median"]
        del a, b, out
    source = torch.empty(1 << 32, dtype=torch.uint8, device=DEVICE).fill_(1)
    target = torch.empty_like(source)
    found["copy"] = bench(lambda: target.copy_(source), rep)
    found["copy"]["tb_per_s"] = 2e-9 * source.numel() / found["copy"]["median"]
    return found


def make_points(shape, seed=0):
    """(batch, n, d) standard normal, made in its own dtype, in pieces; with "groups" about as many
    centres, three times as far apart."""
    size = (shape["batch"], shape["n"], shape["d"])
    points = torch.empty(size, dtype=getattr(torch, shape["dtype"]), device=DEVICE)
    generator = torch.Generator(device=DEVICE).manual_seed(seed)
    for piece in points.view(-1).split(1 << 28):
        piece.normal_(generator=generator)
    if "groups" in shape:
        for item in points:
            centres = torch.randn(shape["groups"], shape["d"], generator=generator, device=DEVICE)
            of_row = torch.randint(
                shape["groups"], (shape["n"],), generator=generator, device=DEVICE
            )
            item += (3 * centres).to(item.dtype)[of_row]
    return points


def make_init(points, k, seed=1):
    """(batch, k, d) float32: the first k rows of one random permutation, the same in every item."""
    generator = torch.Generator(device=DEVICE).manual_seed(seed)
    rows = torch.randperm(points.shape[1], device=DEVICE, generator=generator)[:k]
    return points[:, rows].float().contiguous()


def release():
    torch.cuda.empty_cache()


def driver():
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.split()
        return found[0] if found else None
    except (OSError, subprocess.TimeoutExpired):
        return None


def about():
    """The machine, and the versions of what is measured here."""
    properties = torch.cuda.get_device_properties(0)
    return {
        "machine": {
            "card": properties.name,
            "driver": driver(),
            "multiprocessors": properties.multi_processor_count,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "versions": {
            "torch": torch.__version__,
            "triton": triton.__version__,
            "cuda": torch.version.cuda,
            "python": platform.python_version(),
        },
    }
