"""Which endpoint nobody asks any more. Called by the nightly timer, which only records a wish, and again by the sleep
step under the dataset's lease, before anything is removed.

Idle means: nothing asked through the app, no request in the endpoint's own metrics, over the whole window, and the
window starts after the dataset went live. What is not known is never idle.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from shared.lifecycle import DatasetState
from shared.records import Request

if TYPE_CHECKING:
    from shared.clients import Parts
    from shared.records import Dataset

log = logging.getLogger(__name__)

TIMER = "timer"


def idle(parts: Parts, row: Dataset) -> bool:
    """Whether a live dataset was asked nothing for `IDLE_HOURS`."""
    now = parts.clock()
    since = now - parts.settings.idle_hours * 3600
    if row.candidate is not None or row.since > since or row.last_asked_at > since:
        return False
    return parts.metrics.requests(row.endpoint, since, now) == 0.0


def request_sleep(parts: Parts) -> list[str]:
    """Records a wish to sleep for every idle dataset; returns their names. Repeating it changes nothing."""
    found = []
    for listed in parts.ledger.list("dataset"):
        if listed.state != DatasetState.LIVE:
            continue
        row: Dataset = parts.ledger.read(listed.key).row
        if row.requested is None and idle(parts, row):
            parts.ledger.change(row.key, partial(_wished, wish=Request(what="sleep", by=TIMER, at=parts.clock())))
            parts.ledger.hint(row.key)
            found.append(row.name)
    log.info("idle endpoints: %s", ", ".join(found) or "none")
    return found


def _wished(row: Dataset, wish: Request) -> Dataset:
    """The row with the wish on record, unless there is another one."""
    wished: Dataset = row if row.requested else row.but(requested=wish, next_look_at=wish.at)
    return wished
