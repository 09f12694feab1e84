"""What a view of the page costs: `python -m benchmarks.page [--snapshots 10000] [--datasets 100]`.

Milliseconds until a view is there (half of them, 95 % of them), milliseconds of this process's CPU, and requests of
storage, for every view over an installation with so many snapshots that ended and so many datasets that serve. The
views are asked for by HTTP of the app's own functions in this process, over the real storage client and an Azurite of
their own, which takes CPU of its own. The functions host is not in it: it adds the same to every view.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from benchmarks.scaling.accounts import azurite
from shared import naming, runtime
from shared.ledger.cards import Card
from shared.runtime import Services
from tests.builders import DATASET, SNAPSHOT, a_dataset, a_release, a_trained_snapshot
from tests.counted_storage import CountedStorage
from tests.fakes import KEY, World
from tests.page_server import application

OPENED = 10
REASON = "20 of 20 prompts answered; likeness 61.2 against 60.8 of live, lead 0.4 (-3.1 to 3.9) over 20 prompts"
VIEWS = {
    "overview": "",
    "datasets": "/datasets",
    "snapshots": "/snapshots",
    "dataset": f"/datasets/{DATASET}",
    "snapshot": f"/snapshots/{SNAPSHOT}",
    "nights": "/nights",
}


def fill(services: Services, snapshots: int, datasets: int) -> None:
    """Datasets that serve, of which ten have a snapshot that trains, and snapshots that ended."""
    names, now = [DATASET, *(f"bot-{n:03}" for n in range(datasets - 1))], services.clock()
    services.ledger.create(a_trained_snapshot())
    for name in names:
        services.ledger.create(a_dataset(name=name, live=a_release()))
    for name in names[:OPENED]:
        services.ledger.cards.put(Card(id=naming.snapshot_id(name, now, "new", "0x1"), state="TRAINING", since=now))
    ids = [naming.snapshot_id(names[n % datasets], now - 600 * (n + 1), str(n), "0x1") for n in range(snapshots)]
    ended = {one: Card(id=one, state="RETIRED", since=now, reason=REASON) for one in ids}
    services.ledger.index.rebuild(ended, ())


def measured(act: Callable[[], object], times: int) -> tuple[list[float], float]:
    """How long each of so many calls took, in order, and the CPU of one (ms)."""
    spans, began = [], time.process_time()
    for _ in range(times):
        at = time.perf_counter()
        act()
        spans.append((time.perf_counter() - at) * 1000)
    return sorted(spans), (time.process_time() - began) * 1000 / times


def main() -> int:
    """Fills an installation, and prints the table of its views."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapshots", type=int, default=10_000)
    parser.add_argument("--datasets", type=int, default=100)
    parser.add_argument("--times", type=int, default=20, help="how often each view is asked for")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    world = World(settings={"page_keys": KEY})
    with azurite() as storage:
        counted: Any = CountedStorage(storage)  # type: ignore[arg-type]
        given = world.services
        services = Services(given.settings, counted, given.workspace, given.metrics, given.inference)
        runtime._services = lambda: services  # type: ignore[assignment]
        runtime.settings = lambda: given.settings  # type: ignore[assignment]
        fill(services, options.snapshots, options.datasets)
        with TestClient(application()) as client:
            client.post("/api/ui/sign-in", data={"key": KEY}, headers={"origin": "http://testserver"})
            _print(client, counted, options)
    return 0


def _print(client: TestClient, counted: Any, options: argparse.Namespace) -> None:
    print(f"{options.snapshots:,} snapshots that ended, {options.datasets} datasets that serve\n")
    print("| view | half within (ms) | 95 % within (ms) | CPU (ms) | requests |\n|---|---|---|---|---|")
    for name, path in VIEWS.items():
        for _ in range(3):  # what is done once
            client.get(f"/api/ui{path}").raise_for_status()
        counted.reset()
        client.get(f"/api/ui{path}")
        requests = sum(counted.requests.values())
        spans, cpu = measured(lambda path=path: client.get(f"/api/ui{path}").raise_for_status(), options.times)  # type: ignore[misc]
        late = spans[int(len(spans) * 0.95)]
        print(f"| {name} | {spans[len(spans) // 2]:.0f} | {late:.0f} | {cpu:.0f} | {requests} |")


if __name__ == "__main__":
    raise SystemExit(main())
