"""One part of what a timer does, apart from the others: what goes wrong in one must not keep the next from running.

Called by the sweep and the nightly round.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, MutableMapping

from shared.errors import Damaged, PipelineError

log = logging.getLogger(__name__)


def run_part(
    name: str, part: Callable[[], Iterable[str] | None], damaged: MutableMapping[str, str] | None = None
) -> list[str]:
    """What the part did; nothing where it failed, which the log tells.

    A damaged blob that the part met is noted in `damaged`, with what is wrong with it.
    """
    try:
        return list(part() or ())
    except PipelineError as error:
        _note(name, error, damaged)
    except Exception:
        log.exception("%s: failed", name)
    return []


def for_each[T](
    items: Iterable[T], act: Callable[[T], object], damaged: MutableMapping[str, str] | None = None
) -> Iterator[T]:
    """Does the same for each item, and gives those for which it was done: one that fails stops no other.

    Damaged blobs are noted as by `run_part`.
    """
    for item in items:
        try:
            act(item)
        except PipelineError as error:
            _note(str(getattr(item, "key", item)), error, damaged)
        else:
            yield item


def _note(name: str, error: PipelineError, damaged: MutableMapping[str, str] | None) -> None:
    if damaged is not None and isinstance(error, Damaged):
        damaged[error.blob] = error.why
    log.warning("%s: left to the next round: %s: %s", name, type(error).__name__, error)
