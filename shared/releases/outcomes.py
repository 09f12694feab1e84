"""How releases ended: in brief in the dataset's row, whole beside the evaluation, and in brief on the snapshot.

Called by the steps that end a release, and by the sweep for rows of the version before, which kept all of it in the
dataset's row. The row keeps the newest few: everything that decides about the next release. Each is on its snapshot
before it leaves the row, and its numbers are beside the evaluation before they do; a repeat writes the same.
"""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from shared import naming
from shared.errors import Damaged, NotFound
from shared.ledger.engine import Announcement
from shared.ledger.record import UNREADABLE
from shared.ledger.release import ReleaseOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.ledger.rows import Dataset, Snapshot
    from shared.runtime import Services

log = logging.getLogger(__name__)

CONTAINER = "evaluations"
# So many stay in a dataset's row; and so many are moved out of it at once, each of which takes a few requests.
KEPT, MOVED_AT_ONCE = 20, 25
_OUTCOME = msgspec.json.Decoder(ReleaseOutcome)


def settled(services: Services, row: Dataset, outcomes: Mapping[str, ReleaseOutcome]) -> dict[str, ReleaseOutcome]:
    """What a dataset's row is to keep of these outcomes. What it does not keep is where it belongs by then."""
    newest, kept, moved = {*sorted(outcomes)[-KEPT:]}, dict[str, ReleaseOutcome](), 0
    needed = {release.snapshot for release in (row.live, row.candidate, row.previous) if release}
    for snapshot, outcome in outcomes.items():
        brief = outcome.brief
        if moved < MOVED_AT_ONCE:
            if outcome != brief:
                moved += 1
                services.storage.put(CONTAINER, details_name(snapshot, outcome), msgspec.json.encode(outcome))
            if snapshot not in newest and snapshot not in needed:
                moved += 1
                try:
                    _tell_snapshot(services, snapshot, brief)
                    continue
                except Damaged as error:
                    log.warning("%s does not tell yet how its release ended: %s", snapshot, error)
            outcome = brief
        kept[snapshot] = outcome
    return kept


def tell(snapshot: str, outcome: ReleaseOutcome) -> Announcement:
    """The snapshot's row is to tell how its release ended."""
    return Announcement(f"snapshot/{snapshot}", partial(_with_outcome, outcome=outcome.brief), poll=False)


def tell_again(services: Services, dataset: str, wanted: Callable[[str, ReleaseOutcome], bool]) -> None:
    """Has snapshots tell how their releases ended, as far as the dataset's row has it; a repeat changes nothing.

    Called where whoever ended a release may have been cut off before it told the snapshot. `wanted`: by the snapshot,
    and how its release ended. Raises Damaged for one that cannot be read, once all others tell it.
    """
    row: Dataset = services.ledger.read(f"dataset/{dataset}").row
    damaged: Damaged | None = None
    for snapshot, outcome in row.outcomes.items():
        if wanted(snapshot, outcome):
            try:
                _tell_snapshot(services, snapshot, outcome.brief)
            except Damaged as error:
                damaged = error
    if damaged:
        raise damaged


def details(services: Services, snapshot: str, outcome: ReleaseOutcome) -> ReleaseOutcome:
    """The outcome with what the gate and the stages said; as it is, where that was not kept."""
    if outcome != outcome.brief:
        return outcome
    try:
        return _OUTCOME.decode(services.storage.read(CONTAINER, details_name(snapshot, outcome))[0])
    except (NotFound, *UNREADABLE):
        return outcome


def details_name(snapshot: str, outcome: ReleaseOutcome) -> str:
    """The blob with all of an outcome, beside the evaluation of the same attempt."""
    return f"{snapshot}/{naming.deployment(snapshot, outcome.attempt)}/outcome.json"


def _tell_snapshot(services: Services, snapshot: str, outcome: ReleaseOutcome) -> None:
    """The snapshot's row tells it; if that is gone, nobody asks. Raises Damaged."""
    with contextlib.suppress(NotFound):
        services.ledger.change(f"snapshot/{snapshot}", partial(_with_outcome, outcome=outcome))


def _with_outcome(row: Snapshot, outcome: ReleaseOutcome) -> Snapshot:
    if row.outcome and row.outcome.at > outcome.at:
        return row
    changed: Snapshot = row.but(outcome=outcome)
    return changed
