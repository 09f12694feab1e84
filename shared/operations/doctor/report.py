"""What a check says: well, wrong or not known; what was found; and what mends it, a command where there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shared.ledger.record import Struct
from shared.runtime import Services

type Result = Literal["well", "wrong", "unknown"]


class CheckResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the doctor's report."""

    result: Result
    found: str
    mend: str = ""
    check: str = ""

    def of(self, name: str) -> CheckResult:
        """The same, under the name of its check."""
        return CheckResult(result=self.result, found=self.found, mend=self.mend, check=name)


class DoctorReport(Struct, frozen=True):
    """All lines."""

    checks: list[CheckResult]

    @property
    def wrong(self) -> list[CheckResult]:
        """What has to be mended."""
        return [check for check in self.checks if check.result == "wrong"]


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One check: its name, and what makes it."""

    name: str
    run: Callable[[Services], CheckResult]


def well(found: str) -> CheckResult:
    """All is as it should be."""
    return CheckResult(result="well", found=found)


def wrong(found: str, mend: str) -> CheckResult:
    """Something has to be mended."""
    return CheckResult(result="wrong", found=found, mend=mend)


def unknown(found: str, mend: str = "") -> CheckResult:
    """It cannot be seen from here."""
    return CheckResult(result="unknown", found=found, mend=mend)


def failed(error: Exception) -> CheckResult:
    """The call itself was refused: Azure's words say which role is missing, or what cannot be reached."""
    return wrong(
        f"{type(error).__name__}: {error}"[:600], "docs/security.md#who-may-do-what lists every role and where"
    )
