"""The sections of docs/benchmarks.md: of the newest rows that table.py has read, a table each."""

PEERS = ["sklearn", "faiss_cpu", "sklearnex", "clostera", "superkmeans"]

HOW = """\
# Benchmarks

Made by `benchmarks/table.py` from `benchmarks/results/`; do not edit.
[How to run them](../benchmarks/README.md).

Everything here is on a CPU, float32 where no table says otherwise, and up to the Python package
measured in one run for each row: same points, same given initial centroids, same number of
iterations, same number of threads (all competitors bound to the same processors), peers as
published on PyPI, in turns. Medians; the JSON files have every sample, minimum and maximum. A whole
iteration is assignment and update. It is timed as (t(n₂) − t(n₁)) ÷ (n₂ − n₁) from two whole fits
of n₁ and n₂ iterations, so that what happens once (validation, copies, the last assignment) is left
out on all sides alike. Results are checked in the same run: every competitor's centroids are judged
by one program, and where it starts from the given ones its inertia must agree.
"""

PEER_NOTES = """\
superkmeans prunes by random projections: its labels are approximate, so it is shown and not
compared. superkmeans and clostera take no initial centroids and start from rows of their own
choice, so their inertia is not comparable.
"""

SAME = """\
## The same result

Inertia relative to Warpmeans', and the share of labels that are equal, after the first and after
the last number of iterations. The first must agree to 10⁻⁴. Later, two correct fits may part: one
label between two clusters, decided by a peer's float32 rounding, sends small clusters elsewhere.

"""

ROOFLINE = """\
## Roofline

Iterations (the first left out) as the library's own history reports them: medians. Assignment
alone, 2·n·d·k operations, against a register-resident float32 FMA loop measured in the same run
on the same threads.

"""

CONVERGE = """\
## Whole fits from given centroids, until tol 10⁻⁴ stops them

The same start on both sides; whole calls. Inertia: ours against scikit-learn's.

"""

INIT = """\
## Initial centroids, and whole default fits

Fashion-MNIST 60000 × 784. Seeding is greedy k-means++ with 2 + ⌊ln k⌋ trials on both sides; the
fit is each library's default, seeding included, tol 10⁻⁴. Inertia: our median against
scikit-learn's, over the same number of seeds.

"""

SMALL = """\
## Small problems

Whole calls. The peers are called from Python, Warpmeans from C++; each time includes what its
caller waits for.

"""


WORST = """\
## Where screens and bounds cannot help

Twelve iterations from given centroids, whole calls: what the library chooses, beside the plain path,
which is float32's full passes (skipping off), in turns in one process.

"""

SKIPPING = """\
## Never slower

A grid of shapes, whole fits from given centroids until tol 10⁻⁴: what the library chooses, beside
the same without skipping and beside the plain path, which is float32's full passes, in turns in one
process. Blobs as in the Python package's grid.

"""

PYTHON = """\
## The Python package

Whole calls from Python, in turns, each side in a process of its own; medians over the rounds, one
a seed. `KMeans(k, random_state=seed).fit(x)` draws its initial centroids on both sides; the
drop-ins get the same ones and run 20 iterations on all points. Inertia: our median against the
peer's. Blobs are normal points around k centres, 4 standard deviations apart.

"""

PYTHON_TABLES = {
    "estimator": "`warpmeans.KMeans`",
    "grid": "`warpmeans.KMeans`, a grid of shapes",
    "faiss": "`warpmeans.compat.faiss.Kmeans`",
    "fastkmeans": "`warpmeans.compat.fastkmeans.FastKMeans`",
}


def table(head, lines):
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows) + "\n"


def ms(summary):
    return number(1e3 * summary["median"]) if summary else "–"


def number(value):
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def label(row):
    source = {
        "fashion_mnist": "Fashion-MNIST",
        "embeddings": "sentence embeddings",
        "gaussian": "gaussian",
        "digits": "digits",
        "blobs": "blobs",
    }[row["data"]]
    return f"{row['n']} × {row['d']} {source}, {row['k']}"


def entry(row, name, key="seconds_per_iteration"):
    return row["competitors"].get(name, {}).get(key)


def peer_name(row, name):
    return row["run"]["competitors"][name]["name"]


def ratio_cell(row):
    if "ratio" not in row:
        return "–"
    return f"**{row['ratio']:.2f}×** {peer_name(row, row['fastest_exact_peer'])}"


def iterations(rows):
    names = {n: peer_name(r, n) for r in rows for n in r["competitors"]}
    peers = [name for name in PEERS if name in names]
    head = ["n × d, k", "Warpmeans", *(names[p] for p in peers), "against the fastest exact", "bar"]
    lines = [
        [
            label(row),
            ms(entry(row, "warpmeans")),
            *(ms(entry(row, peer)) for peer in peers),
            ratio_cell(row),
            f"≥ {row['bar']:g}×",
        ]
        for row in rows
    ]
    return "## An iteration, milliseconds\n\n" + table(head, lines) + PEER_NOTES + "\n"


def checked(rows):
    lines = []
    for row in rows:
        cells = []
        for peer in PEERS:
            few, many = (entry(row, peer, "against_warpmeans" + s) for s in ("_few", ""))
            if few:
                agrees = "" if few["agrees"] else " **(disagrees)**"
                cells.append(
                    f"{peer_name(row, peer)} {few['inertia_relative']:+.0e}{agrees}, "
                    f"{100 * few['labels_equal']:.3f} %; then {many['inertia_relative']:+.0e}, "
                    f"{100 * many['labels_equal']:.1f} %"
                )
        first, last = row["iterations"]
        lines.append([label(row), f"{first}, {last}", "<br>".join(cells) or "–"])
    return SAME + table(["n × d, k", "after iterations", "inertia, equal labels"], lines)


def converging(rows):
    head = ["n × d, k", "Warpmeans, s", "iterations", "scikit-learn, s", "iterations", "ratio"]
    head += ["bar", "inertia"]
    lines = []
    for row in rows:
        cells = [label(row)]
        for name in ("warpmeans", "sklearn"):
            found = row["competitors"].get(name)
            cells += (
                [number(found["seconds"]["median"]), str(found["n_iter"])] if found else 2 * "–"
            )
        cells += [f"**{row['ratio']:.2f}×**" if "ratio" in row else "–"]
        cells += [f"≥ {row['bar_converge']:g}×"]
        cells += [f"{row['inertia_relative']:+.1e}" if "ratio" in row else "–"]
        lines.append(cells)
    return CONVERGE + table(head, lines)


def roofline(rows):
    head = ["n × d, k", "iteration, ms", "assign, ms", "update, ms"]
    head += ["assign, GFLOP/s", "FMA peak, GFLOP/s"]
    head += ["share of the peak", "points left to float64"]
    lines = []
    for row in rows:
        own = row["competitors"].get("warpmeans")
        if own:
            lines.append(
                [
                    label(row),
                    ms(own["history_seconds"]),
                    number(1e3 * own["seconds_assign"]),
                    number(1e3 * own["seconds_update"]),
                    number(own["assign_gflops"]),
                    number(own["fma_peak_gflops"]),
                    f"**{100 * own['assign_share_of_peak']:.0f} %**",
                    f"{100 * own['doubtful_share']:.3f} %",
                ]
            )
    return ROOFLINE + table(head, lines)


def initialisation(rows):
    head = ["k", "seeding: Warpmeans, s", "scikit-learn, s", "ratio", "bar"]
    head += ["default fit: Warpmeans, s", "scikit-learn, s", "ratio", "bar", "inertia"]
    lines = []
    for row in rows:
        cells = [str(row["k"])]
        for key, times, bar in (
            ("seeding_seconds", "ratio_seeding", "bar_seeding"),
            ("fit_seconds", "ratio_fit", "bar_fit"),
        ):
            for name in ("warpmeans", "sklearn"):
                found = entry(row, name, key)
                cells.append(number(found["median"]) if found else "–")
            cells += [
                f"**{row[times]:.2f}×**" if times in row else "–",
                f"≥ {row[bar]:g}×" if row[bar] else "–",
            ]
        cells.append(f"{row['inertia_relative']:+.2%}" if "inertia_relative" in row else "–")
        lines.append(cells)
    return INIT + table(head, lines)


def small(rows):
    lines = []
    for row in rows:
        others = [
            f"{row['run']['competitors'][n]['name']} {ms(e['seconds'])}"
            for n, e in row["competitors"].items()
            if n != "warpmeans"
        ]
        own = entry(row, "warpmeans", "seconds")
        lines.append(
            [row["case"], ms(own), f"≤ {1e3 * row['bar_seconds']:g}", "; ".join(others) or "–"]
        )
    head = ["whole fits", "Warpmeans, ms", "bar, ms", "peers, ms"]
    return SMALL + table(head, lines)


def settling(rows):
    text = "## The update as labels settle\n\n"
    for row in rows:
        history = row["history"]
        at = [i for i in (1, 2, 5, 10, 20, 30, 40, 50) if i <= len(history)]
        lines = [
            ["update, ms", *(number(1e3 * history[i - 1]["seconds_update"]) for i in at)],
            ["labels changed", *(str(history[i - 1]["labels_changed"]) for i in at)],
        ]
        text += f"{row['case']}: the last takes {row['share']:.1%} of the first"
        text += f" (bar: ≤ {row['bar_share']:.0%}).\n\n"
        text += table(["iteration", *(str(i) for i in at)], lines)
    return text


def streaming(rows):
    text = "## Files larger than memory\n\n"
    for row in rows:
        text += f"{row['n']} × {row['d']} float32, a file of {row['bytes'] / 2**30:.1f} GiB, k = {row['k']},"
        text += f" {row['memory'] / 2**30:g} GiB allowed; from the page cache. A pass of ours is a Lloyd"
        text += (
            " iteration; of MiniBatchKMeans, one `partial_fit` of every row. Inertia is that of the"
        )
        text += " centroids, all judged by the same program.\n\n"
        lines = []
        for name, entry in row["competitors"].items():
            title = {"warpmeans": "**warpmeans --memory**"}.get(name, name)
            title = {"whole file mapped": "warpmeans, whole file mapped"}.get(name, title)
            lines.append(
                [
                    title,
                    f"{entry['seconds_pass']:.2f}",
                    str(entry["passes"]),
                    f"{entry['inertia']:.6g}",
                    f"{entry['anonymous'] / 2**20:.0f}",
                ]
            )
        text += table(["", "s a pass", "passes", "inertia", "anonymous memory, MiB"], lines)
        same = "the same bits" if row["same_bits"] else "DIFFERENT BITS"
        text += (
            f"\nUnder the limit: {same} as without, and {row['pass_ratio']:.2f} of its time a pass"
        )
        text += " (bar: ≤ 1.1)."
        if disk := row.get("bytes_per_second_from_disk"):
            text += f" From the disk the first pass reads {disk['first_pass'] / 1e9:.2f} GB/s where"
            text += f" `dd` reads {disk['dd'] / 1e9:.2f}: {disk['first_pass'] / disk['dd']:.0%}"
            text += " (bar: 90 %)."
        text += "\n\n"
    return text


def beside_itself(text, rows):
    lines = []
    for row in rows:
        others = [
            f"**{other['times']:.2f}** {other['kernel']}, skipping {other['skipping']}"
            f" (bar: ≤ {other['bar']:g})"
            for other in row["against"]
        ]
        lines.append([row["case"], row["kernel"], ms(row["seconds"]), "; ".join(others)])
    return text + table(["case", "chosen", "ms", "times as long as"], lines)


def worst(rows):
    return beside_itself(WORST, rows)


def skipping(rows):
    return beside_itself(SKIPPING, rows)


def python(rows):
    text = PYTHON
    for kind, title in PYTHON_TABLES.items():
        found = [row for row in rows if row["kind"] == kind]
        if found:
            text += f"### {title}\n\n" + python_table(found)
    for row in rows:
        if "bar_seconds" in row:
            seconds, bar = row["seconds"], 1e6 * row["bar_seconds"]
            what = {
                "overhead": "A call of `warpmeans.kmeans` beside the C++ call, (1000, 16), k = 8",
                "import": "`import warpmeans` beyond NumPy's",
            }[row["kind"]]
            text += f"{what}: **{number(1e6 * seconds['median'])} µs** (bar: ≤ {bar:g}).\n\n"
    return text


def python_table(rows):
    ours, peer = (peer_name(rows[0], name) for name in rows[0]["competitors"])
    head = ["n × d, k", "type", f"{ours}, ms", f"{peer}, ms", "ratio", "bar", "inertia", "rounds"]
    lines = [
        [
            label(row),
            row["dtype"],
            *(ms(found["seconds"]) for found in row["competitors"].values()),
            f"**{row['ratio']:.2f}×**",
            f"≥ {row['bar']:g}×",
            f"{row['inertia_relative']:+.3%}",
            str(min(found["seconds"]["samples"] for found in row["competitors"].values())),
        ]
        for row in sorted(rows, key=lambda row: int(row["case"].rsplit("-", 1)[1]))
    ]
    return table(head, lines)


# (what was measured, its section), in the order of the page
SECTIONS = [
    ("fit", iterations),
    ("converge", converging),
    ("fit", checked),
    ("fit", roofline),
    ("init", initialisation),
    ("small", small),
    ("settle", settling),
    ("stream", streaming),
    ("worst", worst),
    ("skipping", skipping),
    ("python", python),
]
