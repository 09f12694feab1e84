"""The connection to Azure ML that the kinds of resources share: the SDK's clients, and the control plane without it."""

from __future__ import annotations

import contextlib
import logging
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.azure.workspace.names import named
from shared.azure.workspace.translation import or_none, reading
from shared.errors import ServiceBusy
from shared.ledger import fence

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core import PipelineClient
    from azure.core.credentials import TokenCredential

    from shared.azure.clouds import AzureCloud

# Shorter in all than what is left of a lease that is renewed in time (16 of 20 s): a write must not outlive it.
_ONCE: dict[str, Any] = {
    "retry_total": 0,
    "connection_timeout": fence.CONNECT_SECONDS,
    "read_timeout": fence.ANSWER_SECONDS,
}


class AzureMlClient:
    """The clients of one workspace and of registries, each made when it is first used."""

    def __init__(
        self,
        credential: TokenCredential,
        subscription: str,
        group: str,
        workspace: str,
        cloud: AzureCloud,
    ) -> None:
        self._credential = credential
        self._registries: dict[str, MLClient] = {}
        self._where = (subscription, group, workspace)
        self.resource_manager = cloud.resource_manager
        self._options = _ONCE | ({"cloud": cloud.name} if cloud.name else {})
        self._raw = threading.local()

    @cached_property
    def workspace(self) -> MLClient:
        """The SDK's client of the workspace."""
        from azure.ai.ml import MLClient

        logging.getLogger("azure.ai.ml").setLevel(logging.ERROR)  # "experimental class" lines at each submit
        return MLClient(self._credential, *self._where, enable_telemetry=False, show_progress=False, **self._options)

    def registry(self, name: str) -> MLClient:
        """The SDK's client of a registry. Raises AzureRefused when there is none of this name."""
        from azure.ai.ml import MLClient

        if name not in self._registries:
            with reading(named("registry", name)):
                self._registries[name] = MLClient(
                    self._credential,
                    registry_name=name,
                    enable_telemetry=False,
                    raw_response_hook=self._keep_raw,
                    **self._options,
                )
        return self._registries[name]

    @cached_property
    def _control_plane(self) -> PipelineClient[Any, Any]:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy

        token = BearerTokenCredentialPolicy(self._credential, f"{self.resource_manager}/.default")
        times = {name: value for name, value in _ONCE.items() if name != "retry_total"}
        return PipelineClient(self.resource_manager, policies=[token], **times)

    def send(self, method: str, address: str, **params: str) -> dict[str, Any]:
        """The object that the control plane answers, without the SDK. Raises ServiceBusy, and errors of azure-core."""
        from azure.core.rest import HttpRequest

        response = self._control_plane.send_request(HttpRequest(method, address, params=params))
        response.raise_for_status()
        found = response.json()
        if not isinstance(found, dict):
            raise ServiceBusy(f"{method} {address}: expected an object, found {type(found).__name__}")
        return found

    def token(self) -> str:
        """A token for the control plane. Raises errors of azure-core."""
        return self._credential.get_token(f"{self.resource_manager}/.default").token

    def failure(self, operation: str) -> str:
        """Code and message of an operation that failed, as the service tells them; a help for people: never raises.

        The document of what was written says that it failed, and not why.
        """
        if not operation.startswith(f"{self.resource_manager}/"):  # the token is for nobody else
            return ""
        with contextlib.suppress(Exception):
            error = self.send("GET", operation)["error"]
            return f"{error['code']}: {error['message']}"[:600]
        return ""

    def id(self, *path: str) -> str:
        """The ARM id of a resource below the workspace. Raises InvalidName."""
        named("resource", *path)
        subscription, group, workspace = self._where
        return (
            f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices"
            f"/workspaces/{workspace}/{'/'.join(path)}"
        )

    def location(self) -> str:
        """The workspace's region."""
        with reading("workspace"):
            found = or_none(lambda: self.workspace.workspaces.get(self._where[2]))
        if found is None or not found.location:
            raise ServiceBusy(f"the region of workspace {self._where[2]} is not known")
        return str(found.location)

    def last_raw(self) -> dict[str, Any]:
        """What the registry last answered this thread, as it came; of a list, the first.

        The SDK's values do not hold all of it.
        """
        found: dict[str, Any] = getattr(self._raw, "body", {})
        return found

    def forget_raw(self) -> None:
        """Forgets what was answered before."""
        self._raw.body = {}

    def _keep_raw(self, response: Any) -> None:
        with contextlib.suppress(Exception):  # an answer of any other shape says nothing
            body = response.http_response.json()
            self._raw.body = (body.get("value") or [body])[0]


def operation_of(poller: Any) -> str:
    """The address under which the service tells of a long operation; empty when it names none."""
    with contextlib.suppress(AttributeError):
        headers = poller.polling_method()._initial_response.http_response.headers
        return str(headers.get("Azure-AsyncOperation", ""))
    return ""
