"""One competitor in one process: JSON commands on standard input, JSON answers on standard output.

Started by harness.Worker; keeps its data loaded between commands so that repeats can interleave.
"""

import json
import os
import sys
import traceback
from pathlib import Path

import numpy as np

import adapters
import data


def strip(outcome, centroids_path):
    """Arrays do not travel as JSON: centroids go to a file (those of the shorter fit of a run to
    another beside it) when asked for."""
    for key, suffix in (("centroids", ""), ("centroids_few", ".few.npy")):
        centroids = outcome.pop(key, None)
        if centroids_path and centroids is not None:
            data.save(Path(centroids_path + suffix), np.ascontiguousarray(centroids))
    return outcome


def answer(adapter, command):
    op = command["op"]
    out = command.get("centroids")
    if op == "load":
        adapter.prepare(command["points"], command.get("init"), command["threads"])
        return {}
    if op == "warm_up":
        adapter.warm_up()
        return {}
    if op == "run":
        return strip(adapter.run(command["iterations"]), out)
    if op == "fit":
        return {
            "fits": [strip(adapter.fit(command["n_iter"]), out) for _ in range(command["times"])]
        }
    if op == "converge":
        return strip(adapter.converge(command["tol"], command["max_iter"]), out)
    if op == "repeat":
        return {"seconds": adapter.repeat(command["n_iter"], command["times"])}
    if op == "default_fit":
        return strip(adapter.default_fit(command["k"], command["seed"]), out)
    if op == "seeding":
        return adapter.seeding(command["k"], command["seed"])
    if op == "choose":
        adapter.choose(command["kernel"], command["skipping"])
        return {}
    if op == "peak":
        return {"gflops": adapter.peak()}
    raise ValueError(f"unknown op {op!r}")


def main():
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a competitor prints must not mix with the answers
    options = json.loads(sys.argv[2])
    adapter = adapters.load(sys.argv[1], **options)
    hello = {key: getattr(adapter, key) for key in ("name", "exact", "given_init", "note")} | {
        "version": adapter.version()
    }
    replies.write(json.dumps(hello) + "\n")
    replies.flush()
    for line in sys.stdin:
        try:
            reply = answer(adapter, json.loads(line))
        except Exception as error:  # the harness decides what a failure means
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
