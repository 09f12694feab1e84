"""What 20 GB take, by the format of the file and the number of instances: the table in docs/operate.md.

Called by `python -m scripts.docs`. Speeds were measured (`python -m benchmarks.large_files`); all else is computed from
them and from the limits in the code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from shared.config.settings import Settings
from shared.snapshots.memory import footprint
from shared.snapshots.part_check import AT_ONCE
from shared.validation import Policy

HOST = Path(__file__).parent.parent / "host.json"
# MB that one core checks and stages a second (of gzip: of its text), and MB of text that it only unpacks.
SPEEDS = {"jsonl": 58.0, "jsonl.gz": 42.0, "parquet": 32.0}
UNPACKED = 213.0
# Seconds and MB for putting together the results of all rows that a snapshot may have.
ASSEMBLED_SECONDS, ASSEMBLED_MB = 3.0, 210.0
LARGEST_MB = Policy().max_total_bytes / 1e6
INSTANCES = (1, 4, 16)
MEMORY_OF_INSTANCES = (2048, 4096)
_NAMES = {"jsonl": "JSONL", "jsonl.gz": "text in one gzip file", "parquet": "parquet, as stored"}


def table() -> str:
    """The tables as Markdown."""
    return "\n".join([*_times(), "", *_memory(), "", _longest()])


def parts() -> int:
    """Into how many parts the largest file is cut."""
    return math.ceil(LARGEST_MB / _default("validation_part_mb"))


def seconds(ending: str, instances: int) -> float:
    """How long it takes to check the largest file of a format, and to put the results together."""
    workers = 1 if ending == "jsonl.gz" else min(instances, parts())
    return LARGEST_MB / SPEEDS[ending] / workers + ASSEMBLED_SECONDS


def _times() -> Iterator[str]:
    heads = " | ".join(f"{count} instance{'s' * (count > 1)}" for count in INSTANCES)
    yield f"| {LARGEST_MB / 1000:g} GB of | parts | {heads} |"
    yield "|---|---|" + "---|" * len(INSTANCES)
    for ending, name in _NAMES.items():
        times = " | ".join(_minutes(seconds(ending, instances)) for instances in INSTANCES)
        yield f"| {name} | {parts()} | {times} |"


def _memory() -> Iterator[str]:
    yield "| memory of an instance | `VALIDATION_MEMORY_MB` | parts of the largest kind at once | together, at most |"
    yield "|---|---|---|---|"
    one = footprint(int(_default("validation_part_mb") * 1e6), parquet=True) / 2**20
    for size in MEMORY_OF_INSTANCES:
        at_once = max(1, min(AT_ONCE, int(size / 2 // one)))
        yield f"| {size:,} MB | {size // 2} | {at_once} | {at_once * one + ASSEMBLED_MB:.0f} MB |"


def _longest() -> str:
    """What one invocation takes at most, beside what the platform allows."""
    hours, minutes, whole = map(int, json.loads(HOST.read_text())["functionTimeout"].split(":"))
    allowed = 60 * hours + minutes + whole / 60
    gzip = seconds("jsonl.gz", 1) / 60
    unpacked = LARGEST_MB / UNPACKED
    part = _default("validation_part_mb") / SPEEDS["parquet"]
    return (
        f"An invocation checks a part in {math.ceil(part)} s; of a gzip file it checks as many as it comes to, all of "
        f"them in {gzip:.0f} of the {allowed:.0f} minutes that it has. Who goes on with it after it was cut off "
        f"unpacks up to there, {unpacked / 60:.1f} minutes at most. Putting {Policy().max_rows:,} rows together takes "
        f"{ASSEMBLED_SECONDS:.0f} s and {ASSEMBLED_MB:.0f} MB."
    )


def _default(setting: str) -> float:
    return float(Settings.model_fields[setting].default)


def _minutes(found: float) -> str:
    return f"{found:.0f} s" if found < 90 else f"{found / 60:.0f} min"
