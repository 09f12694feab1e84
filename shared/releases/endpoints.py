"""What serves a dataset in Azure ML, and the next thing to make of it or to remove. Called by the steps of the rollout
and by sleep and wake.

Each call looks at what is there and does at most one thing, under derived names; nothing is waited for. So a call may
be repeated or cut off anywhere, and the next one goes on from what it finds. Traffic is always written as a whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.azure.resources import DeploymentSpec, Endpoint
from shared.errors import AzureRefused, EndpointNameTaken, PermanentError, ServiceBusy
from shared.ledger.rows import Dataset, Judgement, Release, Stage
from shared.ledger.states import DatasetState, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.runtime import Services

# So many names are tried for an endpoint, besides the first.
_MOST_NAMES = 9
_MOVING = ("Creating", "Updating", "Deleting", "Scaling")


class ReleaseFailure(PermanentError):
    """A release cannot be served; its reason becomes the snapshot's.

    `part`: what the snapshot becomes; None: that depends on how far it had come. `gate`, `stages`: what was found of
    it, if it came so far.
    """

    def __init__(
        self,
        reason: str,
        part: ReleaseState | None = None,
        gate: Judgement | None = None,
        stages: tuple[Stage, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.part, self.gate, self.stages = part, gate, stages


@dataclass(frozen=True, slots=True)
class DeployProgress:
    """Whether a release is up, and the operation that was started now to make its deployment."""

    up: bool = False
    operation: str = ""


def ensure_deployed(services: Services, row: Dataset, release: Release) -> DeployProgress:
    """Whether endpoint and deployment of a release are up; makes whichever is missing.

    Raises ReleaseFailure, EndpointNameTaken.
    """
    endpoint = services.workspace.endpoint(row.endpoint)
    if endpoint is not None and not _ours(services, endpoint):
        raise EndpointNameTaken(f"endpoint name {row.endpoint} is taken by somebody else")
    if endpoint is None:
        _may_take(lambda: services.workspace.write_endpoint(row.endpoint, _endpoint_tags(services, row), {}))
        return DeployProgress()
    if endpoint.state in _MOVING:
        return DeployProgress()
    if endpoint.state != "Succeeded":
        raise ReleaseFailure(f"endpoint {row.endpoint} is {endpoint.state}")
    found = services.workspace.deployment(row.endpoint, release.deployment)
    if found is None:
        return DeployProgress(
            operation=_may_take(lambda: services.workspace.start_deployment(_deployment(services, row, release)))
        )
    if found.tags.get(naming.TAG_SNAPSHOT) != release.snapshot:
        raise ReleaseFailure(f"deployment {release.deployment} exists but was not made for {release.snapshot}")
    if found.state in _MOVING:
        return DeployProgress()
    if found.state != "Succeeded":
        why = services.workspace.failure_of(release.operation)
        raise ReleaseFailure(f"deployment {release.deployment} is {found.state}" + (f": {why}" if why else ""))
    return DeployProgress(up=True)


def ensure_traffic(services: Services, row: Dataset) -> Endpoint | None:
    """The endpoint once its traffic is the split on record; writes it when it is not."""
    endpoint = services.workspace.endpoint(row.endpoint)
    if endpoint is None or not _ours(services, endpoint):
        raise ReleaseFailure(f"endpoint {row.endpoint} is gone")
    if endpoint.state in _MOVING:
        return None
    if endpoint.traffic == {k: v for k, v in row.traffic.items() if v}:
        return endpoint
    services.workspace.write_endpoint(row.endpoint, dict(endpoint.tags), dict(row.traffic))
    return None


def ensure_removed(services: Services, row: Dataset, release: Release, whole_endpoint: bool) -> bool:
    """Whether a release's deployment (or the whole endpoint) is gone; starts removing what is still there.

    What does not carry this installation's tag is not ours to remove.
    """
    endpoint = services.workspace.endpoint(row.endpoint)
    if endpoint is None or not _ours(services, endpoint):
        return True
    if endpoint.state in _MOVING:
        return False
    if whole_endpoint:
        services.workspace.delete_endpoint(row.endpoint)
        return False
    found = services.workspace.deployment(row.endpoint, release.deployment)
    if found is None or found.tags.get(naming.TAG_SNAPSHOT) != release.snapshot:
        return True
    if found.state not in _MOVING:
        services.workspace.delete_deployment(row.endpoint, release.deployment)
    return False


def next_name(services: Services, row: Dataset, taken: EndpointNameTaken) -> dict[str, Any]:
    """The changes to a row whose endpoint's name is taken: the next name, which the row remembers. Raises Failure.

    Nothing of the dataset may be up: an endpoint that serves keeps its name.
    """
    suffix = row.endpoint_suffix + 1
    if suffix > _MOST_NAMES or (row.live and row.resting == DatasetState.LIVE and row.state != DatasetState.WAKING):
        raise ReleaseFailure(str(taken)) from taken
    return {"endpoint": naming.endpoint(services.installation, row.name, suffix), "endpoint_suffix": suffix}


def _ours(services: Services, endpoint: Endpoint) -> bool:
    return endpoint.tags.get(naming.TAG_INSTALLATION) == services.installation


def _may_take[T](start: Callable[[], T]) -> T:
    """Starts something that Azure may refuse for good: that is the release's failure, with Azure's own words."""
    try:
        return start()
    except EndpointNameTaken:
        raise
    except AzureRefused as error:
        raise ReleaseFailure(str(error)) from error


def _endpoint_tags(services: Services, row: Dataset) -> dict[str, str]:
    return {naming.TAG_INSTALLATION: services.installation, naming.TAG_DATASET: row.name}


def _deployment(services: Services, row: Dataset, release: Release) -> DeploymentSpec:
    given = services.settings
    return DeploymentSpec(
        endpoint=row.endpoint,
        name=release.deployment,
        model_id=services.workspace.model_id(release.model.name, release.model.version),
        instance_type=given.serving_instance_type,
        instances=given.serving_instances,
        concurrency=given.serving_concurrency,
        timeout_seconds=given.scoring_timeout_seconds,
        tags=naming.tags(services.installation, row.name, release.snapshot, release.attempt),
    )


def save_log(services: Services, row: Dataset, release: Release) -> str:
    """The blob in `evaluations` with the last log lines of a deployment that is about to be removed; empty: none."""
    try:
        logs = services.workspace.deployment_logs(row.endpoint, release.deployment)
    except ServiceBusy:
        logs = {}
    if not logs:
        return ""
    name = f"{release.snapshot}/{release.deployment}.log.json"
    services.storage.put("evaluations", name, json.dumps(logs, indent=1).encode())
    return name


def with_log(reason: str, log: str | None) -> str:
    """A reason with the place of the log, if there is one."""
    return f"{reason}; its log is in evaluations/{log}" if log else reason
