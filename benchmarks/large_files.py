"""What the parts of a large file take, for the table in docs/operate.md: `python -m benchmarks.large_files`.

Megabytes that one core checks and stages a second, of each format as stored; megabytes of text that gzip is unpacked
at; and what it takes to put the results of all rows together that a snapshot may have. All in seconds of CPU, so that a
busy machine tells the same. Nothing is uploaded.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path

from benchmarks.checking.large import write_large
from benchmarks.validation_memory import parquet, peak_memory
from shared.chatdata.splits import Cuts, Shares, Split
from shared.validation import Policy, Source, freeze, local_source
from shared.validation.chunks import ChunkResult
from shared.validation.digests import DigestEntries
from shared.validation.freezing import count_splits, fold_of, plan_of
from shared.validation.gunzip import Gunzip
from shared.validation.results import OrderedResults
from shared.validation.sources import Chunk


class _NotKept:
    """Training files that nobody keeps."""

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        """Forget a block."""

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        """Forget a file."""


def speeds(megabytes: float) -> dict[str, float]:
    """MB a second of CPU, as stored; `unpacked`: of text."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {ending: folder / f"{at}.{ending}" for at, ending in enumerate(("jsonl", "jsonl.gz", "parquet"))}
        write_large(files["jsonl"], megabytes)
        write_large(files["jsonl.gz"], megabytes)
        parquet(files["parquet"], megabytes / 2)
        for ending, path in files.items():
            began = time.process_time()
            if not freeze([local_source(path)], Policy(), staging=_NotKept()).report.accepted:
                raise SystemExit(f"{ending} was refused")
            found[ending] = path.stat().st_size / 1e6 / (time.process_time() - began)
        with files["jsonl.gz"].open("rb") as file:
            began, text, unpacked = time.process_time(), 0, Gunzip(file.read)
            while data := unpacked.read(1 << 18):
                text += len(data)
        found["unpacked"] = text / 1e6 / (time.process_time() - began)
        found["times as long as stored"] = text / files["jsonl.gz"].stat().st_size
    return found


def assembled(rows: int, parts: int) -> tuple[float, float]:
    """Seconds of CPU and MB of memory for putting together the results of so many rows, in so many parts."""
    import xxhash

    results, each = [], rows // parts
    for part in range(parts):
        entries = DigestEntries()
        digests = [xxhash.xxh3_128_digest(b"%d" % (part * each + row)) for row in range(each)]
        entries.extend(digests, range(1, each + 1), range(each))
        results.append(ChunkResult(rows=each, digests=entries.packed()))
    source = Source(path="rows.jsonl", open=io.BytesIO, size=rows)
    chunks = [Chunk(source, part, part + 1) for part in range(parts)]
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    before, began = peak_memory(), time.process_time()
    fold = fold_of([source], OrderedResults(zip(chunks, results, strict=True)), Policy())
    count_splits(fold, plan_of([source], 0, Cuts(), Shares()))
    fold.digest()
    seconds = time.process_time() - began
    return seconds, peak_memory() - before + sum(len(result.digests) for result in results) / 2**20


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=float, default=200)
    given = parser.parse_args()
    seconds, memory = assembled(Policy().max_rows, 312)
    print(f"assembling {Policy().max_rows} rows: {seconds:.0f} s, {memory:.0f} MB")
    for what, speed in speeds(given.mb).items():
        print(f"{what}: {speed:.3g}")


if __name__ == "__main__":
    main()
