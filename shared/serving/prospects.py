"""Whether a dataset without a release gets one by itself. Called for a question that finds none; reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger.states import NEVER_RELEASED, DatasetState, ReleaseState

if TYPE_CHECKING:
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

# A snapshot that is in one of these is past what it was dropped for.
_OVER = frozenset(map(str, NEVER_RELEASED)) | {
    *(ReleaseState.WITHHELD, ReleaseState.DEPLOY_FAILED, ReleaseState.ROLLED_BACK, ReleaseState.RETIRED),
    *(ReleaseState.SUPERSEDED, ReleaseState.CANCELED),
}
# Of so many snapshots, the newest, one may be under way: older ones give way to them.
_NEWEST = 20


def why_none(services: Services, row: Dataset) -> str:
    """Why no release comes unless a person acts, and what helps; nothing where one is on its way, or may be."""
    if row.live is not None or row.state != DatasetState.EMPTY:
        return ""
    if row.pause:
        return f"{row.name} has no release, and is {row.pause}: `droptune unpause {row.name}` has it go on"
    from shared.operations import pages

    newest = pages.snapshots(services, row.name, limit=_NEWEST)["snapshots"]
    if not newest or not all(one["state"] in _OVER or one["needs_attention"] for one in newest):
        return ""
    last = newest[0]
    became = "waits for a person" if last["needs_attention"] else f"is {last['state']}"
    return (
        f"{row.name} has no release, and none is on its way: {last['id']} {became}. "
        f"`droptune show {row.name}` says why, and what to do"
    )
