"""What it costs to be old: `python -m benchmarks.scale [--rows 1000 10000 100000]`.

Requests by kind, milliseconds of CPU and bytes of one sweep, one arrival, one step, one page of snapshots and the list
of models, for ledgers of more and more ended rows, with the exponents by which they grow; then the month's bill.
Requests are counted on the in-memory storage that the contracts hold to the real one: 100,000 rows in Azurite would
take an hour. What the SDK's part of a listing costs is measured on Azurite (`--no-azurite` leaves it out).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.scaling.accounts import azurite
from benchmarks.scaling.bill import PRICES, Month, bill
from shared.ledger import counts
from shared.operations import costs as costs_page
from shared.operations import damage, nightly, pages, status, steps, sweep
from shared.operations import datasets as datasets_page
from shared.operations.paging import PageQuery
from shared.serving.catalog import ModelCatalog
from shared.serving.last_asked import LastAsked
from shared.snapshots import intake
from tests.counted_storage import in_words
from tests.fake_process import InlineExecutor
from tests.old_ledger import OldLedger

DATASETS, OPENED, PAGE = 500, 10, 50
DAY = 86_400.0
LISTED_BLOBS = 5000


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took: requests by kind, CPU of the app's own code (ms), bytes read and written, blobs listed."""

    requests: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0
    bytes: int = 0
    listed: int = 0

    def milliseconds(self, blob: float) -> float:
        """With the SDK's part of listings, `blob` microseconds each."""
        return self.cpu + self.listed * blob / 1000


def costs(rows: int, datasets: int = DATASETS) -> dict[str, Cost]:
    """Everything measured on one ledger."""
    old = OldLedger(rows, datasets, OPENED)
    services = old.services()
    for _ in range(3):  # whatever is done once, such as bringing an old ledger up to date
        nightly.every_night(services)
        for _ in range(8):
            sweep.sweep(services)
        old.clock.now += DAY
    sweep.sweep(services)  # which also does what is done once a day
    old.clock.now += 300
    gc.collect()
    gc.freeze()  # the storage in memory would be looked through for garbage while the app is measured

    def measured(act: Callable[[], Any]) -> Cost:
        list(old.world.storage.list("ledger", "none"))  # the storage in memory sorts its names after each write
        old.storage.reset()
        began = time.process_time()
        act()
        cpu = (time.process_time() - began) * 1000
        return Cost(Counter(old.storage.requests), cpu, old.storage.bytes, old.storage.listed)

    found = {"sweep": measured(lambda: sweep.sweep(services))}
    found["models, cold"] = measured(lambda: asyncio.run(ModelCatalog(old.services()).models()))
    found["page"] = measured(lambda: _page(services))
    found["page of a dataset"] = measured(lambda: _page(services, dataset="bot-007"))
    found["page of datasets"] = measured(lambda: datasets_page.page(services, PageQuery(limit=PAGE)))
    found["page of costs"] = measured(lambda: costs_page.page(services, PageQuery(limit=PAGE)))
    old.world.storage.upload("snapshots", "bot-007/new.jsonl", b"{}")
    found["arrival"] = measured(lambda: intake.receive(services, "bot-007/new.jsonl"))
    message = next(row.key for row in services.ledger.list("snapshot", "bot-003") if row.state == "TRAINING")
    found["step"] = measured(lambda: steps.step(services, f"{message}?"))
    found["night"] = measured(lambda: nightly.every_night(services))
    return found


def _page(services: Any, dataset: str = "") -> None:
    pages.snapshots(services, dataset, limit=PAGE)
    if not dataset:
        status.refused(services)
        damage.on_record(services)


def counting(datasets: int) -> tuple[dict[str, float], dict[str, float]]:
    """Requests of one process in a minute in which each of the datasets is called, and of a dataset in an hour."""
    old = OldLedger(0, datasets, 0)
    services, names = old.services(), [f"bot-{n:03}" for n in range(datasets)]

    async def called() -> None:
        for name in names:
            services.counts.note(name, "r1", "answered", 0.1)

    minutes = 4
    for _ in range(int(minutes * 60 / counts.FLUSH_SECONDS)):
        asyncio.run(called())
        services.counts.flush()
        old.clock.now += counts.FLUSH_SECONDS
    counted = {kind: count / minutes for kind, count in old.storage.requests.items()}
    old.storage.reset()
    asked = LastAsked(services, InlineExecutor())
    for _ in range(60):
        asked.note(services.ledger.read("dataset/bot-000").row)
        old.clock.now += 60
    old.storage.requests["read"] -= 60
    return counted, dict(old.storage.requests)


def listing_cost() -> float:
    """Microseconds of CPU for each blob that `Storage.list` gives, on Azurite."""
    with azurite() as storage:
        for n in range(LISTED_BLOBS):
            storage.put("work", f"scale/{n:05}", b"{}")
        sum(1 for _ in storage.list("work", "scale/"))
        began = time.process_time()
        listed = sum(1 for _ in storage.list("work", "scale/"))
        return (time.process_time() - began) / listed * 1e6


def exponent(small: float, large: float, times: float) -> float:
    """By which power something grows while there is `times` as much: 0 flat, 1 in proportion."""
    return math.log(max(large, 1) / max(small, 1)) / math.log(times) if times > 1 else 0.0


def main() -> int:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument(
        "--prices", type=json.loads, default=PRICES, help="dollars for 10,000 requests by kind, as JSON"
    )
    parser.add_argument("--azurite", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    blob = listing_cost() if options.azurite else 0.0
    print(f"a listed blob takes {blob:.0f} us of CPU; {DATASETS} datasets, {OPENED} rows are open\n")
    found = {rows: costs(rows) for rows in options.rows}
    least, most = min(found), max(found)
    print(f"| what | {' | '.join(f'{rows:,} ended rows' for rows in found)} | requests grow by |")
    print(f"|---|{'---|' * (len(found) + 1)}")
    for what in found[least]:
        cells = [
            f"{in_words(c[what].requests)}, {c[what].milliseconds(blob):.0f} ms, {c[what].bytes:,} B"
            for c in found.values()
        ]
        power = exponent(found[least][what].requests.total(), found[most][what].requests.total(), most / least)
        print(f"| {what} | {' | '.join(cells)} | {power:.2f} |")
    month = Month()
    counted, asked = counting(month.datasets)
    of = costs(10_000, month.datasets)
    each: dict[str, Any] = {name: of[name].requests for name in ("arrival", "step", "sweep", "night", "page")}
    spent = bill(month, {**each, "counting": counted, "asked": asked}, {**PRICES, **options.prices})
    print(f"\n{month}\n\n| a month of | $ |\n|---|---|")
    for what, money in spent.items():
        print(f"| {what} | {money:.2f} |")
    print(f"| all | {sum(spent.values()):.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
