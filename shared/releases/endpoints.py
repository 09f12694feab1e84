"""What serves a dataset in Azure ML: an endpoint, and the deployments behind it. Called by the steps that deploy, move
traffic, remove, put to sleep and wake.

Each `ensure_...` reads what is there, starts at most one change towards what is wanted, and says whether it is reached
already; none of them waits. Names are derived and traffic is always written as a whole, so a call may be repeated or
cut off anywhere: the next one goes on from what it finds. How often a change was asked for, and since when, is kept in
the row (`pending`); a change that Azure accepts and never carries out raises AzureFailed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.azure.workspace.deployments import DeploymentSpec
from shared.errors import AzureRefused, EndpointNameTaken, PermanentError
from shared.ledger.pending import Patience, pursue, reached
from shared.ledger.release import Judgement, Release, Stage
from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.azure.workspace.endpoints import Endpoint
    from shared.runtime import Services

# How many names are tried for an endpoint, besides the first.
_OTHER_NAMES = 9
_REMOVAL = "removal of endpoint "
# What an endpoint or a deployment is while Azure ML is at it.
CHANGING = ("Creating", "Updating", "Deleting", "Scaling")


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


class ServingGone(ReleaseFailure):
    """What traffic is to go to was removed by somebody else: the endpoint, or the deployments named."""

    def __init__(self, reason: str, deployments: frozenset[str] = frozenset()) -> None:
        super().__init__(reason)
        self.deployments = deployments


@dataclass(frozen=True, slots=True)
class Progress:
    """Whether what is wanted is reached, what changes in the row, and the endpoint as it was found then."""

    done: bool
    endpoint: Endpoint | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


def ensure_deployed(services: Services, row: Dataset, release: Release) -> Progress:
    """Makes the endpoint of a dataset, then the deployment of a release, whichever is missing.

    Raises ReleaseFailure when either failed in Azure or is refused, EndpointNameTaken when somebody else has the name,
    AzureFailed.
    """
    progress = _ensure_endpoint(services, row, release)
    if not progress.done:
        return progress
    found = services.workspace.deployments.get(row.endpoint, release.deployment)
    what = f"deployment {release.deployment}"
    if found is None:
        spec = _deployment_spec(services, row, release)
        return _pursue(services, row, what, "", lambda: _start(lambda: services.workspace.deployments.create(spec)))
    if found.tags.get(naming.TAG_SNAPSHOT) != release.snapshot:
        raise ReleaseFailure(f"{what} exists but was not made for {release.snapshot}")
    if found.state in CHANGING:
        return Progress(False)
    if found.state != "Succeeded":
        raise ReleaseFailure(f"{what} is {found.state}{_why(services, row, what)}")
    return _done(row, what, progress.endpoint)


def ensure_traffic(services: Services, row: Dataset) -> Progress:
    """Writes the traffic split on record, if the endpoint has another one.

    Raises ServingGone when the endpoint or a deployment in the split is gone, AzureFailed.
    """
    endpoint = services.workspace.endpoints.get(row.endpoint)
    if endpoint is None or not _is_ours(services, endpoint):
        raise ServingGone(f"endpoint {row.endpoint} is gone")
    wanted = {name: share for name, share in row.traffic.items() if share}
    split = ", ".join(f"{share} % to {name}" for name, share in wanted.items()) or "none"
    what = f"traffic of {row.endpoint}: {split}"
    if endpoint.state == "Succeeded" and endpoint.traffic == wanted:
        return _done(row, what, endpoint)

    def write() -> str:
        _check_deployments(services, row, wanted)
        return services.workspace.endpoints.write(row.endpoint, dict(endpoint.tags), dict(wanted))

    return _pursue(services, row, what, endpoint.state, write)


def ensure_removed(services: Services, row: Dataset, release: Release, whole_endpoint: bool) -> Progress:
    """Removes a release's deployment, or the whole endpoint with all of them. Done once it is gone.

    What does not carry this installation's tag is not ours to remove, and counts as gone. Raises AzureFailed.
    """
    operations = services.workspace
    what = f"{_REMOVAL}{row.endpoint}" if whole_endpoint else f"removal of deployment {release.deployment}"
    endpoint = operations.endpoints.get(row.endpoint)
    if endpoint is None or not _is_ours(services, endpoint):
        return _done(row, what)
    if whole_endpoint:
        return _pursue(services, row, what, endpoint.state, lambda: operations.endpoints.delete(row.endpoint))
    found = operations.deployments.get(row.endpoint, release.deployment)
    if found is None or found.tags.get(naming.TAG_SNAPSHOT) != release.snapshot:
        return _done(row, what, endpoint)
    state = found.state if found.state in CHANGING else endpoint.state
    delete = operations.deployments.delete
    return _pursue(services, row, what, state, lambda: delete(row.endpoint, release.deployment))


def ensure_all_removed(services: Services, row: Dataset) -> Progress:
    """Removes every endpoint of a dataset, also one that its row does not name. Done once all are gone.

    `changes`: what is pending, and what is waited for, a text each. Raises AzureFailed.
    """
    tags = {naming.TAG_INSTALLATION: services.installation, naming.TAG_DATASET: row.name}
    found = [one for one in services.workspace.endpoints.list() if tags.items() <= one.tags.items()]
    pending = {what: one for what, one in row.pending.items() if not what.startswith(_REMOVAL)}
    for endpoint in found:
        delete = partial(services.workspace.endpoints.delete, endpoint.name)
        progress = _pursue(services, row, f"{_REMOVAL}{endpoint.name}", endpoint.state, delete)
        pending |= {what: one for what, one in progress.changes["pending"].items() if what.endswith(endpoint.name)}
    waiting = [f"endpoint {one.name} is being removed" for one in found]
    return Progress(not found, changes={"pending": pending, "waiting": waiting})


def next_endpoint_name(services: Services, row: Dataset, taken: EndpointNameTaken) -> dict[str, Any]:
    """The changes to a row whose endpoint's name is taken: another name, which the row remembers.

    Raises ReleaseFailure when all names were tried, or when an endpoint of the dataset serves: it keeps its name.
    """
    suffix = row.endpoint_suffix + 1
    serves = row.live and row.before_rollout == DatasetState.LIVE and row.state != DatasetState.WAKING
    if suffix > _OTHER_NAMES or serves:
        raise ReleaseFailure(str(taken)) from taken
    return {"endpoint": naming.endpoint(services.installation, row.name, suffix), "endpoint_suffix": suffix}


def _ensure_endpoint(services: Services, row: Dataset, release: Release) -> Progress:
    """Makes the endpoint if it is missing. Raises ReleaseFailure, EndpointNameTaken, AzureFailed.

    ServingGone, if something was live behind it. A write that failed leaves an endpoint that serves in the state
    Failed: then its traffic is written again.
    """
    endpoint, what = services.workspace.endpoints.get(row.endpoint), f"endpoint {row.endpoint}"
    if endpoint is None:
        if row.candidate is not None and row.before_rollout == DatasetState.LIVE:
            raise ServingGone(f"{what} is gone")
        tags = {naming.TAG_INSTALLATION: services.installation, naming.TAG_DATASET: row.name}
        write = services.workspace.endpoints.write
        return _pursue(services, row, what, "", lambda: _start(lambda: write(row.endpoint, tags, {})))
    if not _is_ours(services, endpoint):
        raise EndpointNameTaken(f"endpoint name {row.endpoint} is taken by somebody else")
    if endpoint.state == "Succeeded":
        return _done(row, what, endpoint)
    if endpoint.state in CHANGING:
        return Progress(False)
    if endpoint.traffic:
        return ensure_traffic(services, row)
    if services.workspace.deployments.get(row.endpoint, release.deployment) is not None:
        return _done(row, what, endpoint)  # it came up, and a later write failed: whoever wrote that repeats it
    raise ReleaseFailure(f"{what} is {endpoint.state}{_why(services, row, what)}")


def _check_deployments(services: Services, row: Dataset, wanted: Mapping[str, int]) -> None:
    """Raises ServingGone when traffic is to go to a deployment that is not there."""
    get = services.workspace.deployments.get
    if gone := [name for name in wanted if get(row.endpoint, name) is None]:
        raise ServingGone(f"deployment {', '.join(gone)} is gone", frozenset(gone))


def _pursue(services: Services, row: Dataset, what: str, state: str, write: Callable[[], str]) -> Progress:
    """Waits for a change of the dataset's endpoint, whose state this is, or asks for it."""
    given = services.settings
    pending = pursue(
        row.pending,
        what,
        now=services.clock(),
        patience=Patience(given.deploy_limit_minutes * 60, given.look_seconds),
        changing=state if state in CHANGING else "",
        write=write,
        failure=services.workspace.failure,
    )
    waiting = str(pending[what]) if pending[what].writes > 1 else ""
    return Progress(False, changes={"pending": pending, "waiting": waiting})


def _why(services: Services, row: Dataset, what: str) -> str:
    """What Azure says of a write that failed, to be added to a reason."""
    made = row.pending.get(what)
    why = services.workspace.failure(made.operation) if made else ""
    return f": {why}" if why else ""


def _done(row: Dataset, what: str, endpoint: Endpoint | None = None) -> Progress:
    return Progress(True, endpoint, changes={"pending": reached(row.pending, what)})


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
        start_seconds=given.serving_start_seconds,
        tags=naming.tags(services.installation, row.name, release.snapshot, release.attempt),
    )
