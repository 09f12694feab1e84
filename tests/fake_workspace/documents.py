"""Documents of the control plane, as the doctor reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fake_workspace.made import Kind


class FakeDocuments(Kind):
    """`found`: by path below the workspace; `subscriptions`: each with the source of its topic."""

    def __init__(self, workspace: Any) -> None:
        super().__init__(workspace)
        self.found: dict[str, dict[str, Any]] = {}
        self.subscriptions: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str, version: str) -> dict[str, Any] | None:
        return self.workspace.call(lambda: self.found.get(path))

    def event_subscriptions(self, version: str, is_source: Callable[[str], bool]) -> list[dict[str, Any]]:
        return self.workspace.call(lambda: [one for source, one in self.subscriptions if is_source(source)])

    def identity(self) -> str:
        return self.workspace.call(lambda: "object id o, client id c")
