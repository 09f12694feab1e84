"""The nightly round: every endpoint is judged, idle ones are asked to sleep, a report says what was found and saved.

Called by the timer. It removes nothing itself: the step confirm_sleep judges once more, under the dataset's lease. What
became of last night's requests is therefore in the next report, from the rows' histories. A second round in one night
asks nobody twice and writes a report of its own.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from shared.errors import DENIED, LeaseHeld
from shared.ledger.outbox import untold
from shared.ledger.record import Struct, from_metadata, to_metadata
from shared.ledger.states import DatasetState
from shared.ledger.store import PUBLISH
from shared.ledger.uptime import running, up_since
from shared.operations import damage, imports, orphans, paging, retention, whole_ledger
from shared.operations.actions import ActionAnswer
from shared.operations.rounds import run_part
from shared.operations.times import utc
from shared.releases import idle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ledger.rows import Dataset
    from shared.operations.paging import PageQuery
    from shared.runtime import Services

log = logging.getLogger(__name__)

FILTERS = ("month",)
CONTAINER, FOLDER = "reports", retention.IDLE_REPORTS
# Whoever holds this lock makes a round; the message asks a worker for one.
LOCK, MESSAGE = "night", "night"
_NAME = "%Y-%m-%dT%H%M%S"
# So much of a report's first line is told in a list: it fits into a blob's metadata, whatever characters it has.
_LONGEST = 300
# The first report tells of a day.
_DAY = 86_400.0
# Datasets named in the report's first line.
_NAMED = 5
# Counts are kept for so long (s) at least.
_COUNTS_KEPT = 2 * _DAY
# The part of the ended rows that is read each night for damage that no listing shows.
_READ_A_NIGHT = 1 / 30


class DatasetLine(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One dataset in a report. `happened` is since the last report; money is None when `PRICES` lacks the size."""

    dataset: str
    state: str
    verdict: str
    why: str
    asked_to_sleep: bool
    happened: list[str]
    machines: int
    size: str
    cost_per_hour: float | None
    asleep_hours: float
    saved: float | None


class NightlyReport(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One night's report. Times are UTC. `summary` says it in one line, and first what kept endpoints from sleeping."""

    summary: str
    at: str
    since: str
    dry_run: bool
    idle_hours: float
    datasets: list[DatasetLine]
    asleep_hours: float
    saved: float | None
    currency: str
    orphans: list[str]


class NightCard(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What a list tells of a night's report. `night` is its name. Money is None where `PRICES` lacks a size.

    A report that an older version wrote has no more than its name and its time.
    """

    night: str
    at: str
    summary: str = ""
    dry_run: bool = False
    asked_to_sleep: int = 0
    asleep_hours: float = 0.0
    saved: float | None = None
    currency: str = ""


class NightPage(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A page of nights, newest first. `next` is what to give as `before` for the page after this one."""

    nights: list[NightCard]
    next: str | None


_CARD = msgspec.json.Decoder(NightCard)


def page(services: Services, query: PageQuery) -> NightPage:
    """The reports of the nights in a month, or of all. Raises BadPageQuery."""
    month = paging.month(query.filter("month"))
    found = [((-_at(card.night), card.night), card) for card in cards(services, month)]
    shown, following = paging.cut(found, query)
    return NightPage(nights=shown, next=following)


def cards(services: Services, month: str = "") -> list[NightCard]:
    """What is to be told of each night, of a month such as `2026-11` or of all: one listing."""
    return [_card_of(blob.name, blob.metadata) for blob in services.storage.list(CONTAINER, f"{FOLDER}{month}")]


def _card_of(blob: str, metadata: Mapping[str, str]) -> NightCard:
    night = blob.removeprefix(FOLDER).removesuffix(".json")
    return from_metadata(metadata.get("night", ""), _CARD) or NightCard(night=night, at=_time(_at(night)))


def _at(night: str) -> float:
    """When the report of this name was written; 0 for a blob that somebody else put there."""
    try:
        return datetime.strptime(night, _NAME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def every_night(services: Services) -> str:
    """All that is done once a night, each part apart from the others; says what was done. One round at a time."""
    try:
        lease = services.storage.lease(LOCK)
    except LeaseHeld:
        return "another round is under way"
    try:
        _every_part(services)
    finally:
        lease.release()
    return "the round is over"


def ask_for_round(services: Services, by: str) -> ActionAnswer:
    """Has a round made now, by a worker of its own; not while one is under way. Raises what storage raises."""
    try:
        services.storage.lease(LOCK).release()
    except LeaseHeld:
        return ActionAnswer(False, "a nightly round is under way: ask again when it is over")
    log.info("%s asks for the nightly round", by)
    services.storage.send(MESSAGE)
    return ActionAnswer(True, "the nightly round begins: its report will be the newest of the nights")


def _every_part(services: Services) -> None:
    run_part("idle endpoints", lambda: [line.dataset for line in run(services).datasets])
    run_part("old counts", lambda: forget_counts(services))
    run_part("what was kept long enough", lambda: retention.forget(services))
    run_part("reports of nights", lambda: retention.forget_nights(services))
    run_part("imports", lambda: imports.forget(services))
    run_part("locks", lambda: retention.forget_locks(services))
    run_part("whole ledger", lambda: whole_ledger.look(services))
    run_part("damage", lambda: damage.record(services, damage.find(services, _READ_A_NIGHT)))


def forget_counts(services: Services) -> None:
    """Deletes the counts of calls that nobody compares any more: those from before the longest shift there may be."""
    given = services.settings
    stage = (given.rollout_bake_minutes + given.rollout_wait_minutes) * 60
    # Twice as long, for a shift waits while Azure is away.
    kept = max(_COUNTS_KEPT, 2 * len(given.rollout_stages) * stage + _DAY)
    services.counts.forget(services.clock() - kept)


def run(services: Services) -> NightlyReport:
    """Judges every dataset, asks idle ones to sleep, and keeps the report. Raises what the ledger raises."""
    now, since = services.clock(), _last_report_at(services)
    found = idle.findings(services)
    asked = idle.request_sleep(services, found)
    lines = [line_of(services, finding, finding.row.name in asked, since, now) for finding in found]
    priced = [line.saved for line in lines if line.saved is not None]
    asleep = round(sum(line.asleep_hours for line in lines), 2)
    saved = round(sum(priced), 2) if len(priced) == len(lines) else None
    report = NightlyReport(
        summary=_summary(services, lines, asleep, saved),
        at=_time(now),
        since=_time(since),
        dry_run=services.settings.idle_dry_run,
        idle_hours=services.settings.idle_hours,
        datasets=lines,
        asleep_hours=asleep,
        saved=saved,
        currency=services.settings.currency,
        orphans=[f"{orphan.name}: {orphan.why}" for orphan in orphans.on_record(services).found],
    )
    night = f"{datetime.fromtimestamp(now, UTC):{_NAME}}"
    name, text = f"{FOLDER}{night}.json", msgspec.json.format(msgspec.json.encode(report), indent=1)
    shown = {**untold(services.channels), "night": to_metadata(_card(night, report))}
    services.storage.put(CONTAINER, name, text, shown)
    if services.channels:
        services.storage.send(f"report/{night}{PUBLISH}")
    log.info("%s; reports/%s", report.summary, name)
    _log_ages(found, now)
    return report


def _card(night: str, report: NightlyReport) -> NightCard:
    return NightCard(
        night=night,
        at=report.at,
        summary=report.summary[:_LONGEST],
        dry_run=report.dry_run,
        asked_to_sleep=sum(line.asked_to_sleep for line in report.datasets),
        asleep_hours=report.asleep_hours,
        saved=report.saved,
        currency=report.currency,
    )


def _log_ages(found: list[idle.IdleFinding], now: float) -> None:
    """One line for each endpoint, which costs money by the hour: an alert looks for those that are up for long."""
    for row in (finding.row for finding in found if finding.row.state == DatasetState.LIVE):
        log.info("the endpoint of %s is up for %d days by now", row.name, (now - up_since(row)) // _DAY)


def asleep_seconds(row: Dataset, since: float, until: float) -> float:
    """How long a dataset was ASLEEP between two times, by its history."""
    ends = [entry.at for entry in row.history[1:]] + [until]
    spans = zip(row.history, ends, strict=True) if row.history else ()
    return sum(
        max(0.0, min(end, until) - max(entry.at, since)) for entry, end in spans if entry.state == DatasetState.ASLEEP
    )


def line_of(services: Services, finding: idle.IdleFinding, asked: bool, since: float, now: float) -> DatasetLine:
    """What a report says of one dataset, of what happened between these times."""
    given, row = services.settings, finding.row
    price = given.price_of(given.serving_instance_type)
    asleep = asleep_seconds(row, since, now) / 3600
    one = None if price is None else price * given.serving_instances
    return DatasetLine(
        dataset=row.name,
        state=row.state,
        verdict=finding.verdict,
        why=finding.why,
        asked_to_sleep=asked,
        happened=[f"{_time(e.at)} {e.state}: {e.reason}" for e in row.history if e.at > since and e.reason],
        machines=given.serving_instances * _deployments(row),
        size=given.serving_instance_type,
        cost_per_hour=None if one is None else one * _deployments(row),
        asleep_hours=round(asleep, 2),
        saved=None if one is None else round(asleep * one, 2),
    )


def _deployments(row: Dataset) -> int:
    """How many deployments a dataset pays for now: also that of a candidate, and of what is kept to go back to."""
    return sum(1 for _ in running(row))


def _last_report_at(services: Services) -> float:
    """When the last report was written, by its name; a day ago when there is none."""
    names = [blob.name.removeprefix(FOLDER).removesuffix(".json") for blob in services.storage.list(CONTAINER, FOLDER)]
    return max(map(_at, names), default=0.0) or services.clock() - _DAY


def _summary(services: Services, lines: list[DatasetLine], asleep: float, saved: float | None) -> str:
    """The report in one line."""
    count = {word: sum(line.verdict == word for line in lines) for word in ("idle", "kept", "unknown")}
    asked = [line.dataset for line in lines if line.asked_to_sleep]
    text = f"{_unknown(lines)}idle endpoints: {count['idle']} found, asked to sleep: {', '.join(asked) or 'none'}"
    text += f"; {count['kept']} kept, {count['unknown']} not known; {asleep:g} hours asleep"
    text += "" if saved is None else f" saved {saved:.2f} {services.settings.currency}".rstrip()
    return f"{text}{' (dry run)' if services.settings.idle_dry_run else ''}"


def _unknown(lines: list[DatasetLine]) -> str:
    """Which endpoints stay up because nobody knows whether they are asked, and why; nothing where all is known."""
    unknown = [line for line in lines if line.verdict == "unknown"]
    if not unknown:
        return ""
    whys = sorted({line.why for line in unknown}, key=lambda why: (DENIED not in why, why))
    more = f" (and {len(whys) - 1} other reasons)" if len(whys) > 1 else ""
    names = ", ".join(line.dataset for line in unknown[:_NAMED]) + (", ..." if len(unknown) > _NAMED else "")
    return f"not put to sleep, because it is not known whether they are asked: {names}: {whys[0]}{more}; "


def _time(seconds: float) -> str:
    return f"{utc(seconds):%Y-%m-%dT%H:%M:%SZ}"
