"""What serves a dataset in Azure ML: an endpoint, and the deployments behind it. Called by the steps that deploy, move
traffic, remove, put to sleep and wake.

Each `ensure_...` reads what is there, starts at most one change towards what is wanted, and says whether it is reached
already; none of them waits. Names are derived and traffic is always written as a whole, so a call may be repeated or
cut off anywhere: the next one goes on from what it finds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.azure.workspace.deployments import DeploymentSpec
from shared.azure.workspace.endpoints import Endpoint
from shared.errors import AzureRefused, EndpointNameTaken, PermanentError, ServiceBusy
from shared.ledger.release import Judgement, Release, Stage
from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.runtime import Services

# How many names are tried for an endpoint, besides the first.
_OTHER_NAMES = 9
_CHANGING = ("Creating", "Updating", "Deleting", "Scaling")


class ReleaseFailure(PermanentError):
    """A release cannot be served; the reason becomes its snapshot's.

    `state`: what the snapshot becomes; None: that depends on how far the release had come. `gate` and `stages`: what
    was measured of it by then, if anything.
    """

    def __init__(
        self,
        reason: str,
        state: ReleaseState | None = None,
        gate: Judgement | None = None,
        stages: tuple[Stage, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.state, self.gate, self.stages = state, gate, stages


@dataclass(frozen=True, slots=True)
class DeployProgress:
    """How far a deployment is: whether it is up, and the address of the Azure operation if one was started just now."""

    up: bool = False
    operation: str = ""


def ensure_deployed(services: Services, row: Dataset, release: Release) -> DeployProgress:
    """Makes the endpoint of a dataset, then the deployment of a release, whichever is missing.

    Raises ReleaseFailure when either failed in Azure or is refused, EndpointNameTaken when somebody else has the name.
    """
    if not _ensure_endpoint(services, row):
        return DeployProgress()
    found = services.workspace.deployments.get(row.endpoint, release.deployment)
    if found is None:
        spec = _deployment_spec(services, row, release)
        return DeployProgress(operation=_start(lambda: services.workspace.deployments.create(spec)))
    if found.tags.get(naming.TAG_SNAPSHOT) != release.snapshot:
        raise ReleaseFailure(f"deployment {release.deployment} exists but was not made for {release.snapshot}")
    if found.state in _CHANGING:
        return DeployProgress()
    if found.state != "Succeeded":
        why = services.workspace.deployments.failure(release.operation)
        raise ReleaseFailure(f"deployment {release.deployment} is {found.state}" + (f": {why}" if why else ""))
    return DeployProgress(up=True)


def ensure_traffic(services: Services, row: Dataset) -> Endpoint | None:
    """Writes the traffic split on record, if the endpoint has another one. The endpoint once it has it, else None.

    Raises ReleaseFailure when the endpoint is gone.
    """
    endpoint = services.workspace.endpoints.get(row.endpoint)
    if endpoint is None or not _is_ours(services, endpoint):
        raise ReleaseFailure(f"endpoint {row.endpoint} is gone")
    if endpoint.state in _CHANGING:
        return None
    if endpoint.traffic == {name: share for name, share in row.traffic.items() if share}:
        return endpoint
    services.workspace.endpoints.write(row.endpoint, dict(endpoint.tags), dict(row.traffic))
    return None


def ensure_removed(services: Services, row: Dataset, release: Release, whole_endpoint: bool) -> bool:
    """Removes a release's deployment, or the whole endpoint with all of them. True once it is gone.

    What does not carry this installation's tag is not ours to remove, and counts as gone.
    """
    endpoint = services.workspace.endpoints.get(row.endpoint)
    if endpoint is None or not _is_ours(services, endpoint):
        return True
    if endpoint.state in _CHANGING:
        return False
    if whole_endpoint:
        services.workspace.endpoints.delete(row.endpoint)
        return False
    found = services.workspace.deployments.get(row.endpoint, release.deployment)
    if found is None or found.tags.get(naming.TAG_SNAPSHOT) != release.snapshot:
        return True
    if found.state not in _CHANGING:
        services.workspace.deployments.delete(row.endpoint, release.deployment)
    return False


def next_endpoint_name(services: Services, row: Dataset, taken: EndpointNameTaken) -> dict[str, Any]:
    """The changes to a row whose endpoint's name is taken: another name, which the row remembers.

    Raises ReleaseFailure when all names were tried, or when an endpoint of the dataset serves: it keeps its name.
    """
    suffix = row.endpoint_suffix + 1
    serves = row.live and row.resting == DatasetState.LIVE and row.state != DatasetState.WAKING
    if suffix > _OTHER_NAMES or serves:
        raise ReleaseFailure(str(taken)) from taken
    return {"endpoint": naming.endpoint(services.installation, row.name, suffix), "endpoint_suffix": suffix}


def save_log(services: Services, row: Dataset, release: Release) -> str:
    """Keeps the last log lines of a deployment that is about to be removed. The blob in `evaluations`; empty: none."""
    try:
        logs = services.workspace.deployments.logs(row.endpoint, release.deployment)
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


def _ensure_endpoint(services: Services, row: Dataset) -> bool:
    """Makes the endpoint if it is missing. True once it is up. Raises ReleaseFailure, EndpointNameTaken."""
    endpoint = services.workspace.endpoints.get(row.endpoint)
    if endpoint is None:
        tags = {naming.TAG_INSTALLATION: services.installation, naming.TAG_DATASET: row.name}
        _start(lambda: services.workspace.endpoints.write(row.endpoint, tags, {}))
        return False
    if not _is_ours(services, endpoint):
        raise EndpointNameTaken(f"endpoint name {row.endpoint} is taken by somebody else")
    if endpoint.state in _CHANGING:
        return False
    if endpoint.state != "Succeeded":
        raise ReleaseFailure(f"endpoint {row.endpoint} is {endpoint.state}")
    return True


def _is_ours(services: Services, endpoint: Endpoint) -> bool:
    return endpoint.tags.get(naming.TAG_INSTALLATION) == services.installation


def _start[T](start: Callable[[], T]) -> T:
    """Starts something that Azure may refuse for good: that is the release's failure, in Azure's own words."""
    try:
        return start()
    except EndpointNameTaken:
        raise
    except AzureRefused as error:
        raise ReleaseFailure(str(error)) from error


def _deployment_spec(services: Services, row: Dataset, release: Release) -> DeploymentSpec:
    given = services.settings
    return DeploymentSpec(
        endpoint=row.endpoint,
        name=release.deployment,
        model_id=services.workspace.models.id(release.model.name, release.model.version),
        instance_type=given.serving_instance_type,
        instances=given.serving_instances,
        concurrency=given.serving_concurrency,
        timeout_seconds=given.scoring_timeout_seconds,
        tags=naming.tags(services.installation, row.name, release.snapshot, release.attempt),
    )
