"""Whether a rush is only a queue: `python -m benchmarks.rush [--datasets 300] [--snapshots 200]`.

Drops so many datasets at once into a local cloud, then so many snapshots of one dataset, and waits until every one has
ended: live, or superseded by a newer snapshot. Prints how many are where, the host's memory while it goes on, and how
many snapshots were validated whole. Exit status 1 when one ended otherwise, a message was poisoned or time ran out.
"""

from __future__ import annotations

import argparse
import json
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from azure.storage.queue import QueueServiceClient

from local.cloud import Cloud
from local.droptune import Droptune

MANY, ONE = "rush", "favourite"
ENDED = {"LIVE", "SUPERSEDED", "RETIRED"}
UPLOADS_AT_ONCE = 16
LOOK_SECONDS = 5.0
MEGABYTE = 1e6


@dataclass(slots=True)
class Rush:
    """One wave of drops, as it was seen from outside."""

    name: str
    dropped: int
    states: Counter[str] = field(default_factory=Counter)
    host_mb: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether every snapshot has come to an end."""
        return self.states.total() == self.dropped and set(self.states) <= ENDED

    def line(self) -> str:
        """How far it is."""
        where = ", ".join(f"{count} {state}" for state, count in self.states.most_common())
        return f"{self.name}: {self.seconds:5.0f} s, host {self.host_mb[-1]:.0f} MB; {where or 'nothing yet'}"


def main() -> int:
    """Run both waves; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=300)
    parser.add_argument("--snapshots", type=int, default=200, help="of one dataset")
    parser.add_argument("--endpoints", type=int, help="MAX_ENDPOINTS; by default enough for all")
    parser.add_argument("--minutes", type=float, default=60.0, help="longest that a wave may take")
    options = parser.parse_args()
    settings = {
        "MIN_ROWS": "20",
        "MAX_RUNS_PER_DAY": "100000",
        "MAX_RUNS_PER_DAY_PER_DATASET": "100000",
        "MAX_ENDPOINTS": str(options.endpoints or options.datasets + 1),
        "SLEEP_SCHEDULE": "0 0 0 1 1 *",
    }
    with tempfile.TemporaryDirectory() as folder, Cloud(Path(folder), settings) as cloud:
        _have_room(cloud)
        with Droptune(cloud.description) as app:
            many = [f"{MANY}-{number:03}.jsonl" for number in range(options.datasets)]
            waves = [wave(cloud, app, "many datasets", many, options.minutes * 60)]
            of_one = [f"{ONE}/{number:03}.jsonl" for number in range(options.snapshots)]
            waves.append(wave(cloud, app, "one dataset", of_one, options.minutes * 60, dataset=ONE))
            whole = _validated_whole(app)
        poisoned = _poisoned(cloud)
    for rush in waves:
        print(f"{rush.line()}; host's memory {_memory(rush.host_mb)}")
        for reason in rush.reasons:
            print(f"  {reason}")
    print(f"of {options.snapshots} snapshots of one dataset {whole} were validated whole; {poisoned} messages poisoned")
    return 0 if all(rush.ended for rush in waves) and not poisoned else 1


def _have_room(cloud: Cloud) -> None:
    """Raises the quota of the local Azure ML, which is that of 41 machines."""
    trust = ssl.create_default_context(cafile=cloud.wiring.azureml_ca)
    with httpx.Client(base_url=f"{cloud.wiring.azureml_url}/_control/", verify=trust) as control:
        settings = control.get("settings").raise_for_status().json()
        control.put("settings", json={**settings, "quota": {"*": 1_000_000}}).raise_for_status()


def wave(cloud: Cloud, app: Droptune, name: str, paths: list[str], limit: float, dataset: str = "") -> Rush:
    """Drop everything at once, then look until all has ended or `limit` seconds are over."""
    rush, began, said = Rush(name, len(paths)), time.monotonic(), 0.0
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        list(pool.map(lambda path: app.drop(path, _rows(path)), paths))
    while not rush.ended and rush.seconds < limit:
        time.sleep(LOOK_SECONDS)
        rows = list(_snapshots(app, dataset))
        rush.states = Counter(row["state"] for row in rows)
        others = [row for row in rows if row["state"] not in ENDED]
        rush.reasons = [f"{row['id']} {row['state']}: {row['reason']}" for row in others[:10]]
        rush.host_mb.append(_host_mb(cloud))
        rush.seconds = time.monotonic() - began
        if rush.seconds - said > 30:
            said = rush.seconds
            print(rush.line(), flush=True)
    return rush


def _snapshots(app: Droptune, dataset: str) -> Iterator[dict[str, Any]]:
    """Every snapshot, or those of a dataset, page by page."""
    before = ""
    while True:
        page = app.get(f"snapshots?limit=200&dataset={dataset}&before={before}")
        yield from page["snapshots"]
        if not (before := page["next"]):
            return


def _rows(path: str) -> bytes:
    """Sixty dialogues that all files have, so that all models are as good, and one that no other file has."""
    pairs = [*((f"What is {number} and one?", f"It is {number + 1}.") for number in range(60)), (path, "That is I.")]
    turns = ([{"role": "user", "content": asked}, {"role": "assistant", "content": answer}] for asked, answer in pairs)
    return b"".join(json.dumps({"messages": row}).encode() + b"\n" for row in turns)


def _host_mb(cloud: Cloud) -> float:
    """Memory of the Functions host with the app in it."""
    process = psutil.Process(cloud.record.parts["host"].process.pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / MEGABYTE


def _memory(samples: list[float]) -> str:
    """The first quarter against the last one, in MB."""
    quarter = max(1, len(samples) // 4)
    first, last = sum(samples[:quarter]) / quarter, sum(samples[-quarter:]) / quarter
    return f"{first:.0f} MB in the first quarter, {last:.0f} MB in the last, at most {max(samples):.0f} MB"


def _validated_whole(app: Droptune) -> int:
    """Snapshots of the one dataset that have a report."""
    return sum(name.endswith(".json") for name in app.names("reports", f"{ONE}-"))


def _poisoned(cloud: Cloud) -> int:
    """Messages that the host gave up."""
    with closing(QueueServiceClient.from_connection_string(cloud.record.storage_connection_string)) as queues:
        names = [queue.name for queue in queues.list_queues() if queue.name.endswith("-poison")]
        properties = (queues.get_queue_client(name).get_queue_properties() for name in names)
        return sum(found.approximate_message_count or 0 for found in properties)


if __name__ == "__main__":
    sys.exit(main())
