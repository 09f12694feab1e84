"""How fast validation is, side by side with others: `python -m benchmarks.validation`.

Every contender runs in a fresh process, all of them once per round, so that a busy moment hits all alike; medians and
the spread are told, as are the peak memory of all processes of a contender (PSS: shared pages once) and ratios.
DuckDB, polars and together are compared if `make peers` has installed them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.checking import decoding, stored
from benchmarks.checking.contenders import CONTENDERS, PEERS
from benchmarks.checking.rows import BAD, generate, spoil

ROOT = Path(__file__).parent.parent
PEERS_PYTHON = ROOT / ".tools" / "peers" / "bin" / "python"
OURS = "droptune, structural rules"
ALL = "droptune, all rules"


def run(name: str, path: Path) -> dict[str, float]:
    """Run one contender in its own process: its seconds, rows, and peak memory in MB."""
    python = PEERS_PYTHON if name in PEERS else sys.executable
    command = [str(python), "-m", "benchmarks.checking.contenders", name, str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, _megabytes_now(child.pid))
        time.sleep(0.02)
    output, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"{name} failed on {path.name}: {child.returncode}")
    return {**json.loads(output.splitlines()[-1]), "peak_mb": peak}


def _megabytes_now(pid: int) -> float:
    total = 0
    try:
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
    except psutil.Error:
        return 0.0
    return total / 2**20


def compare(path: Path, rounds: int) -> None:
    """All contenders on one good file."""
    names = [name for name in CONTENDERS if name not in PEERS or PEERS_PYTHON.exists()]
    if path.suffix == ".parquet":
        names = [name for name in names if name not in ("together", "json.loads loop")]  # they read no such parquet
    else:
        names.remove("Arrow, decoding alone")
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, found in results.items():
            found.append(run(name, path))
    if len(counts := {result["rows"] for found in results.values() for result in found}) != 1:
        raise SystemExit(f"the contenders do not agree on the number of rows: {counts}")
    _print_table(path, counts.pop(), rounds, results)


def _print_table(path: Path, rows: float, rounds: int, results: dict[str, list[dict[str, float]]]) -> None:
    size = path.stat().st_size / 1e6
    medians = {name: statistics.median(run["seconds"] for run in found) for name, found in results.items()}
    print(f"\n{path.suffix[1:]}, {size:.0f} MB, {rows:.0f} rows, {rounds} interleaved rounds\n")
    print("| contender | median s | min-max s | MB/s | peak MB | structural rules are faster by | all rules by |")
    print("|---|---|---|---|---|---|---|")
    for name, found in results.items():
        seconds = sorted(result["seconds"] for result in found)
        peak = max(result["peak_mb"] for result in found)
        print(
            f"| {name} | {medians[name]:.2f} | {seconds[0]:.2f}-{seconds[-1]:.2f} | {size / medians[name]:.0f} "
            f"| {peak:.0f} | {medians[name] / medians[OURS]:.2f} | {medians[name] / medians[ALL]:.2f} |"
        )


def compare_bad(good: Path, rounds: int) -> None:
    """Files whose every row is bad, against the good one, all rules on."""
    files = {"no fault": good} | {kind: spoil(good, kind) for kind in BAD}
    results: dict[str, list[dict[str, float]]] = {kind: [] for kind in files}
    for _ in range(rounds):
        for kind, path in files.items():
            results[kind].append(run(ALL, path))
    base = statistics.median(result["seconds"] for result in results["no fault"])
    print(f"\nall rows bad, {good.stat().st_size / 1e6:.0f} MB, all rules, {rounds} interleaved rounds\n")
    print("| every row has | median s | x good file | peak MB |")
    print("|---|---|---|---|")
    for kind, found in results.items():
        median, peak = statistics.median(result["seconds"] for result in found), max(r["peak_mb"] for r in found)
        print(f"| {kind} | {median:.2f} | {median / base:.2f} | {peak:.0f} |")


def main() -> None:
    """Generate, measure, print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100, help="of JSONL")
    parser.add_argument("--rounds", type=int, default=3)
    sections = ("jsonl", "parquet", "decoding", "bad", "stored", "parts")
    parser.add_argument("--only", choices=sections, action="append", help="some of the sections")
    options = parser.parse_args()
    wanted = options.only or sections
    with tempfile.TemporaryDirectory() as folder:
        files = generate(Path(folder), options.megabytes)
        for kind, path in files.items():
            if kind in wanted:
                compare(path, options.rounds)
        if "decoding" in wanted:
            decoding.compare(files["parquet"], options.rounds)
        if "bad" in wanted:
            compare_bad(files["jsonl"], options.rounds)
        if "stored" in wanted:
            stored.compare(files["jsonl"], options.rounds)
        if "parts" in wanted:
            stored.compare_parts(Path(folder), options.rounds)


if __name__ == "__main__":
    main()
