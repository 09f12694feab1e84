"""Publishes the workspace's events to an Event Grid topic, in order, off the request path.

Called by jobs, models and deployments whenever something changes. A topic that is not up yet is tried again
a few times; then the event is dropped, as Event Grid's own publishers do. Delivery guarantees are the
broker's business.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

import aiohttp

from local.azureml.addresses import Addresses
from local.azureml.clock import Clock

log = logging.getLogger(__name__)

RETRY_DELAYS = (0.1, 0.3, 1.0, 2.0, 4.0)
_PREFIX = "Microsoft.MachineLearningServices."


def experiment_id(name: str) -> str:
    """An experiment's GUID, derived from its name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"experiment/{name.lower()}"))


class Publisher:
    """Sends events one after another; without a topic it does nothing."""

    def __init__(self, addresses: Addresses, clock: Clock, topic_url: str | None, topic_key: str | None) -> None:
        self._addresses = addresses
        self._clock = clock
        self._url = topic_url
        self._headers = {"aeg-sas-key": topic_key} if topic_key else {}
        # After one event was given up, the next ones are tried once, until one gets through.
        self._down = False
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def run_status_changed(self, run: dict[str, Any], status: str) -> None:
        """A parent or child run changed its status; success raises a second event."""
        subject = f"experiments/{run['experimentId']}/runs/{run['runId']}"
        self._publish("RunStatusChanged", subject, {**run, "runStatus": status})
        if status == "Completed":
            self._publish("RunCompleted", subject, run)

    def model_registered(self, name: str, version: str, tags: dict[str, str]) -> None:
        """A model version was registered."""
        data = {
            "ModelName": name,
            "ModelVersion": int(version) if version.isdigit() else version,
            "ModelTags": tags,
            "ModelProperties": {},
        }
        self._publish("ModelRegistered", f"models/{name}:{version}", data)

    def model_deployed(self, endpoint: str, model: str, tags: dict[str, str]) -> None:
        """A deployment is ready."""
        data = {
            "ServiceName": endpoint,
            "ServiceComputeType": "Managed",
            "ModelIds": model,
            "ServiceTags": tags,
            "ServiceProperties": {},
        }
        self._publish("ModelDeployed", f"endpoints/{endpoint}", data)

    def _publish(self, kind: str, subject: str, data: dict[str, Any]) -> None:
        if self._url is None:
            return
        event = {
            "id": str(uuid.uuid4()),
            "topic": self._addresses.workspace_id,
            "subject": subject,
            "eventType": _PREFIX + kind,
            "eventTime": self._clock.stamp(),
            "data": data,
            "dataVersion": "2",
            "metadataVersion": "1",
        }
        self._waiting.put_nowait(event)

    async def run(self) -> None:
        """Send until cancelled."""
        async with aiohttp.ClientSession(headers=self._headers) as session:
            while True:
                event = await self._waiting.get()
                try:
                    await self._send(session, event)
                finally:
                    self._waiting.task_done()

    async def _send(self, session: aiohttp.ClientSession, event: dict[str, Any]) -> None:
        assert self._url is not None
        for delay in (*(() if self._down else RETRY_DELAYS), None):
            try:
                async with session.post(self._url, json=[event]) as answer:
                    if answer.status < 300:
                        self._down = False
                        return
                    reason = f"status {answer.status}"
            except aiohttp.ClientError as error:
                reason = str(error)
            if delay is None:
                self._down = True
                log.error("event %s for %s dropped: %s", event["eventType"], event["subject"], reason)
                return
            await asyncio.sleep(delay)

    async def idle(self) -> None:
        """Return once everything published so far has been sent or dropped."""
        await self._waiting.join()
