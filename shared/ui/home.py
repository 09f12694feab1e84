"""The first view: what waits for a person, what is live and what it costs, what was dropped last. Reads only.

It is made of lists that lie ready, so it takes the same few requests of storage however many snapshots there are.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.ledger.release import WENT_BACK
from shared.operations import damage, datasets, imports, pages, status
from shared.operations.ledger_lists import LedgerLists
from shared.operations.paging import MOST
from shared.operations.times import utc
from shared.ui.view import LATER, SOON, View
from shared.ui.wording import BAD, tone, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.operations.datasets import DatasetSummary
    from shared.runtime import Services

_AT_ONCE = 3
_DATASETS, _SNAPSHOTS, _TASKS, _REFUSED, _IMPORTS = 12, 10, 20, 3, 5
_TONES = ("bad", "good", "busy", "rest")


@dataclass(frozen=True, slots=True)
class PersonTask:
    """Something that goes no further unless a person acts, or looks: what, why, and where that is done."""

    title: str
    why: str
    link: str = ""
    state: str = ""
    since: str | None = None


def view(services: Services) -> View:
    """The first view."""
    # What is listed for each part is listed beside the others: one after the other, the waiting adds up.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        cards, rows = pool.submit(lambda: list(services.ledger.cards.list())), pool.submit(services.ledger.datasets)
        refusals = pool.submit(status.refused, services, limit=_REFUSED)
        going_on = pool.submit(_imports, services)
        roles, damaged = pool.submit(status.not_allowed, services), pool.submit(damage.on_record, services)
        opened = cards.result()  # before the index: what ends meanwhile is in one of them
        lists = LedgerLists(cards=opened, index=services.ledger.index.read_once(), datasets=rows.result())
        summaries = pool.submit(lambda: sorted(datasets.summaries(services, lists=lists), key=_wanted_first))
        wrong = damaged.result()
        page = pages.snapshots(services, limit=MOST, damaged=damage.damaged_snapshots(wrong), lists=lists)
        found, refused, listed = summaries.result(), refusals.result(), page["snapshots"]
        tasks = [*_of_installation(roles.result(), wrong), *_of_datasets(found), *_of_snapshots(listed)]
    under_way = any(tone(row["state"]) == "busy" for row in listed[:_SNAPSHOTS])
    return View(
        "home.html",
        "Overview",
        {
            "tasks": tasks[:_TASKS],
            "more_tasks": max(0, len(tasks) - _TASKS),
            "datasets": found[:_DATASETS],
            "total": datasets.totals(found),
            "currency": services.settings.currency,
            "month": f"{utc(services.clock()):%B}",
            "snapshots": listed[:_SNAPSHOTS],
            "refused": refused,
            "imports": going_on.result(),
        },
        here="home",
        refresh=SOON if under_way else LATER,
    )


def _imports(services: Services) -> list[dict[str, Any]]:
    """The newest imports that go on or failed; nothing is asked for where imports are off."""
    return imports.newest(services, only_open=True)[:_IMPORTS] if services.settings.import_sources else []


def _wanted_first(one: DatasetSummary) -> tuple[bool, int, str]:
    return (not one.needs_attention, _TONES.index(tone(one.state)), one.name)


def _of_installation(roles: list[dict[str, Any]], wrong: tuple[damage.DamagedBlob, ...]) -> Iterator[PersonTask]:
    for role in roles:
        yield PersonTask("The app lacks a role", role["text"], state="NOT_ALLOWED", since=role["since"])
    for blob in status.damaged(wrong):
        yield PersonTask(f"{blob['blob']} cannot be read", blob["why"], state=status.DAMAGED, since=blob["since"])


def _of_datasets(found: list[DatasetSummary]) -> Iterator[PersonTask]:
    """Datasets that stopped, and those whose newest snapshot came to nothing."""
    for one in found:
        if one.needs_attention:
            why = one.waiting or one.reason or "a step failed again and again"
            yield PersonTask(one.name, why, f"datasets/{one.name}", one.state, one.since)
        why = one.newest_reason or f"its newest snapshot: {words(one.newest_state or '').lower()}"
        if one.newest and one.newest_state in BAD and WENT_BACK not in why:  # who went back knows
            yield PersonTask(one.newest, why, f"snapshots/{one.newest}", one.newest_state)


def _of_snapshots(listed: list[dict[str, Any]]) -> Iterator[PersonTask]:
    for row in listed:
        if row["needs_attention"] and row["state"] not in BAD:
            why = row["fault"] or row["waiting"] or row["reason"]
            yield PersonTask(row["id"], why, f"snapshots/{row['id']}", row["state"], row["since"])
