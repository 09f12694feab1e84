"""What somebody means by a name: a snapshot by the beginning of its id or by its dataset; and what to say of a name
that nothing has, which is not repeated: it may be anything. Called by the HTTP functions.

Only reads; what is looked up is one listing of a dataset's snapshots, or of the datasets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared import naming
from shared.errors import NotFound, PipelineError
from shared.operations.times import shown_time

if TYPE_CHECKING:
    from shared.runtime import Services

# How the id of a snapshot may begin behind its dataset: with some of its time, or all of it and some of its hash.
_TIME = re.compile(r"[0-9]{1,14}|[0-9]{14}-[0-9a-f]{0,8}")
_SHOWN = 5


class UnclearName(NotFound):
    """A name fits none, or more than one; the text says which there are."""


def snapshot_id(services: Services, name: str) -> str:
    """The snapshot that is meant: by its id, by the beginning of one, or by a dataset for its newest.

    A whole id is taken as it is, whether there is one or not. Raises NotFound, UnclearName.
    """
    if naming.SNAPSHOT_ID.fullmatch(name):
        return name
    if naming.DATASET.fullmatch(name) and (ids := [row.name for row in services.ledger.list("snapshot", name)]):
        return max(ids)
    for dataset in _datasets_meant(name):
        begun = [row.name for row in services.ledger.list("snapshot", dataset) if row.name.startswith(name)]
        if len(begun) > 1:
            some = ", ".join(begun[:_SHOWN]) + (", ..." if len(begun) > _SHOWN else "")
            raise UnclearName(f"{name} is the beginning of {len(begun)} snapshots: {some}")
        if begun:
            return begun[0]
    raise NotFound(f"no snapshot is called {name[:60]!r}")


def unknown_snapshot(services: Services, name: str) -> str:
    """What to say of a snapshot that is not there."""
    dataset = naming.dataset_of(name) or next(_datasets_meant(name), name)
    try:
        known = [row.name for row in services.ledger.list("snapshot", dataset)] if _is_name(dataset) else []
    except PipelineError:
        known = []
    if near := difflib.get_close_matches(name[:80], known, n=1, cutoff=0.6):
        return f"there is no snapshot of that id; did you mean {near[0]}?"
    if known:
        return f"there is no snapshot of that id; the newest of {dataset} is {max(known)}"
    return f"there is no snapshot of that id{_near_dataset(services, dataset)}; GET /api/snapshots lists them"


def unknown_dataset(services: Services, name: str) -> str:
    """What to say of a dataset that is not there: that it was deleted, or the nearest name."""
    try:
        if _is_name(name) and (deletion := services.ledger.deletions.of(name)) is not None:
            return f"{name} was deleted by {deletion.by} at {shown_time(deletion.at)}; a new drop begins anew"
    except PipelineError:
        pass
    return f"there is no dataset of that name{_near_dataset(services, name)}; GET /api/datasets lists them"


def _near_dataset(services: Services, name: str) -> str:
    try:
        known = [row.name for row in services.ledger.list("dataset")]
    except PipelineError:
        return ""
    near = difflib.get_close_matches(name[:60], known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near and near[0] != name else ""


def _is_name(name: str) -> bool:
    return naming.DATASET.fullmatch(name) is not None


def _datasets_meant(name: str) -> Iterator[str]:
    """The datasets whose snapshots may have ids that begin so."""
    for found in re.finditer("-", name):
        if _TIME.fullmatch(name, found.end()) and _is_name(name[: found.start()]):
            yield name[: found.start()]
