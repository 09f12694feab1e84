"""Validation as the app does it: over blob storage, and file by file in several workers.

Storage is Azurite, in memory, on the same cores; so a download is what it costs at least. How workers add up is shown
with paced files instead, as one Azurite process would be what is measured.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.checking.rows import generate
from benchmarks.checking.sockets import drain, signed
from local.azurite import AzuritePorts, answers, command
from local.ports import free_port
from local.processes import ChildProcess
from shared.azure.storage import Storage
from shared.chatdata.splits import Cuts, Shares, Split
from shared.snapshots.blob_staging import BlobStaging
from shared.validation import Policy, Source, ValidationReport, freeze, local_source
from shared.validation.chunks import whole_files
from shared.validation.freezing import Assembly, check_chunk, plan_of
from shared.validation.lines import READ_SIZE

CONCURRENCY = (1, 2, 4, 8)
FILES = 8
PACE = 25e6
"""Bytes a second of one paced file: a fraction of what one core checks."""


def compare(path: Path, rounds: int) -> None:
    """Downloading a blob, validating it from storage, and validating and staging it; and what each costs at least."""
    with _azurite() as (storage, blobs):
        client = blobs.get_blob_client("snapshots", path.name)
        with path.open("rb") as data:
            client.upload_blob(data, max_concurrency=4)
        blob = storage.head("snapshots", path.name)
        opened = partial(storage.open, "snapshots", path.name, blob.etag)
        source = Source(path=path.name, open=opened, size=blob.size, split=None)

        def download(concurrency: int) -> None:
            client.download_blob(max_concurrency=concurrency).readinto(_Nowhere())

        def read() -> None:
            with opened() as file:
                while file.read(READ_SIZE):
                    pass

        def validate(source: Source, policy: Policy) -> None:
            _accepted(freeze([source], policy).report)

        def stage() -> None:
            _accepted(freeze([source], Policy(), staging=BlobStaging(storage, "benchmark")).report)

        downloads: dict[str, Callable[[], None]] = {
            f"download, {concurrency} at once": partial(download, concurrency) for concurrency in CONCURRENCY
        }
        structural = Policy(meaning=False)
        ways: dict[str, Callable[[], None]] = downloads | {
            "floor: one answer on a socket": partial(drain, signed(client), blob.size),
            "floor: structural rules, from disk": partial(validate, local_source(path), structural),
            "floor: all rules, from disk": partial(validate, local_source(path), Policy()),
            "read, as validation does": read,
            "validate, structural rules": partial(validate, source, structural),
            "validate, all rules": partial(validate, source, Policy()),
            "validate and stage": stage,
        }
        found = _interleaved_with_cpu(ways, rounds)
    _print_stored(blob.size / 1e6, rounds, found, [*downloads])


def _print_stored(megabytes: float, rounds: int, found: dict[str, tuple[float, float]], downloads: list[str]) -> None:
    best = min(found[way][0] for way in downloads)
    print(f"\nfrom blob storage, {megabytes:.0f} MB, {rounds} interleaved rounds, one process\n")
    print("| what | median s | s of CPU | MB/s | x best download |")
    print("|---|---|---|---|---|")
    for way, (median, cpu) in found.items():
        print(f"| {way} | {median:.2f} | {cpu:.2f} | {megabytes / median:.0f} | {median / best:.2f} |")
    share = 1 - found["validate, all rules"][0] / found["validate and stage"][0]
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
                partial(check_chunk, sources, policy=policy, plan=plan, staging=nowhere), chunks, range(FILES)
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
    return {name: median for name, (median, _) in _interleaved_with_cpu(ways, rounds).items()}


def _interleaved_with_cpu(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, tuple[float, float]]:
    """Medians of the seconds that each takes, and of those of CPU in this process."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started, spent = time.perf_counter(), time.process_time()
            way()
            found[name].append((time.perf_counter() - started, time.process_time() - spent))
    return {name: (_median(runs, 0), _median(runs, 1)) for name, runs in found.items()}


def _median(runs: Sequence[tuple[float, float]], at: int) -> float:
    return statistics.median(run[at] for run in runs)


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
