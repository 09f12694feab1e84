"""One part of what a timer does, apart from the others: what goes wrong in one must not keep the next from running.

Called by the sweep and the nightly round.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from shared.errors import PipelineError

log = logging.getLogger(__name__)


def run_part(name: str, part: Callable[[], Iterable[str] | None]) -> list[str]:
    """What the part did; nothing where it failed, which the log tells."""
    try:
        return list(part() or ())
    except PipelineError as error:
        log.warning("%s: left to the next round: %s: %s", name, type(error).__name__, error)
    except Exception:
        log.exception("%s: failed", name)
    return []
