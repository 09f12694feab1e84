"""What a person does with Droptune over HTTP and storage: drop, look, ask, put to sleep. For the demo and the tests.

It knows the app only by its addresses in `cloud.json`; nothing here works differently against Azure but the address of
the Event Grid topic that tells of state changes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx
from azure.storage.blob import BlobServiceClient

from local.listener import TopicListener
from local.parts import TOPIC

# Told of nothing for so long (s), look once: what is told comes at least once, but may come late.
LOOK_ANYWAY = 5.0
# So often a status route is asked again where the app says that storage does not answer just now.
_COMES_BACK = 2


class Droptune:
    """A client of one running app. Use as a context manager: it listens while it is open."""

    def __init__(self, cloud: Mapping[str, Any]) -> None:
        self.cloud = cloud
        self.http = httpx.Client(
            base_url=f"{cloud['app_url']}/api/", headers={"x-functions-key": cloud["app_key"]}, timeout=120
        )
        self.blobs = BlobServiceClient.from_connection_string(cloud["storage_connection_string"])
        self._listener = TopicListener(cloud["eventgrid_url"], TOPIC)

    def __enter__(self) -> Self:
        self._listener.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._listener.__exit__(*error)
        self.http.close()
        self.blobs.close()

    def drop(self, path: str, data: bytes | Path) -> None:
        """Uploads a file into `snapshots`."""
        blob = self.blobs.get_blob_client("snapshots", path)
        if isinstance(data, Path):
            with data.open("rb") as file:
                blob.upload_blob(file, overwrite=True)
        else:
            blob.upload_blob(data, overwrite=True)

    def blob(self, container: str, name: str) -> bytes:
        """The content of a blob."""
        return self.blobs.get_blob_client(container, name).download_blob().readall()

    def names(self, container: str, prefix: str = "") -> list[str]:
        """The blobs of a container."""
        return list(self.blobs.get_container_client(container).list_blob_names(name_starts_with=prefix))

    def get(self, path: str) -> Any:
        """The JSON of a status route, which is asked again a few times where the app says to come back."""
        answer = self.http.get(path)
        for _ in range(_COMES_BACK):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(float(answer.headers.get("retry-after", 1)))
            answer = self.http.get(path)
        return answer.raise_for_status().json()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        """Asks for something; any status is returned."""
        return self.http.post(path, json=body)

    def snapshots(self, dataset: str = "") -> list[dict[str, Any]]:
        """Everything about the newest snapshots, newest first."""
        listed = self.get(f"snapshots?dataset={dataset}")["snapshots"]
        return [self.get(f"snapshots/{row['id']}") for row in listed]

    def ask(self, dataset: str, question: str) -> httpx.Response:
        """One question through the recipe's own payload."""
        turns = [{"role": "user", "content": question}]
        return self.post(f"score/{dataset}", {"input_data": {"input_string": turns, "parameters": {}}})

    def changes(self, timeout: float) -> Iterator[dict[str, Any] | None]:
        """What is told, as CloudEvents (docs/notifications.md), each once; None when it was quiet for a while.

        Raises TimeoutError after `timeout` seconds.
        """
        end, known = time.monotonic() + timeout, set[str]()
        while (left := end - time.monotonic()) > 0:
            event = self._listener.get(min(left, LOOK_ANYWAY))
            if event is None or event["id"] not in known:
                yield event
            known |= {event["id"]} if event else set()
        raise TimeoutError(f"still not there after {timeout:.0f} s: {json.dumps(self._brief())}")

    def wait(self, until: Callable[[], Any], timeout: float = 300) -> Any:
        """Waits until a condition is true, which is looked at with every change that is told."""
        if found := until():
            return found
        for _ in self.changes(timeout):
            if found := until():
                return found
        return None

    def wait_for(self, dataset: str, *states: str, timeout: float = 300) -> dict[str, Any]:
        """The newest snapshot of a dataset once it is in one of these states."""

        def there() -> dict[str, Any] | None:
            newest = next(iter(self.snapshots(dataset)), None)
            return newest if newest and newest["state"] in states else None

        found: dict[str, Any] = self.wait(there, timeout)
        return found

    def _brief(self) -> list[Any]:
        try:
            return [(s["id"], s["state"], s["reason"], s["fault"]) for s in self.snapshots()]
        except httpx.HTTPError as error:
            return [repr(error)]
