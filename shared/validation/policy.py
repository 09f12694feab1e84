"""The thresholds a snapshot is held to: one frozen value, given by the caller.

The app builds it from its settings (a snapshot's own `snapshot.json` may only `tightened` it); the command
line uses the defaults, which are those of the settings, so that a file accepted here is not refused there.
It is part of what makes a report repeatable: same bytes and same policy, same report.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

SystemTurns = Literal["allow", "reject", "fold"]


FEWEST_TO_TRAIN_ON = 10
"""The training component ends with an error, on a GPU that is paid for, when it is given fewer rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is refused, and from which size on. What each limit is for: LIMITS."""

    system_turns: SystemTurns = "allow"
    roles: tuple[str, ...] = ("system", "user", "assistant")
    max_bad_percent: float = 0.0
    min_rows: int = 20
    min_train_rows: int = 1
    max_rows: int = 5_000_000
    max_bad_rows: int = 1000
    max_file_bytes: int = 20 * 10**9
    max_total_bytes: int = 20 * 10**9
    max_expansion: float = 200.0
    max_line_bytes: int = 8 * 2**20
    max_messages: int = 1000
    max_depth: int = 32
    max_repeats: int = 8
    context_tokens: int = 4096
    meaning: bool = True
    places: int = 20

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if not limit.allows(value):
                raise ValueError(f"{name} must be {limit.range}, not {value!r}")

    def bad_rows_of(self, size: int) -> int:
        """How many bad rows are read of a file of so many bytes, as stored."""
        if self.places == 0:
            return self.max_rows
        return max(self.max_bad_rows + size // 1024, int(self.max_rows * self.max_bad_percent / 100))

    def tightened(self, **limits: Any) -> Policy:
        """Return the policy with the given limits, each refused (ValueError) if it would loosen this one."""
        for name, value in limits.items():
            limit = LIMITS.get(name)
            if limit is None or limit.tighter is None:
                known = ", ".join(sorted(name for name, limit in LIMITS.items() if limit.tighter))
                raise ValueError(f"{name!r} cannot be set by a snapshot; it may set {known}")
            if not limit.allows(value):
                raise ValueError(f"{name} must be {limit.range}, not {value!r}")
            now = getattr(self, name)
            if limit.is_looser(value, now):
                raise ValueError(f"{name} = {value!r} would loosen the operator's {now!r}")
        return dataclasses.replace(self, **limits)


@dataclass(frozen=True, slots=True)
class PolicyLimit:
    """One field of Policy: what it is for, which values make sense, and which way is stricter."""

    help: str
    least: float = 1
    most: float = math.inf
    kind: type = int
    choices: tuple[Any, ...] = ()
    """From the most lenient to the strictest."""
    tighter: Literal["lower", "higher", "later"] | None = "lower"
    setting: str = ""
    """The app's setting, where its name is not VALIDATION_<name>; `-`: there is none."""

    @property
    def range(self) -> str:
        """The values allowed, in words."""
        if self.choices:
            return " or ".join(map(str, self.choices))
        whole = "a whole number" if self.kind is int else "a number"
        return (
            f"{whole} from {self.least:g} on"
            if self.most == math.inf
            else f"{whole} from {self.least:g} to {self.most:g}"
        )

    def allows(self, value: object) -> bool:
        """Whether a value makes sense; no text passes for a number, and true is not 1."""
        if self.choices:
            return any(value is choice or value == choice for choice in self.choices if type(value) is type(choice))
        if self.kind is tuple:
            return isinstance(value, tuple) and {"user", "assistant"} <= set(value)
        if isinstance(value, bool) or not isinstance(value, int if self.kind is int else int | float):
            return False
        return self.least <= value <= self.most

    def is_looser(self, value: Any, now: Any) -> bool:
        """Whether a value lets through what `now` stops."""
        if self.choices:
            return self.choices.index(value) < self.choices.index(now)
        return bool(value > now if self.tighter == "lower" else value < now)


LIMITS: dict[str, PolicyLimit] = {
    "system_turns": PolicyLimit(
        "System turns: `allow` keeps them (an error where the model's template has none), `fold` puts them before the "
        "first user turn, in the training files only, `reject` makes them an error.",
        choices=("allow", "fold", "reject"),
        tighter="later",
        setting="SYSTEM_TURNS",
    ),
    "roles": PolicyLimit("Roles the pinned model's template knows: see below.", kind=tuple, tighter=None, setting="-"),
    "max_bad_percent": PolicyLimit(
        "Share of bad rows that training goes on without; 0: any bad row refuses.", least=0, most=100, kind=float
    ),
    "min_rows": PolicyLimit(
        "Fewer good, distinct rows are not worth a GPU; three splits need three.",
        least=3,
        tighter="higher",
        setting="MIN_ROWS",
    ),
    "min_train_rows": PolicyLimit(
        f"Fewer rows to train on, once the others are held out, are refused. The app and `cli.check` say "
        f"{FEWEST_TO_TRAIN_ON}: the training component fails with fewer.",
        tighter=None,
        setting="-",
    ),
    "max_rows": PolicyLimit("More rows stop the reading."),
    "max_bad_rows": PolicyLimit(
        "So many bad rows of a file are read in any case, and one more for each KiB that it has; more end its reading, "
        "as each takes long. Where `max_bad_percent` lets training go on with more, or `places` is 0, more are read.",
        least=0,
        tighter=None,
        setting="-",
    ),
    "max_file_bytes": PolicyLimit("Largest file, as stored.", setting="MAX_SNAPSHOT_GB"),
    "max_total_bytes": PolicyLimit("All files together, after decompression.", setting="MAX_SNAPSHOT_GB"),
    "max_expansion": PolicyLimit(
        "Decompressed over compressed size, looked at from 64 MiB on; text stays far below.", kind=float
    ),
    "max_line_bytes": PolicyLimit("Longest row.", least=64, most=256 * 2**20),
    "max_messages": PolicyLimit("Most turns of a dialogue.", least=2),
    "max_depth": PolicyLimit("Deepest nesting of a row; `messages` itself needs 3.", least=3, most=512, setting="-"),
    "max_repeats": PolicyLimit(
        "An answer whose last words (up to an eighth of it, for 8) come so many times in a row is told as a loop.",
        least=3,
        setting="-",
    ),
    "context_tokens": PolicyLimit(
        "What the model sees of a row, by estimate; the trainer cuts longer ones. The app takes it from the model.",
        setting="VALIDATION_CONTEXT_TOKENS",
    ),
    "meaning": PolicyLimit(
        "Whether the rules about meaning (warnings) are looked at.", choices=(False, True), tighter="later"
    ),
    "places": PolicyLimit("Places kept per rule in the report; 0 keeps all.", least=0, tighter=None, setting="-"),
}


def setting_of(name: str) -> str:
    """The app setting behind a limit; empty if there is none."""
    setting = LIMITS[name].setting
    return "" if setting == "-" else setting or f"VALIDATION_{name.upper()}"
