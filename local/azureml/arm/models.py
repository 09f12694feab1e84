"""The app and the system topics as resources: what the host and the broker say, in the words of the control plane."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import msgspec

from local.azureml.addresses import Addresses
from local.azureml.arm.exceptions import NoSuchFunction, SubscriptionRefused
from local.azureml.store import ResourceTable
from local.azureml.wire.errors import ResourceNotFound

SITE = "droptune"
# System topics by name: what they tell of, and the broker's word for it.
TOPICS = {"droptune-uploads": ("Microsoft.Storage.StorageAccounts", "storage"),
          "droptune-runs": ("Microsoft.MachineLearningServices.Workspaces", "azureml")}  # fmt: skip
# The service's first pauses, shortened: nobody waits minutes for a local retry.
_DELAYS = [1, 2, 5, 10, 30, 60]


class EventSubscription(msgspec.Struct):
    """One subscription, as it was asked for."""

    name: str
    topic: str
    properties: dict[str, Any]


class Ended(msgspec.Struct):
    """Something that was deleted; a workspace is kept for a while unless it was purged."""

    kept: bool = False


@dataclass(frozen=True)
class Neighbours:
    """Where the host and the broker are. Without them there is no app and no topic."""

    app_url: str = ""
    host_keys: Path | None = None
    eventgrid_url: str = ""


@dataclass
class Surroundings:
    """The app, the topics, and whether the workspace is still there."""

    addresses: Addresses
    neighbours: Neighbours
    session: aiohttp.ClientSession
    subscriptions: ResourceTable[EventSubscription]
    ended: ResourceTable[Ended]

    @property
    def group(self) -> str:
        """ARM id of the resource group."""
        return f"/subscriptions/{self.addresses.subscription}/resourceGroups/{self.addresses.group}"

    def topic(self, name: str) -> dict[str, Any]:
        """A system topic's document, or ResourceNotFound."""
        if name not in TOPICS or not self.neighbours.eventgrid_url or self.ended.get(f"topics/{name}"):
            raise ResourceNotFound(f"System topic {name} was not found.")
        kind, topic = TOPICS[name]
        account = f"{self.group}/providers/Microsoft.Storage/storageAccounts/devstoreaccount1"
        source = account if topic == "storage" else self.addresses.workspace_id
        return {
            "id": f"{self.group}/providers/Microsoft.EventGrid/systemTopics/{name}",
            "name": name,
            "location": self.addresses.location,
            "properties": {"source": source, "topicType": kind, "provisioningState": "Succeeded"},
        }

    def remove_topic(self, name: str) -> list[str]:
        """Delete it; the functions of its subscriptions, which go with it."""
        self.topic(name)
        self.ended.put(f"topics/{name}", Ended())
        gone = [one for one in self.subscriptions if one.topic == name]
        for one in gone:
            self.subscriptions.remove(f"{name}/{one.name}")
        return [function_of(one.properties) for one in gone]

    async def functions(self) -> list[str]:
        """The functions of the app, as its host lists them; none while it does not answer."""
        if not self.neighbours.app_url:
            return []
        try:
            async with self.session.get(f"{self.neighbours.app_url}/admin/host/status") as answer:
                found: list[str] = (await answer.json())["functions"]
                return found
        except (aiohttp.ClientError, ValueError, KeyError):
            return []

    def keys(self) -> dict[str, Any]:
        """The host's keys, or ResourceNotFound when it has never run."""
        path = self.neighbours.host_keys
        if path is None or not path.exists():
            raise ResourceNotFound(f"The site {SITE} was not found.")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    async def subscribe(self, topic: str, name: str, properties: dict[str, Any]) -> EventSubscription:
        """Make or replace a subscription, here and at the broker. Raises NoSuchFunction before the code is deployed."""
        self.topic(topic)
        function = function_of(properties)
        if function not in await self.functions():
            raise NoSuchFunction(f"Destination endpoint not found. Resource details: resourceId: {function}.")
        code = self.keys()["system"]["eventgrid_extension"]
        address = f"{self.neighbours.app_url}/runtime/webhooks/EventGrid?functionName={function}&code={code}"
        described = {"topic": TOPICS[topic][1], "endpoint": address, **_as_the_broker_says(properties)}
        async with self.session.put(
            f"{self.neighbours.eventgrid_url}/subscriptions/{function}", json=described
        ) as answer:
            if answer.status != 200:
                raise SubscriptionRefused(f"the event subscription {name} was not accepted: {await answer.text()}")
        made = EventSubscription(name, topic, properties)
        self.subscriptions.put(f"{topic}/{name}", made)
        return made

    async def unsubscribe(self, function: str) -> None:
        """End what the broker delivers to a function."""
        async with self.session.delete(f"{self.neighbours.eventgrid_url}/subscriptions/{function}"):
            pass

    async def is_known_to_the_broker(self, one: EventSubscription) -> bool:
        """Whether the broker still has it: somebody may have deleted it there."""
        async with self.session.get(f"{self.neighbours.eventgrid_url}/subscriptions") as answer:
            return function_of(one.properties) in {each["name"] for each in await answer.json()}

    def workspace_state(self) -> Literal["there", "kept", "gone"]:
        """Whether the workspace is there, was deleted and is kept, or is gone for good."""
        ended = self.ended.get("workspace")
        return "there" if ended is None else "kept" if ended.kept else "gone"


def function_of(properties: dict[str, Any]) -> str:
    """The function that a subscription tells, by the end of its destination's id."""
    destination = properties.get("destination") or {}
    if destination.get("endpointType") != "AzureFunction":
        raise SubscriptionRefused(f"{destination.get('endpointType')!r}: only AzureFunction is imitated")
    return str((destination.get("properties") or {}).get("resourceId", "")).rpartition("/functions/")[2]


def _as_the_broker_says(properties: dict[str, Any]) -> dict[str, Any]:
    wanted = properties.get("filter") or {}
    retry = properties.get("retryPolicy") or {}
    dead = (properties.get("deadLetterWithResourceIdentity") or {}).get("deadLetterDestination") or {}
    container = (dead.get("properties") or {}).get("blobContainerName")
    return {
        "included_event_types": wanted.get("includedEventTypes") or [],
        "subject_begins_with": wanted.get("subjectBeginsWith") or "",
        "advanced_filters": [
            {"operator": one["operatorType"], "key": one["key"], "values": one["values"]}
            for one in wanted.get("advancedFilters") or ()
        ],
        "retry": {
            "delays": _DELAYS,
            "attempts": retry.get("maxDeliveryAttempts", 30),
            "ttl_minutes": retry.get("eventTimeToLiveInMinutes", 1440),
        },
        "dead_letter": {"container": container} if container else None,
    }
