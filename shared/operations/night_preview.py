"""What the nightly round would do now: which endpoints it would ask to sleep, what that saves, what it would delete.

Called by the HTTP functions. It judges by the code of the round itself and only reads, so a repeat says what is so by
then. The round judges once more before anything is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger.record import Struct
from shared.operations import nightly, orphans, retention
from shared.operations.nightly import DatasetLine
from shared.operations.times import known_sum, shown_time
from shared.releases import idle

if TYPE_CHECKING:
    from shared.runtime import Services


class OldBlobs(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Blobs of a container that are kept long enough."""

    container: str
    blobs: int
    size: int


class NightPreview(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What a round would do now. `saves_per_hour`: of the endpoints that would sleep; None where a price is missing.

    A dataset's `asked_to_sleep` says that it would be asked.
    """

    summary: str
    at: str
    dry_run: bool
    datasets: list[DatasetLine]
    saves_per_hour: float | None
    currency: str
    deletes: list[OldBlobs]
    orphans: list[str]


def preview(services: Services) -> NightPreview:
    """The preview. Raises what the ledger and storage raise; what Azure does not say is not known, as in the round."""
    now = services.clock()
    lines = [nightly.line_of(services, one, idle.would_ask(services, one), now, now) for one in idle.findings(services)]
    would = [line for line in lines if line.asked_to_sleep]
    found = retention.kept_long_enough(services)
    deletes = [
        OldBlobs(container=container, blobs=len(blobs), size=sum(blob.size for blob in blobs))
        for container, blobs in found.items()
    ]
    saves = known_sum([line.cost_per_hour for line in would])
    names = ", ".join(line.dataset for line in would) or "none"
    count = sum(one.blobs for one in deletes)
    amount = f"{saves or 0:,.2f} {services.settings.currency}".rstrip()
    money = "" if saves is None or not would else f", {amount} an hour saved"
    old = "1 blob that was" if count == 1 else f"{count or 'no'} blobs that were"
    return NightPreview(
        summary=f"would be asked to sleep: {names}{money}; {old} kept long enough would be deleted",
        at=shown_time(now),
        dry_run=True,
        datasets=lines,
        saves_per_hour=saves,
        currency=services.settings.currency,
        deletes=deletes,
        orphans=[f"{orphan.name}: {orphan.why}" for orphan in orphans.on_record(services).found],
    )
