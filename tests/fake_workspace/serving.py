"""Endpoints and deployments of the fake workspace.

While anything below an endpoint moves, the endpoint is Updating and refuses other writes.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.azure.workspace.deployments import Deployment, DeploymentSpec
from shared.azure.workspace.endpoints import Endpoint
from shared.errors import AzureRefused, EndpointNameTaken, ServiceBusy
from tests.fake_workspace.made import Kind, Made

if TYPE_CHECKING:
    from tests.fake_workspace import FakeWorkspace


class FakeEndpoints(Kind):
    """Endpoints; names in `taken` are somebody else's in the region. `created` in order."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.made: dict[str, Made] = {}
        self.taken: set[str] = set()
        self.created: list[str] = []

    def get(self, name: str) -> Endpoint | None:
        return self.workspace.call(lambda: self._shown(name) if self.find(name) else None)

    def list(self) -> builtins.list[Endpoint]:
        return self.workspace.call(lambda: [self._shown(name) for name in [*self.made] if self.find(name)])

    def write(self, name: str, tags: dict[str, str], traffic: dict[str, int]) -> str:
        def act() -> str:
            for deployment in traffic:
                if self.workspace.deployments.find(name, deployment) is None:
                    raise AzureRefused(f"no deployment {deployment}")
            if sum(traffic.values()) not in (0, 100):
                raise AzureRefused(f"traffic is not 0 or 100 % in all: {traffic}")
            if self.find(name) is None:
                if name in self.taken:
                    raise EndpointNameTaken(f"endpoint {name}: names must be unique within the region")
                self.created.append(name)
            self.refuse_while_moving(name)
            split = {k: v for k, v in traffic.items() if v}
            found, ready_at = self.find(name), self.workspace.clock() + self.workspace.pace / 3
            operation, reason = self.workspace.accept("traffic" if found else "endpoint", name)
            if reason:
                split = found.value.traffic if found else {}
            value = Endpoint(name=name, state="", traffic=split, tags=tags, scoring_uri=f"https://fake/{name}/score")
            self.made[name] = Made(value, ready_at, broken=bool(reason))
            return operation

        return self.workspace.write(act)

    def delete(self, name: str) -> str:
        def act() -> str:
            if (found := self.find(name)) is None:
                return ""
            self.refuse_while_moving(name)
            operation, reason = self.workspace.accept("removal", name)
            ends_at = self.workspace.clock() + self.workspace.pace / 3
            if reason:
                found.ready_at, found.broken = ends_at, True
            else:
                found.deleted_at = ends_at
            return operation

        return self.workspace.write(act)

    def key(self, name: str) -> str:
        def act() -> str:
            if self.find(name) is None:
                raise AzureRefused(f"HTTP 404: no endpoint {name}")
            return f"key-of-{name}"

        return self.workspace.call(act)

    def id(self, name: str) -> str:
        return f"/endpoints/{name}"

    def find(self, name: str) -> Made | None:
        """An endpoint that is not gone yet, without a call."""
        made = self.made.get(name)
        if made and made.deleted_at is not None and self.workspace.clock() >= made.deleted_at:
            del self.made[name]
            below = self.workspace.deployments.made
            for key in [key for key in below if key[0] == name]:
                del below[key]
        return self.made.get(name)

    def refuse_while_moving(self, name: str) -> None:
        if state := self._moving(name):
            raise ServiceBusy(f"endpoint {name} is {state}")

    def _shown(self, name: str) -> Endpoint:
        rests = "Failed" if self.made[name].broken else "Succeeded"
        found: Endpoint = self.made[name].value.but(state=self._moving(name) or rests)
        return found

    def _moving(self, name: str) -> str:
        """What an endpoint is doing, or nothing."""
        made = self.find(name)
        if made is None:
            return ""
        if made.deleted_at is not None:
            return "Deleting"
        states = set(self.workspace.deployments.states(name))
        moving = self.workspace.clock() < made.ready_at or {"Creating", "Deleting"} & states
        return "Updating" if moving else ""


class FakeDeployments(Kind):
    """Deployments by endpoint and name, which end as `outcome` says by name; `created` in order."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.made: dict[tuple[str, str], Made] = {}
        self.outcome: Callable[[str], str] = lambda name: "Succeeded"
        self.created: list[str] = []

    def get(self, endpoint: str, name: str) -> Deployment | None:
        return self.workspace.call(lambda: self._shown(name, made) if (made := self.find(endpoint, name)) else None)

    def list(self, endpoint: str) -> builtins.list[Deployment]:
        def act() -> builtins.list[Deployment]:
            found = [(name, self.find(endpoint, name)) for at, name in [*self.made] if at == endpoint]
            return [self._shown(name, made) for name, made in found if made]

        return self.workspace.call(act)

    def create(self, spec: DeploymentSpec) -> str:
        def act() -> str:
            if self.workspace.endpoints.find(spec.endpoint) is None:
                raise AzureRefused(f"HTTP 404: no endpoint {spec.endpoint}")
            self.workspace.endpoints.refuse_while_moving(spec.endpoint)
            if (spec.endpoint, spec.name) not in self.made:
                self.created.append(spec.name)
            value = Deployment(name=spec.name, state="", tags=spec.tags)
            operation, reason = self.workspace.accept("deployment", spec.name)
            ready_at = self.workspace.clock() + self.workspace.pace
            made = Made(value, ready_at, broken=bool(reason), operation=operation)
            self.made[spec.endpoint, spec.name] = made
            return operation

        return self.workspace.write(act)

    def failure(self, operation: str) -> str:
        """Why a deployment failed, without a call."""
        failed = (
            made.operation == operation and self._state(name, made) == "Failed" for (_, name), made in self.made.items()
        )
        return "ResourceNotReady: the container ended" if any(failed) else ""

    def delete(self, endpoint: str, name: str) -> str:
        def act() -> str:
            made = self.find(endpoint, name)
            if made is None:
                return ""
            self.workspace.endpoints.refuse_while_moving(endpoint)
            if self.workspace.endpoints.made[endpoint].value.traffic.get(name):
                raise AzureRefused("the deployment has traffic")
            operation, reason = self.workspace.accept("removal", name)
            ends_at = self.workspace.clock() + self.workspace.pace / 3
            if reason:
                self.workspace.endpoints.made[endpoint].ready_at = ends_at
            else:
                made.deleted_at = ends_at
            return operation

        return self.workspace.write(act)

    def logs(self, endpoint: str, name: str) -> dict[str, str]:
        return {"inference-server": "it broke"} if self.find(endpoint, name) else {}

    def find(self, endpoint: str, name: str) -> Made | None:
        """A deployment that is not gone yet, without a call."""
        made = self.made.get((endpoint, name)) if self.workspace.endpoints.find(endpoint) else None
        if made and made.deleted_at is not None and self.workspace.clock() >= made.deleted_at:
            del self.made[endpoint, name]
            return None
        return made

    def states(self, endpoint: str) -> builtins.list[str]:
        """The states of all behind an endpoint, without a call."""
        names = [name for at, name in [*self.made] if at == endpoint]
        return [self._state(name, made) for name in names if (made := self.find(endpoint, name))]

    def _shown(self, name: str, made: Made) -> Deployment:
        found: Deployment = made.value.but(state=self._state(name, made))
        return found

    def _state(self, name: str, made: Made) -> str:
        if made.deleted_at is not None:
            return "Deleting"
        if self.workspace.clock() < made.ready_at:
            return "Creating"
        return "Failed" if made.broken else self.outcome(name)
