"""Deployments: the models that stand behind an endpoint."""

from __future__ import annotations

import builtins
import contextlib
from typing import TYPE_CHECKING, Any

from shared.azure.workspace.client import operation_of
from shared.azure.workspace.names import check_model_id, check_tags, named
from shared.azure.workspace.translation import or_none, reading, state_of, writing
from shared.ledger.record import Struct

if TYPE_CHECKING:
    from shared.azure.workspace.client import AzureMlClient

_LOG_LINES = 200
# The platform's own pace of probes, s, and how many may fail once a container has come up.
_PROBE_PERIOD = 10
_PROBE_FAILURES = 30
# The serving image works on so many calls at once as it has processes, each of which takes memory of the machine.
_MOST_WORKERS = 64


class DeploymentSpec(Struct, frozen=True, kw_only=True):
    """All that a deployment is made of. `start_seconds`: how long its container may take to load the model."""

    endpoint: str
    name: str
    model_id: str
    instance_type: str
    instances: int
    concurrency: int
    timeout_seconds: int
    start_seconds: int = 1200
    tags: dict[str, str]


def check_deployment(spec: DeploymentSpec) -> None:
    """Raises InvalidName for a part of the deployment that is no name."""
    named("deployment", spec.endpoint, spec.name)
    named("machine size", spec.instance_type)
    check_model_id(spec.model_id)
    check_tags(spec.tags)


class Deployment(Struct, frozen=True, kw_only=True):
    """A deployment behind an endpoint, with its provisioning state."""

    name: str
    state: str
    tags: dict[str, str]


class DeploymentOperations:
    """Creates, reads and deletes deployments."""

    def __init__(self, client: AzureMlClient) -> None:
        self._client = client

    def get(self, endpoint: str, name: str) -> Deployment | None:
        """A deployment behind an endpoint."""
        with reading(named("deployment", endpoint, name)):
            found = or_none(lambda: self._client.workspace.online_deployments.get(name, endpoint))
        return None if found is None else _deployment(found)

    def list(self, endpoint: str) -> builtins.list[Deployment]:
        """All deployments behind an endpoint; none when there is no such endpoint."""
        with reading(named("deployments of", endpoint)):
            found = or_none(lambda: [*self._client.workspace.online_deployments.list(endpoint)])
        return [_deployment(one) for one in found or ()]

    def create(self, spec: DeploymentSpec) -> str:
        """Starts creating a deployment with the notebook's request settings.

        The serving image ignores how many calls the endpoint lets through: it answers as many at once as WORKER_COUNT
        says. A container that loads is not restarted before `start_seconds`, and is ready as soon as it answers.

        Returns the address of the operation, for `Workspace.failure`; empty when the service names none.
        """
        from azure.ai.ml.entities import ManagedOnlineDeployment, OnlineRequestSettings, ProbeSettings

        check_deployment(spec)
        deployment = ManagedOnlineDeployment(
            name=spec.name,
            endpoint_name=spec.endpoint,
            model=spec.model_id,
            instance_type=spec.instance_type,
            instance_count=spec.instances,
            environment_variables={"WORKER_COUNT": str(min(spec.concurrency, _MOST_WORKERS))},
            liveness_probe=ProbeSettings(
                initial_delay=spec.start_seconds, period=_PROBE_PERIOD, failure_threshold=_PROBE_FAILURES
            ),
            readiness_probe=ProbeSettings(
                period=_PROBE_PERIOD, failure_threshold=_PROBE_FAILURES + spec.start_seconds // _PROBE_PERIOD
            ),
            request_settings=OnlineRequestSettings(
                request_timeout_ms=spec.timeout_seconds * 1000,
                max_concurrent_requests_per_instance=spec.concurrency,
            ),
            tags=spec.tags,
        )
        with writing(named("deployment", spec.endpoint, spec.name)):
            return operation_of(self._client.workspace.online_deployments.begin_create_or_update(deployment))

    def delete(self, endpoint: str, name: str) -> str:
        """Starts deleting a deployment. Returns the address of the operation, as `create` does."""
        with writing(named("deployment", endpoint, name)):
            deployments = self._client.workspace.online_deployments
            return operation_of(or_none(lambda: deployments.begin_delete(name, endpoint)))

    def logs(self, endpoint: str, name: str) -> dict[str, str]:
        """The last lines of the inference server and of the storage initialiser, as far as they can be had."""
        named("deployment", endpoint, name)
        found: dict[str, str] = {}
        for container in ("inference-server", "storage-initializer"):
            with contextlib.suppress(Exception):  # a container that never started has no log
                found[container] = self._client.workspace.online_deployments.get_logs(
                    name, endpoint, lines=_LOG_LINES, container_type=container
                )
        return found

    def id(self, endpoint: str, name: str) -> str:
        """The ARM id of a deployment, as metrics want it."""
        return self._client.id("onlineEndpoints", endpoint, "deployments", name)


def _deployment(found: Any) -> Deployment:
    return Deployment(name=found.name, state=state_of(found), tags=dict(found.tags or {}))
