"""What the kinds of resources of the fake workspace share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fake_workspace import FakeWorkspace


DATA_SCIENTIST = "AzureML Data Scientist on the workspace"
COMPUTE_OPERATOR = "AzureML Compute Operator on the workspace"
READER = "Monitoring Reader on the subscription"


@dataclass
class Made:
    """Something that was started: what it is, when it is ready, when it is gone. `broken`: its last write failed."""

    value: Any
    ready_at: float
    deleted_at: float | None = None
    broken: bool = False
    operation: str = ""


class Kind:
    """One kind of resource of a workspace."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        self.workspace = workspace
