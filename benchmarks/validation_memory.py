"""How much memory several validations take in one process: `python -m benchmarks.validation_memory [--mb 64]`.

As many threads as a Functions host gives to queue messages check a file each, as the app does it: through the reader of
blobs, staging what they accept, under the bound of the process. Each kind of file has a process of its own, which tells
its peak of resident memory above what it had when all was loaded; and how much of it the bound had counted.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.checking.large import write_large
from shared.azure.storage import READ_BLOCK, READ_BUFFER
from shared.azure.storage.readahead import ReadAhead
from shared.chatdata.splits import Split
from shared.config.settings import Settings
from shared.errors import NotReady
from shared.snapshots.memory import MemoryBound, footprint
from shared.validation import Policy, Source, freeze

# Messages that a host takes at once: `batchSize` and half of it.
THREADS = 6
MB = 2**20


def rows(path: Path, megabytes: float) -> None:
    """Rows of the usual size."""
    write_large(path, megabytes)


def short_rows(path: Path, megabytes: float) -> None:
    """Rows of hardly any text, whose hashes are as long as they are."""
    with path.open("wb") as out:
        number = 0
        while out.tell() < megabytes * 1e6:
            turns = [{"role": "user", "content": f"{number:x}"}, {"role": "assistant", "content": "y"}]
            out.write(json.dumps({"messages": turns}, separators=(",", ":")).encode() + b"\n")
            number += 1


def parquet(path: Path, megabytes: float) -> None:
    """The usual rows as parquet, in row groups of the usual size."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    lines = path.with_suffix(".jsonl")
    write_large(lines, 2 * megabytes)  # which takes half as much as parquet
    writer = None
    with lines.open("rb") as file:
        while batch := [json.loads(line) for line in file.readlines(200_000_000)]:
            table = pa.Table.from_pylist(batch)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    if writer:
        writer.close()
    lines.unlink()


KINDS: dict[str, tuple[str, Callable[[Path, float], None]]] = {
    "jsonl": (".jsonl", rows),
    "jsonl.gz": (".jsonl.gz", rows),
    "short": (".jsonl", short_rows),
    "parquet": (".parquet", parquet),
}


class _Nowhere:
    """Training files that nobody keeps, which take as long as an upload does."""

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        """Forget a block."""
        time.sleep(len(data) / 200e6)

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        """Forget a file."""


def peak(path: Path, most_mb: float, threads: int) -> dict[str, float]:
    """Checks the file in so many threads at once; the peak of memory and of what was counted, in MB."""
    import pyarrow.parquet  # noqa: F401 - loaded once, whoever needs it first

    bound, before = MemoryBound(), peak_memory()
    counted: list[float] = []

    def check() -> None:
        while True:
            try:
                with bound.room_for(size, most_mb):
                    counted.append(bound.taken)
                    freeze([source], Policy(), staging=_Nowhere())
                    return
            except NotReady:
                time.sleep(0.05)

    def opened() -> io.BufferedReader:
        def fill(offset: int, room: memoryview) -> None:
            with path.open("rb", buffering=0) as file:
                file.seek(offset)
                file.readinto(room)

        return io.BufferedReader(ReadAhead(fill, path.stat().st_size, READ_BLOCK), READ_BUFFER)

    source = Source(path=path.name, open=opened, size=path.stat().st_size)
    size = footprint(source.text_size, parquet=path.suffix == ".parquet")
    started = [threading.Thread(target=check) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    taken, estimate = max(counted) / MB, size / MB
    return {"peak": peak_memory() - before, "counted": taken, "estimate": estimate, "size": source.size / 1e6}


def peak_memory() -> float:
    """The peak of resident memory so far, in MB. `getrusage` would tell that of the parent if it was higher."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def measure(path: Path, most_mb: float, threads: int) -> dict[str, float]:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.validation_memory", "--file", str(path), "--threads", str(threads)]
    command += ["--most-mb", str(most_mb)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Prints a table; or, for one file, what was measured as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=float, default=64)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=[*KINDS])
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--most-mb", type=float, default=Settings.model_fields["validation_memory_mb"].default)
    parser.add_argument("--file", type=Path)
    given = parser.parse_args()
    if given.file:
        print(json.dumps(peak(given.file, given.most_mb, given.threads)))
        return
    print("| kind | MB stored | threads | estimate of one | counted at most | peak |\n|---|---|---|---|---|---|")
    for kind in given.kinds:
        ending, write = KINDS[kind]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"rows{ending}"
            write(path, given.mb)
            for threads in sorted({1, given.threads}):
                found = measure(path, given.most_mb, threads)
                numbers = (found["size"], threads, found["estimate"], found["counted"], found["peak"])
                print(f"| {kind} | {' | '.join(f'{number:.0f}' for number in numbers)} |", flush=True)


if __name__ == "__main__":
    main()
