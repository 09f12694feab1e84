"""The thresholds a snapshot is held to: one frozen value, given by the caller.

The app builds it from its settings (a snapshot's own `snapshot.json` may only `tightened` it); the command
line uses the defaults, which are those of the settings, so that a file accepted here is not refused there.
It is part of what makes a report repeatable: same bytes and same policy, same report.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

SystemTurns = Literal["allow", "reject", "fold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is refused, and from which size on."""

    system_turns: SystemTurns = "allow"
    """allow: kept; reject: an error; fold: put before the first user turn, in the training files only."""
    max_bad_percent: float = 0.0
    """Above 0, training goes on with the good rows as long as at most this share is bad."""
    min_rows: int = 20
    """Fewer good, distinct rows than this are not worth a GPU."""
    max_rows: int = 5_000_000
    max_file_bytes: int = 20 * 2**30
    """Per file, as stored."""
    max_total_bytes: int = 20 * 10**9
    """All files together, after decompression."""
    max_expansion: float = 200.0
    """Decompressed over compressed size, looked at from 64 MiB on; text stays far below."""
    max_line_bytes: int = 8 * 2**20
    max_messages: int = 1000
    max_depth: int = 32
    context_tokens: int = 4096
    """What the model sees of a row; longer rows are cut by the trainer."""
    meaning: bool = True
    """Whether the rules about meaning (warnings) are looked at."""
    places: int = 20
    """Places kept per rule in the report; 0 keeps all."""

    def __post_init__(self) -> None:
        if self.system_turns not in ("allow", "reject", "fold"):
            raise ValueError(f"system_turns must be allow, reject or fold, not {self.system_turns!r}")
        if not 0 <= self.max_bad_percent <= 100:
            raise ValueError(f"max_bad_percent must be between 0 and 100, not {self.max_bad_percent!r}")
        if self.min_rows < 3:
            raise ValueError(f"min_rows must be at least 3 (one for each split), not {self.min_rows!r}")

    def tightened(self, **limits: Any) -> Policy:
        """Return the policy with the given limits, each refused (ValueError) if it would loosen this one."""
        for name, value in limits.items():
            if name not in _TIGHTER:
                raise ValueError(f"{name!r} cannot be set by a snapshot; it may set {', '.join(sorted(_TIGHTER))}")
            now = getattr(self, name)
            if (value > now) if _TIGHTER[name] == "lower" else (value < now):
                raise ValueError(f"{name} = {value!r} would loosen the operator's {now!r}")
        return dataclasses.replace(self, **limits)


_TIGHTER: dict[str, Literal["lower", "higher"]] = {
    "max_bad_percent": "lower",
    "min_rows": "higher",
    "max_rows": "lower",
    "max_file_bytes": "lower",
    "max_total_bytes": "lower",
    "max_expansion": "lower",
    "max_line_bytes": "lower",
    "max_messages": "lower",
    "max_depth": "lower",
}
