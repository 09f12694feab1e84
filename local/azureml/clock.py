"""Wall clock of the local cloud; tests move it forward instead of waiting.

Only time stamps and metrics follow it. Tokens, time-outs and pacing use real time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """The cloud's present, in UTC."""
        return datetime.now(UTC) + self._offset

    def stamp(self) -> str:
        """The present as Azure writes it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def advance(self, seconds: float) -> None:
        """Move the present forward."""
        self._offset += timedelta(seconds=seconds)
