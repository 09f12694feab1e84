"""Documents of the control plane as they come, for the doctor: what stands around a training job and an endpoint."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from shared.azure.workspace.translation import or_none, reading
from shared.errors import AccessDenied

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient


class DocumentOperations:
    """Reads documents; nothing is written here."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def get(self, path: str, version: str) -> dict[str, Any] | None:
        """A resource below the workspace, such as `datastores/NAME`, as the API of this version has it."""
        with reading(path):
            return or_none(lambda: self._read(self._client.id(*path.split("/")), version))

    def event_subscriptions(self, version: str, is_source: Callable[[str], bool]) -> list[dict[str, Any]]:
        """The event subscriptions of the system topics, in the workspace's subscription, whose source is asked for."""
        subscription = "/".join(self._client.id("x").split("/")[:3])
        with reading("event subscriptions"):
            topics = self._all(f"{subscription}/providers/Microsoft.EventGrid/systemTopics", version)
            ids = [str(one["id"]) for one in topics if is_source(str(one.get("properties", {}).get("source", "")))]
            return [found for topic in ids for found in self._all(f"{topic}/eventSubscriptions", version)]

    def identity(self) -> str:
        """Who the app is to Azure, by its token: object id and client id. Raises AccessDenied when it gets none."""
        from azure.core.exceptions import ClientAuthenticationError

        try:
            token = self._client.token()
        except ClientAuthenticationError as error:
            raise AccessDenied(f"no token: {error.message[:300]}") from error
        claims = _claims(token)
        return f"object id {claims.get('oid', '?')}, client id {claims.get('appid') or claims.get('azp') or '?'}"

    def _all(self, path: str, version: str) -> Iterator[dict[str, Any]]:
        page = self._read(path, version)
        while True:
            yield from page.get("value", ())
            after = str(page.get("nextLink") or "")
            if not after.startswith(f"{self._client.resource_manager}/"):  # the token is for nobody else
                return
            page = self._client.send("GET", after)

    def _read(self, path: str, version: str) -> dict[str, Any]:
        return self._client.send("GET", f"{self._client.resource_manager}{path}", **{"api-version": version})


def _claims(token: str) -> dict[str, Any]:
    """What a token says of its bearer; nothing when it has another form. Nobody relies on it."""
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
