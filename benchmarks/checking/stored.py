"""Validation as the app does it: over blob storage, and file by file in several workers.

Storage is Azurite, in memory, on the same cores; so a download is what it costs at least. How workers add up is shown
with paced files instead, as one Azurite process would be what is measured.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.checking.rows import generate
from local.azurite import AzuritePorts, answers, command
from local.ports import free_port
from local.processes import ChildProcess
from shared.azure.storage import Storage
from shared.chatdata.splits import Cuts, Shares, Split
from shared.snapshots.blob_staging import BlobStaging
from shared.validation import Policy, Source, ValidationReport, freeze, local_source
from shared.validation.chunks import whole_files
from shared.validation.freezing import Assembly, check_chunk, plan_of

CONCURRENCY = (1, 2, 4, 8)
FILES = 8
PACE = 25e6
"""Bytes a second of one paced file: a fraction of what one core checks."""


def compare(path: Path, rounds: int) -> None:
    """Downloading a blob, validating it from storage, and validating and staging it."""
    with _azurite() as (storage, blobs):
        with path.open("rb") as data:
            blobs.get_blob_client("snapshots", path.name).upload_blob(data, max_concurrency=4)
        blob = storage.head("snapshots", path.name)
        source = Source(
            path=path.name, open=partial(storage.open, "snapshots", path.name, blob.etag), size=blob.size, split=None
        )

        def download(concurrency: int) -> None:
            client = blobs.get_blob_client("snapshots", path.name)
            client.download_blob(max_concurrency=concurrency).readinto(_Nowhere())

        def validate() -> None:
            _accepted(freeze([source], Policy()).report)

        def stage() -> None:
            _accepted(freeze([source], Policy(), staging=BlobStaging(storage, "benchmark")).report)

        ways: dict[str, Callable[[], None]] = {
            f"download, {concurrency} at once": partial(download, concurrency) for concurrency in CONCURRENCY
        }
        seconds = _interleaved(ways | {"validate": validate, "validate and stage": stage}, rounds)
    best = min(seconds[way] for way in ways)
    print(f"\nfrom blob storage, {blob.size / 1e6:.0f} MB, {rounds} interleaved rounds, one process\n")
    print("| what | median s | MB/s | x best download |")
    print("|---|---|---|---|")
    for way, median in seconds.items():
        print(f"| {way} | {median:.2f} | {blob.size / 1e6 / median:.0f} | {median / best:.2f} |")
    share = 1 - seconds["validate"] / seconds["validate and stage"]
    print(f"\nWriting the training files takes {share:.0%} of the time.")


def compare_parts(folder: Path, rounds: int) -> None:
    """One pass over several paced files, and one worker a file; the reports must be equal."""
    paths = [generate(folder, 10, part=number)["jsonl"] for number in range(1, FILES + 1)]
    sources = [_paced(path) for path in paths]
    policy, nowhere, chunks = Policy(), _NoStaging(), whole_files(sources)
    reports: list[ValidationReport] = []

    def one_pass() -> None:
        reports.append(freeze(sources, policy, staging=nowhere).report)

    def spread(workers: int) -> None:
        started = time.perf_counter()
        plan = plan_of(sources, 0, Cuts(), Shares())
        with ProcessPoolExecutor(workers) as pool:
            left = pool.map(
                partial(check_chunk, sources, chunks, policy=policy, plan=plan, staging=nowhere), range(FILES)
            )
            assembly = Assembly(sources, chunks, list(left), policy, plan)
        reports.append(assembly.freeze(nowhere, time.perf_counter() - started).report)

    ways = {"one pass": one_pass} | {f"{count} workers": partial(spread, count) for count in (1, 2, 4, 8)}
    seconds = _interleaved(ways, rounds)
    if len({_timeless(report) for report in reports}) != 1:
        raise SystemExit("the reports differ")
    size = sum(source.size for source in sources) / 1e6
    print(
        f"\n{FILES} files of {size / FILES:.0f} MB paced at {PACE / 1e6:.0f} MB/s each, {rounds} interleaved rounds\n"
    )
    print("| who | median s | speed-up |")
    print("|---|---|---|")
    for way, median in seconds.items():
        print(f"| {way} | {median:.2f} | {seconds['one pass'] / median:.2f} |")


def _interleaved(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            found[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in found.items()}


def _accepted(report: ValidationReport) -> None:
    if not report.accepted:
        raise SystemExit(report.summary)


def _timeless(report: ValidationReport) -> str:
    return report.model_dump_json(exclude={"duration_seconds", "bytes_per_second"})


@contextmanager
def _azurite() -> Iterator[tuple[Storage, Any]]:
    """Storage of its own, in memory, and the SDK's client for it."""
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    ports = AzuritePorts(blob=free_port(), queue=free_port(), table=free_port())
    with tempfile.TemporaryDirectory() as folder:
        child = ChildProcess.start(
            command(ports, folder=None), os.environ, Path(folder) / "azurite.log", folder=Path(folder)
        )
        try:
            deadline = time.monotonic() + 60
            while not answers(ports.connection_string):
                if child.exit_code is not None or time.monotonic() > deadline:
                    raise SystemExit("Azurite did not start")
                time.sleep(0.1)
            blobs = BlobServiceClient.from_connection_string(ports.connection_string)
            storage = Storage(blobs, QueueServiceClient.from_connection_string(ports.connection_string))
            storage.prepare()
            yield storage, blobs
        finally:
            child.stop()


def _paced(path: Path) -> Source:
    known = local_source(path)
    return Source(path=path.name, open=partial(_Paced, path), size=known.size, split=None)


class _Paced:
    """A file that gives so many bytes a second, as one connection to far storage does."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        time.sleep(len(data) / PACE)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class _NoStaging:
    """Training files that nobody keeps."""

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        """Forget a block."""

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        """Forget a file."""


class _Nowhere:
    """Where downloaded bytes go."""

    def write(self, data: bytes) -> int:
        """Forget them."""
        return len(data)

    def seekable(self) -> bool:
        """As files are: the SDK then writes ranges in parallel."""
        return True

    def tell(self) -> int:
        """Always at the start."""
        return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves nothing."""
        return offset
