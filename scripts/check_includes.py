"""Dependencies point one way: cli, tests, benchmarks -> include -> src -> backend/*.

Checks every #include of the tree's C++ files against RULES and names each that breaks them.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# First folder that matches -> (what its files may include of this tree, of other libraries). A name
# that ends in / stands for all below it; "std" is always allowed. "own" are the file's neighbours.
SRC_TOP = ("plan.h", "convergence.h", "validate.h", "lloyd.h", "checkpoint.h", "backend.h", "init/", "stream/", "core/")
SEAM = ("backend.h", "plan.h", "convergence.h", "stream/", "core/")
CUDA = ("cuda.h", "cudaTypedefs.h", "cuda_runtime.h", "cuda_runtime_api.h", "cuda_fp16.h",
        "cuda_bf16.h", "cub/")
C = ("math.h", "pthread.h", "stdint.h", "stdio.h", "stdlib.h", "string.h")
POSIX = ("fcntl.h", "unistd.h", "sys/")
RULES = [
    ("include/warpmeans", ("warpmeans/",), ("stdint.h",)),
    ("src/core", ("warpmeans/", "core/"), ()),
    ("src/c_api", ("warpmeans/", "c_api/"), ()),
    ("src/init", ("warpmeans/", *SRC_TOP), ()),
    ("src/stream", ("warpmeans/", *SEAM), ()),
    ("src/io", ("warpmeans/", "io/", "core/"), ("zlib.h", "nlohmann/", *POSIX)),
    ("src/backend/cpu", ("warpmeans/", "backend/cpu/", *SEAM),
     ("hwy/", "immintrin.h", "cpuid.h", "arm_neon.h", "asm/hwcap.h", "sys/auxv.h", "pthread.h",
      "unistd.h", "sys/syscall.h")),
    ("src/backend/cuda/device", ("warpmeans/", "backend/cuda/device/", "backend/cuda/fit_state.h"),
     CUDA),
    ("src/backend/cuda", ("warpmeans/", "backend/cuda/", "init/init.h", "validate.h", *SEAM), CUDA),
    ("src/backend/no_cuda", ("warpmeans/", "backend.h"), ()),
    ("src/backend/reference", ("warpmeans/", "backend/reference/", "core/"), ()),
    ("src", ("warpmeans/", *SRC_TOP), ()),
    ("cli", ("warpmeans/", "io/", "core/", "fma_peak.h", "own"),
     ("CLI/", "fmt/", "nlohmann/", "unistd.h")),
    ("python/src", ("warpmeans/", "io/", "own"), ("nanobind/", "cuda_runtime_api.h", *POSIX)),
    ("benchmarks", ("warpmeans/", "fma_peak.h", "own"), ("hwy/", "nlohmann/", *POSIX)),
    ("tests", ("warpmeans/", *SRC_TOP, "io/", "backend/", "support/", "evaluate_metrics.h", "own"),
     ("gtest/", "gmock/", "zlib.h", "nlohmann/", "hwy/", "cuda_runtime_api.h", *C, *POSIX)),
]


def is_standard(name):
    return re.fullmatch(r"[a-z_0-9]+", name) is not None


def is_allowed(name, allowed):
    return any(name == a or (a.endswith("/") and name.startswith(a)) for a in allowed)


def problems_of(path):
    relative = path.relative_to(ROOT).as_posix()
    rule = next((r for r in RULES if relative.startswith(r[0] + "/")), None)
    if rule is None:
        yield f"{relative}: no rule for this folder in scripts/check_includes.py"
        return
    folder, ours, theirs = rule
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match or is_standard(match[2]):
            continue
        name = match[2]
        own = "own" in ours and match[1] == '"' and (path.parent / name).is_file()
        if not own and not is_allowed(name, ours) and not is_allowed(name, theirs):
            yield f"{relative}:{number}: {folder}/ may not include {name}"


def main():
    folders = ("include", "src", "cli", "python", "benchmarks", "tests")
    files = [p for f in folders for p in sorted((ROOT / f).rglob("*")) if p.suffix in (".h", ".c", ".cpp", ".cu", ".cuh")]
    problems = [problem for path in files for problem in problems_of(path)]
    print("\n".join(problems) if problems else f"{len(files)} files include only what they may")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
