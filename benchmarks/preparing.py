"""How fast `droptune prepare` is, beside `datasets` on the same conversion: `python -m benchmarks.preparing`.

Both read a file, make messages of each row, and write JSONL. Every contender runs in a fresh process, once per round;
told are the seconds of wall clock and of CPU (medians), the peak of memory, and the ratio of CPU. Where the disk is
busy, the clock says more of that.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SHAPES = {
    "alpaca.json": "a JSON array, Alpaca",
    "sharegpt.jsonl": "JSONL, ShareGPT",
    "faq.csv": "CSV",
    "dolly.parquet": "parquet",
}


def main() -> int:
    """Measures all shapes, or (in a process of its own) runs one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", nargs=3, metavar=("NAME", "FILE", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        return _run(*given.contender)
    print("| input | MB | droptune prepare: s, CPU s, MB of memory | datasets: s, CPU s, MB of memory | ratio of CPU |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, about in SHAPES.items():
            _compare(make(Path(folder) / name, given.rows), about, given.rounds)
    return 0


def _compare(file: Path, about: str, rounds: int) -> None:
    found: dict[str, list[dict[str, float]]] = {"droptune": [], "datasets": []}
    for turn in range(rounds):
        for name, measured in found.items():
            with tempfile.TemporaryDirectory() as out:
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.preparing",
                    "--contender",
                    name,
                    str(file),
                    f"{out}/{turn}",
                ]
                done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            measured.append(json.loads(done.stdout.splitlines()[-1]))
    median = {
        name: {key: statistics.median(one[key] for one in measured) for key in ("seconds", "cpu", "memory")}
        for name, measured in found.items()
    }
    shown = [f"{one['seconds']:.1f}, {one['cpu']:.1f}, {one['memory']:.0f}" for one in median.values()]
    ratio = median["datasets"]["cpu"] / median["droptune"]["cpu"]
    print(f"| {about} | {file.stat().st_size / 1e6:.0f} | {shown[0]} | {shown[1]} | {ratio:.1f} |", flush=True)


def make(file: Path, rows: int) -> Path:
    """A file of so many rows in the shape that its name says."""
    text = "the order came late and the label did not print so I called twice and nobody was there to help"
    words = text.split()
    asked = [" ".join(words[(n + at) % len(words)] for at in range(30)) + f" {n}?" for n in range(rows)]
    answers = [" ".join(words[(3 * n + at) % len(words)] for at in range(90)) + f" {n}." for n in range(rows)]
    pairs = list(zip(asked, answers, strict=True))
    if file.name == "alpaca.json":
        file.write_text(json.dumps([{"instruction": q, "input": "", "output": a} for q, a in pairs], indent=2))
    elif file.name == "sharegpt.jsonl":
        turns = ([{"from": "human", "value": q}, {"from": "gpt", "value": a}] for q, a in pairs)
        file.write_text("".join(json.dumps({"conversations": one}) + "\n" for one in turns))
    elif file.name == "faq.csv":
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([("question", "answer"), *pairs])
    else:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        pq.write_table(pa.table({"instruction": asked, "context": [""] * rows, "response": answers}), file)
    return file


def _run(name: str, file: str, out: str) -> int:
    started = time.perf_counter()
    rows = (_droptune if name == "droptune" else _datasets)(Path(file), Path(out))
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(
        json.dumps(
            {
                "rows": rows,
                "seconds": seconds,
                "cpu": used.ru_utime + used.ru_stime,
                "memory": int(peak.split()[1]) / 1024,
            }
        )
    )
    return 0


def _droptune(file: Path, out: Path) -> int:
    from cli.prepare import Preparation, prepare

    return prepare(Preparation(str(file), out)).rows["train"]


def _datasets(file: Path, out: Path) -> int:
    from datasets import load_dataset  # type: ignore[import-untyped]

    kinds = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}
    loaded = load_dataset(kinds[file.suffix], data_files=str(file), split="train", cache_dir=str(out / "cache"))
    converted = loaded.map(_CONVERSIONS[file.name], remove_columns=loaded.column_names)
    converted.to_json(str(out / "train.jsonl"))
    return len(converted)


def _pair(asked: str, answer: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def convert(row: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": row[asked]}, {"role": "assistant", "content": row[answer]}]}

    return convert


def _sharegpt(row: dict[str, Any]) -> dict[str, Any]:
    roles = {"human": "user", "gpt": "assistant"}
    return {"messages": [{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]}


_CONVERSIONS = {
    "alpaca.json": _pair("instruction", "output"),
    "sharegpt.jsonl": _sharegpt,
    "faq.csv": _pair("question", "answer"),
    "dolly.parquet": _pair("instruction", "response"),
}

if __name__ == "__main__":
    sys.exit(main())
