"""Managed online endpoints: identity, keys, traffic. What stands behind them is in `deployments`.

While anything is written below an endpoint it is Updating and refuses other writes with 409.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from local.azureml.clock import Clock
from local.azureml.endpoints.exceptions import (
    AuthModeNotImitated,
    BadName,
    BadTraffic,
    EndpointIsBusy,
    NameIsTaken,
    NoSuchEndpoint,
)
from local.azureml.operations.models import OperationFailed, Operations
from local.azureml.settings import Pacer
from local.azureml.store import ResourceTable
from local.azureml.wire.documents import TERMINAL, Times

_NAME = re.compile(r"^[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]$")


def check_name(kind: str, name: str) -> None:
    """BadName unless the service would take it."""
    if not _NAME.match(name):
        raise BadName(kind, name)


class EndpointKeys(msgspec.Struct):
    """The two keys of an endpoint."""

    primary: str
    secondary: str

    @staticmethod
    def new() -> EndpointKeys:
        """Two fresh ones."""
        return EndpointKeys(secrets.token_urlsafe(48), secrets.token_urlsafe(48))


class OnlineEndpoint(msgspec.Struct):
    """One managed online endpoint."""

    name: str
    state: str
    times: Times
    keys: EndpointKeys
    traffic: dict[str, int] = {}
    mirror: dict[str, int] = {}
    properties: dict[str, Any] = {}
    description: str | None = None
    tags: dict[str, str] = {}
    identity: dict[str, Any] = {}
    location: str = "local"


@dataclass
class Endpoints:
    """The workspace's endpoints."""

    table: ResourceTable[OnlineEndpoint]
    operations: Operations
    pacer: Pacer
    clock: Clock
    # Set by the wiring: names of an endpoint's deployments, and how all of them are stopped and forgotten.
    deployments_of: Callable[[str], list[str]] = field(default=lambda name: [])
    remove_deployments: Callable[[str], Awaitable[None]] | None = None
    # Endpoints whose next write is accepted and fails afterwards: name to code and message (control API).
    to_fail: dict[str, tuple[str, str]] = field(default_factory=dict)

    def get(self, name: str) -> OnlineEndpoint:
        """The endpoint, or NoSuchEndpoint."""
        endpoint = self.table.get(name)
        if endpoint is None:
            raise NoSuchEndpoint(name)
        return endpoint

    def keep(self, endpoint: OnlineEndpoint) -> None:
        """Write an endpoint that was changed."""
        endpoint.times.modified = self.clock.stamp()
        self.table.put(endpoint.name, endpoint)

    def claim(self, name: str) -> OnlineEndpoint:
        """The endpoint, taken for one write and Updating from here on; EndpointIsBusy when it is taken."""
        endpoint = self.get(name)
        if endpoint.state not in TERMINAL:
            raise EndpointIsBusy(name, endpoint.state)
        endpoint.state = "Updating"
        self.keep(endpoint)
        return endpoint

    def hold(self, name: str) -> None:
        """Take the endpoint again for a write that goes on after a restart."""
        endpoint = self.get(name)
        self.operations.give_up(f"onlineEndpoints/{name}")
        endpoint.state = "Updating"
        self.keep(endpoint)

    def release(self, name: str) -> None:
        """The write is done."""
        endpoint = self.table.get(name)
        if endpoint is not None and endpoint.state == "Updating":
            endpoint.state = "Succeeded"
            self.keep(endpoint)

    def put(self, name: str, body: dict[str, Any]) -> tuple[OnlineEndpoint, bool]:
        """Create or replace; returns the endpoint and whether it is new."""
        check_name("OnlineEndpoint", name)
        properties = body.get("properties") or {}
        if str(properties.get("authMode")).lower() != "key":
            raise AuthModeNotImitated(properties.get("authMode"))
        traffic = self._checked_traffic(name, properties.get("traffic") or {})
        existing = self.table.get(name)
        endpoint = self.claim(name) if existing else self._new(name)
        before = dict(endpoint.traffic)
        endpoint.traffic = traffic
        endpoint.mirror = properties.get("mirrorTraffic") or {}
        endpoint.properties = properties.get("properties") or {}
        endpoint.description = properties.get("description")
        endpoint.tags = body.get("tags") or {}
        endpoint.identity = body.get("identity") or endpoint.identity
        endpoint.location = body.get("location") or endpoint.location
        self.keep(endpoint)
        self.operations.start(f"onlineEndpoints/{name}", self._settle(name, before))
        return endpoint, existing is None

    def _new(self, name: str) -> OnlineEndpoint:
        taken = {taken.lower() for taken in self.pacer.settings.taken_endpoint_names}
        if name.lower() in taken:
            raise NameIsTaken(name)
        now = self.clock.stamp()
        return OnlineEndpoint(name=name, state="Creating", times=Times(now, now), keys=EndpointKeys.new())

    def _checked_traffic(self, name: str, wanted: dict[str, int]) -> dict[str, int]:
        known = {deployment.lower() for deployment in self.deployments_of(name)}
        if missing := sorted(deployment for deployment in wanted if deployment.lower() not in known):
            raise BadTraffic(f"Endpoint {name} has no deployment {', '.join(missing)}; traffic cannot go there.")
        if any(not 0 <= weight <= 100 for weight in wanted.values()):
            raise BadTraffic(f"Every traffic weight is between 0 and 100; found {wanted}.")
        if sum(wanted.values()) not in (0, 100):
            raise BadTraffic(f"The sum of all traffic weights must be 0 or 100; found {sum(wanted.values())}.")
        return {deployment: weight for deployment, weight in wanted.items() if weight}

    async def _settle(self, name: str, before: dict[str, int] | None = None) -> None:
        """A write that was accepted takes effect, or fails: then the traffic goes where it went before."""
        await self.pacer.wait("endpoint_seconds")
        endpoint, failure = self.get(name), self.to_fail.pop(name, None)
        endpoint.state = "Failed" if failure else "Succeeded"
        if failure and before is not None:
            endpoint.traffic = before
        self.keep(endpoint)
        if failure:
            raise OperationFailed(*failure)

    def delete(self, name: str) -> bool:
        """Start deleting the endpoint and all behind it; False when there is none."""
        endpoint = self.table.get(name)
        if endpoint is None:
            return False
        if endpoint.state == "Deleting":
            return True
        if endpoint.state not in TERMINAL:
            raise EndpointIsBusy(name, endpoint.state)
        endpoint.state = "Deleting"
        self.keep(endpoint)
        self.operations.start(f"onlineEndpoints/{name}", self._remove(name))
        return True

    async def _remove(self, name: str) -> None:
        """A removal that was accepted takes effect, or fails: then the endpoint is there as before, and Failed."""
        await self.pacer.wait("delete_seconds")
        if failure := self.to_fail.pop(name, None):
            endpoint = self.get(name)
            endpoint.state = "Failed"
            self.keep(endpoint)
            raise OperationFailed(*failure)
        if self.remove_deployments is not None:
            await self.remove_deployments(name)
        self.table.remove(name)

    def regenerate(self, name: str, which: str, value: str | None) -> None:
        """Replace one key; the old one stops working at once."""
        endpoint = self.get(name)
        # The SDK sends the key that is to be replaced along; asking for it again cannot be meant.
        known = (endpoint.keys.primary, endpoint.keys.secondary)
        fresh = value if value and value not in known else secrets.token_urlsafe(48)
        if which.lower() == "secondary":
            endpoint.keys.secondary = fresh
        else:
            endpoint.keys.primary = fresh
        self.keep(endpoint)

    def resume(self) -> None:
        """Go on with what was under way when the process ended; deployments bring their endpoints along."""
        for endpoint in self.table:
            key = f"onlineEndpoints/{endpoint.name}"
            if endpoint.state in ("Creating", "Updating"):
                self.operations.start(key, self._settle(endpoint.name))
            elif endpoint.state == "Deleting":
                self.operations.start(key, self._remove(endpoint.name))
