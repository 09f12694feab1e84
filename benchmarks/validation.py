"""How fast validation is, side by side with a plain loop and `datasets`: `python -m benchmarks.validation`.

Rows are generated with a seed, in the shape of ultrachat_200k (several turns, about 5 KB, one in five not
pure ASCII). Every contender runs in a fresh process, all of them once per round, so that a busy moment hits
all alike; medians and the spread are told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil


def generate(folder: Path, megabytes: int) -> dict[str, Path]:
    """Write the same rows as JSONL and as parquet."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    lines, table = folder / "rows.jsonl", folder / "rows.parquet"
    schema = pa.schema(
        [
            ("prompt", pa.string()),
            ("messages", pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))),
            ("prompt_id", pa.string()),
        ]
    )
    with lines.open("w", encoding="utf-8") as out, pq.ParquetWriter(table, schema) as parquet:
        for chunk in _chunks(megabytes * 1_000_000):
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in chunk)
            parquet.write_table(pa.Table.from_pylist(chunk, schema))
    return {"jsonl": lines, "parquet": table}


def _chunks(size: int) -> Iterator[list[dict[str, Any]]]:
    rng = random.Random(20)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(8000)]
    written = 0
    number = 0
    while written < size:
        rows = []
        for _ in range(1000):
            turns = []
            for turn in range(2 * rng.randint(1, 5)):
                length = rng.randint(120, 220) if turn % 2 else rng.randint(10, 60)
                text = " ".join(rng.choices(words, k=length)).replace(" qu", '\n"qu').capitalize()
                if number % 5 == 0:
                    text = f"Über {text}, „naïve“."
                turns.append({"content": text, "role": ("user", "assistant")[turn % 2]})
                written += len(text) + 40
            rows.append({"prompt": turns[0]["content"], "messages": turns, "prompt_id": f"{number:064x}"})
            written += len(turns[0]["content"]) + 110
            number += 1
        yield rows


def plain_loop(path: Path) -> int:
    """What people write first: json.loads and a look at roles and contents; it ends at the first bad row."""
    rows = 0
    with path.open("rb") as lines:
        for line in lines:
            row = json.loads(line)
            before = ""
            for turn in row["messages"]:
                if turn["role"] not in ("user", "assistant") or turn["role"] == before or not turn["content"].strip():
                    raise SystemExit("bad row")
                before = turn["role"]
            rows += 1
    return rows


def with_datasets(path: Path) -> int:
    """Load with `datasets`, cold, and look at every row."""
    from datasets import load_dataset  # type: ignore[import-untyped]

    kind = "parquet" if path.suffix == ".parquet" else "json"
    with tempfile.TemporaryDirectory() as cache:
        rows = load_dataset(kind, data_files=str(path), split="train", cache_dir=cache)
        for row in rows:
            if any(
                turn["role"] not in ("user", "assistant") or not turn["content"].strip() for turn in row["messages"]
            ):
                raise SystemExit("bad row")
        return len(rows)


def structural(path: Path) -> int:
    """Droptune, rules about files, lines and turns."""
    return _droptune(path, meaning=False)


def everything(path: Path) -> int:
    """Droptune, all rules."""
    return _droptune(path, meaning=True)


def _droptune(path: Path, *, meaning: bool) -> int:
    from shared.validation import Policy, local_source
    from shared.validation.processes import check

    report = check([local_source(path)], Policy(meaning=meaning))
    if not report.accepted:
        raise SystemExit(report.summary)
    return report.rows


CONTENDERS: dict[str, dict[str, Callable[[Path], int]]] = {
    "jsonl": {
        "droptune, structural rules": structural,
        "droptune, all rules": everything,
        "json.loads loop": plain_loop,
        "datasets": with_datasets,
    },
    "parquet": {
        "droptune, structural rules": structural,
        "droptune, all rules": everything,
        "datasets": with_datasets,
    },
}


def run(kind: str, name: str, path: Path) -> dict[str, float]:
    """Run one contender in its own process; its peak memory is that of all its processes, shared pages once (PSS)."""
    command = [sys.executable, "-m", "benchmarks.validation", "--one", kind, name, str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, _megabytes_now(child.pid))
        time.sleep(0.01)
    output, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"{name} failed: {child.returncode}")
    return {**json.loads(output.splitlines()[-1]), "peak_mb": peak}


def one(kind: str, name: str, path: Path) -> None:
    """The child's side of `run`: seconds of work after imports of this module."""
    started = time.perf_counter()
    rows = CONTENDERS[kind][name](path)
    print(json.dumps({"seconds": time.perf_counter() - started, "rows": rows}))


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


def main() -> None:
    """Generate, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=sorted(CONTENDERS), help="one of the two formats")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "NAME", "PATH"))
    options = parser.parse_args()
    if options.one:
        kind, name, path = options.one
        return one(kind, name, Path(path))
    with tempfile.TemporaryDirectory() as folder:
        files = generate(Path(folder), options.megabytes)
        for kind, path in files.items():
            if options.only in (None, kind):
                _compare(kind, path, options.rounds)
    return None


def _compare(kind: str, path: Path, rounds: int) -> None:
    size = path.stat().st_size / 1e6
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS[kind]}
    for _ in range(rounds):
        for name, found in results.items():
            found.append(run(kind, name, path))
    print(f"\n{kind}, {size:.0f} MB, {results['datasets'][0]['rows']:.0f} rows, {rounds} interleaved rounds")
    print("| contender | median s | min-max s | MB/s | peak MB | x datasets |")
    print("|---|---|---|---|---|---|")
    base = statistics.median(result["seconds"] for result in results["datasets"])
    for name, found in results.items():
        seconds = sorted(result["seconds"] for result in found)
        median, peak = statistics.median(seconds), max(result["peak_mb"] for result in found)
        print(
            f"| {name} | {median:.2f} | {seconds[0]:.2f}-{seconds[-1]:.2f} | {size / median:.0f} | {peak:.0f} "
            f"| {base / median:.1f} |"
        )


if __name__ == "__main__":
    main()
