"""What a rule is. The rules themselves: `rules`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
Scope = Literal["file", "line", "turns", "meaning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. An error makes the row (or the snapshot, for scope `file`) bad; a warning only tells."""

    id: str
    scope: Scope
    severity: Severity
    explanation: str
    fix: str
    example: bytes | None = None
