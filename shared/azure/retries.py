"""What a failed request to Azure says about trying again; the same for every service."""

from __future__ import annotations

import contextlib
from typing import Any

# 408: too slow; 409: something is being made or deleted just now; 425, 429: too soon, too many.
_PASSING = frozenset({408, 409, 425, 429})


def worth_another_try(status: int | None) -> bool:
    """Whether the same request may work later. Without a status the answer was cut off, or was none.

    A success whose body made no sense is no refusal either.
    """
    return status is None or status in _PASSING or not 400 <= status < 500


def retry_after(error: Any) -> float | None:
    """The Retry-After of the answer behind an error of azure-core, in seconds."""
    headers = getattr(error.response, "headers", None) or {}
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, float(headers.get("Retry-After", "")))
    return None
