"""The gate: a candidate at 0 % of the traffic must answer held-out prompts before anybody else calls it.

    prompts     which held-out prompts are asked, and which of them a model was trained on
    asking      asks them, a bounded time per call; each answer is stored as it comes
    measures    what an answer is worth: usable or not, how like the reference
    judging     numbers in, judgement out: thresholds, and an interval for the comparison with live
    report      every prompt, answer and score in one blob, for people to read

Called by the step `gate`, as often as it takes. A gate that is cut off goes on where it stopped: what was asked is in
the container `evaluations`, below `<snapshot>/<deployment>/`, and is not asked again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.releases.gate import asking, judging, prompts
from shared.releases.gate.judging import summary
from shared.releases.gate.report import GateReport, read_report, write_report

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.ledger.release import Judgement, Release
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

__all__ = ["GateReport", "GateUnfinished", "read_report", "run", "summary"]


@dataclass(frozen=True, slots=True)
class GateUnfinished:
    """The gate has more to ask: call it again in so many seconds."""

    poll_in: float


def run(services: Services, row: Dataset, release: Release, lease: HeldLease) -> Judgement | GateUnfinished:
    """Asks what has no stored answer yet, for a bounded time; judges once everything was asked.

    Repeated after the judgement it gives the same again. Raises ServiceBusy when the endpoint cannot be asked at all
    (the key is refused, the deployment is not found): that says nothing about the model.
    """
    selection = prompts.select(services, row, release, lease)
    if selection is None:
        return GateUnfinished(0)
    pause = asking.ask(services, row, release, selection, lease)
    if pause is not None:
        return GateUnfinished(pause)
    return write_report(services, row, release, selection, judging.Thresholds.of(services.settings))
