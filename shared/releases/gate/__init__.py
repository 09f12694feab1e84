"""The gate: a candidate at 0 % of the traffic must answer held-out prompts before anybody else asks it anything.

    prompts     which held-out dialogues are asked, and which of them a model was trained on
    asking      asks them, a bounded time per visit; each answer is stored as it comes
    measures    what an answer is worth: unusable or not, how like the reference
    judging     numbers in, judgement out: thresholds, and an interval for the comparison with live

Called by the step `gate`, as often as it takes. A gate that is cut off goes on where it stopped: what was asked is in
the container `evaluations`, below `<snapshot>/<deployment>/`, and is not asked again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.releases.gate import asking, judging, prompts
from shared.releases.gate.judging import told
from shared.releases.gate.page import Evaluation, read, written

if TYPE_CHECKING:
    from shared.ledger.fence import HeldLease
    from shared.ledger.rows import Dataset, Judgement, Release
    from shared.runtime import Services

__all__ = ["Evaluation", "Unfinished", "evaluate", "read", "told"]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The gate has more to ask: come back in so many seconds."""

    poll_in: float


def evaluate(services: Services, row: Dataset, release: Release, lease: HeldLease) -> Judgement | Unfinished:
    """Asks what has no stored answer yet, as much as one visit allows; judges once everything was asked.

    Repeated after the judgement it says the same again. Raises ServiceBusy when the endpoint cannot be asked at all
    (the key is refused, the deployment is not found): that says nothing about the model.
    """
    chosen = prompts.chosen(services, row, release, lease)
    if chosen is None:
        return Unfinished(0)
    left = asking.visit(services, row, release, chosen, lease)
    if left is not None:
        return Unfinished(left)
    thresholds = judging.Thresholds.of(services.settings)
    return written(services, row, release, chosen, thresholds)
