"""The steps of a dataset's endpoint: deploy, watch, gate, shift, retire, sleep, wake.

Each look re-reads what is there and makes the next thing that is missing, under derived names; nothing is waited for.
Traffic is always written as the absolute split on record. A rollout that fails first removes what it made, and nothing
else, and only then gives the dataset back; so no failed deployment is left behind, however often it was cut off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import evaluation, idleness, naming
from shared.errors import PermanentError, Refused, ServiceBusy
from shared.ledger import FAULTS_BEFORE_ATTENTION, Outcome
from shared.lifecycle import DatasetState, Part, SnapshotState
from shared.records import Dataset, DeploymentSpec, Endpoint, Release, Snapshot
from shared.records import Outcome as Ended

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.clients import Parts
    from shared.ledger import Listed
    from shared.storage import Lease

D = DatasetState
_MOVING = ("Creating", "Updating", "Deleting", "Scaling")


class Failure(PermanentError):
    """A release cannot be served; its reason becomes the snapshot's."""

    def __init__(self, reason: str, part: Part = Part.DEPLOY_FAILED) -> None:
        super().__init__(reason)
        self.part = part


# --- what is there, and the next thing to make ----------------------------------------------------------------


def raised(parts: Parts, row: Dataset, release: Release) -> bool:
    """Whether endpoint and deployment of a release are up; makes whichever is missing. Raises Failure."""
    endpoint = _endpoint(parts, row)
    if endpoint is None:
        _may_take(parts, lambda: parts.workspace.write_endpoint(row.endpoint, _endpoint_tags(parts, row), {}))
        return False
    if endpoint.state in _MOVING:
        return False
    if endpoint.state != "Succeeded":
        raise Failure(f"endpoint {row.endpoint} is {endpoint.state}")
    found = parts.workspace.deployment(row.endpoint, release.deployment)
    if found is None:
        _may_take(parts, lambda: parts.workspace.start_deployment(_deployment(parts, row, release)))
        return False
    if found.tags.get(naming.TAG_SNAPSHOT) != release.snapshot:
        raise Failure(f"deployment {release.deployment} exists but was not made for {release.snapshot}")
    if found.state in _MOVING:
        return False
    if found.state != "Succeeded":
        raise Failure(f"deployment {release.deployment} is {found.state}")
    return True


def shifted(parts: Parts, row: Dataset) -> Endpoint | None:
    """The endpoint once its traffic is the split on record; writes it when it is not."""
    endpoint = _endpoint(parts, row)
    if endpoint is None:
        raise Failure(f"endpoint {row.endpoint} is gone")
    if endpoint.state in _MOVING:
        return None
    if endpoint.traffic == {k: v for k, v in row.traffic.items() if v}:
        return endpoint
    parts.workspace.write_endpoint(row.endpoint, dict(endpoint.tags), dict(row.traffic))
    return None


def removed(parts: Parts, row: Dataset, release: Release, whole_endpoint: bool) -> bool:
    """Whether a release's deployment (or the whole endpoint) is gone; starts removing what is still there.

    What does not carry this installation's tag is not ours to remove.
    """
    endpoint = parts.workspace.endpoint(row.endpoint)
    if endpoint is None or endpoint.tags.get(naming.TAG_INSTALLATION) != parts.installation:
        return True
    if endpoint.state in _MOVING:
        return False
    if whole_endpoint:
        parts.workspace.delete_endpoint(row.endpoint)
        return False
    found = parts.workspace.deployment(row.endpoint, release.deployment)
    if found is None or found.tags.get(naming.TAG_SNAPSHOT) != release.snapshot:
        return True
    if found.state not in _MOVING:
        parts.workspace.delete_deployment(row.endpoint, release.deployment)
    return False


def _endpoint(parts: Parts, row: Dataset) -> Endpoint | None:
    endpoint = parts.workspace.endpoint(row.endpoint)
    if endpoint is not None and endpoint.tags.get(naming.TAG_INSTALLATION) != parts.installation:
        raise Failure(f"endpoint name {row.endpoint} is taken by somebody else")
    return endpoint


def _may_take(parts: Parts, start: Any) -> None:
    """Starts something that Azure may refuse for good: that is the release's failure, with Azure's own words."""
    try:
        start()
    except Refused as error:
        raise Failure(str(error)) from error


def _endpoint_tags(parts: Parts, row: Dataset) -> dict[str, str]:
    return {naming.TAG_INSTALLATION: parts.installation, naming.TAG_DATASET: row.name}


def _deployment(parts: Parts, row: Dataset, release: Release) -> DeploymentSpec:
    given = parts.settings
    return DeploymentSpec(
        endpoint=row.endpoint,
        name=release.deployment,
        model_id=parts.workspace.model_id(release.model.name, release.model.version),
        instance_type=given.serving_instance_type,
        instances=given.serving_instances,
        concurrency=given.serving_concurrency,
        timeout_seconds=given.scoring_timeout_seconds,
        tags=naming.tags(parts.installation, row.name, release.snapshot, release.attempt),
    )


def _not_for_ever(row: Dataset) -> None:
    """A candidate that keeps failing is given back before a person is needed: it costs money meanwhile."""
    if row.fault and row.fault.count >= FAULTS_BEFORE_ATTENTION - 1:
        raise Failure(f"{row.fault.step} failed {row.fault.count} times: {row.fault.type}: {row.fault.message}")


# --- the steps ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deploy:
    """EMPTY, LIVE, ASLEEP -> DEPLOYING: the newest registered snapshot that had no turn yet becomes the candidate."""

    parts: Parts

    def ready(self, row: Dataset) -> bool:
        """Whether a snapshot waits for its release."""
        return self._next(row) is not None

    def act(self, row: Dataset, lease: Lease) -> Outcome:
        """Puts the candidate on record; nothing is made yet."""
        snapshot = self._next(row)
        if snapshot is None or snapshot.model is None:
            return Outcome(row.state, look_in=None)
        past = row.outcomes.get(snapshot.id)
        attempt = past.attempt + 1 if past else 1
        candidate = Release(
            snapshot=snapshot.id,
            model=snapshot.model,
            deployment=naming.deployment(snapshot.id, attempt),
            attempt=attempt,
        )
        changes: dict[str, Any] = {
            "candidate": candidate,
            "resting": row.state,
            "endpoint": row.endpoint or naming.endpoint(self.parts.installation, row.name),
            "outcomes": {k: v for k, v in row.outcomes.items() if k != snapshot.id},
        }
        if row.requested and row.requested.what == "retry":
            changes["requested"] = None
        return Outcome(D.DEPLOYING, f"release of {snapshot.id}", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """Nothing was made: a person has a look."""

    def _next(self, row: Dataset) -> Snapshot | None:
        wish = row.requested
        if wish and wish.what == "retry":
            return self._registered(wish.snapshot)
        newest = waiting(self.parts.ledger.list("snapshot", row.name), row)
        return self._registered(newest) if newest else None

    def _registered(self, snapshot: str) -> Snapshot | None:
        row: Snapshot = self.parts.ledger.read(f"snapshot/{snapshot}").row
        return row if row.state == SnapshotState.REGISTERED else None


def waiting(listed: Iterable[Listed], row: Dataset) -> str:
    """The newest registered snapshot of a dataset, if it is newer than what is live and had no turn yet."""
    registered = (r.key.removeprefix("snapshot/") for r in listed if r.state == SnapshotState.REGISTERED)
    newest = max(registered, default="")
    live = row.live.snapshot if row.live else ""
    return "" if newest in row.outcomes or newest <= live else newest


class _Rollout:
    """What watch, gate and shift have in common: a candidate, and what to do when it fails."""

    parts: Parts

    def ready(self, row: Dataset) -> bool:
        """Always: a rollout under way goes on."""
        return True

    def act(self, row: Dataset, lease: Lease) -> Outcome:
        """Goes on with the rollout, or with removing a candidate that failed."""
        candidate = row.candidate
        assert candidate is not None, "a rollout has a candidate"
        if not candidate.failed:
            try:
                _not_for_ever(row)
                return self._go_on(row, candidate, lease)
            except Failure as failure:
                keep_logs(self.parts, row, candidate)
                failed = candidate.but(failed=str(failure), failed_as=failure.part)
                traffic = {row.live.deployment: 100} if row.live and row.resting == D.LIVE else {}
                return Outcome(row.state, "", {"candidate": failed, "traffic": traffic})
        return self._give_back(row, candidate)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """What Azure refuses is a Failure already; anything else is for a person."""

    def _go_on(self, row: Dataset, candidate: Release, lease: Lease) -> Outcome:
        raise NotImplementedError

    def _give_back(self, row: Dataset, candidate: Release) -> Outcome:
        """Traffic back where it was, then the candidate gone, then the dataset as it was before."""
        awake = row.resting == D.LIVE
        if awake and shifted(self.parts, row) is None:
            return self._later(row)
        if not removed(self.parts, row, candidate, whole_endpoint=not awake):
            return self._later(row)
        ended = Ended(
            part=candidate.failed_as or Part.DEPLOY_FAILED,
            at=self.parts.clock(),
            reason=candidate.failed,
            attempt=candidate.attempt,
        )
        changes = {"candidate": None, "outcomes": {**row.outcomes, candidate.snapshot: ended}}
        return Outcome(row.resting, f"{candidate.snapshot}: {ended.part}: {candidate.failed}", changes)

    def _later(self, row: Dataset) -> Outcome:
        return Outcome(row.state, look_in=self.parts.settings.look_seconds)


@dataclass(frozen=True)
class Watch(_Rollout):
    """DEPLOYING -> EVALUATING, or back when the deployment fails or takes too long."""

    parts: Parts

    def _go_on(self, row: Dataset, candidate: Release, lease: Lease) -> Outcome:
        limit = self.parts.settings.deploy_limit_minutes
        if not raised(self.parts, row, candidate):
            if self.parts.clock() > row.since + limit * 60:
                raise Failure(f"deployment {candidate.deployment} was not ready within {limit} minutes")
            return self._later(row)
        endpoint = self.parts.workspace.endpoint(row.endpoint)
        uri = endpoint.scoring_uri if endpoint else ""
        return Outcome(D.EVALUATING, f"deployment {candidate.deployment} is up", {"scoring_uri": uri})


@dataclass(frozen=True)
class Gate(_Rollout):
    """EVALUATING -> SHIFTING with the new split on record, or back and WITHHELD."""

    parts: Parts

    def _go_on(self, row: Dataset, candidate: Release, lease: Lease) -> Outcome:
        found = evaluation.evaluate(self.parts, row, candidate, lease)
        if not found.complete:
            return Outcome(row.state)
        most = self.parts.settings.gate_max_error_percent
        numbers = f"{found.asked - found.failed} of {found.asked} held-out prompts answered"
        if found.error_percent > most:
            raise Failure(
                f"{numbers}, {found.error_percent:.0f} % failed, {most:.0f} % allowed; first: {found.detail}",
                Part.WITHHELD,
            )
        return Outcome(D.SHIFTING, numbers, {"traffic": {candidate.deployment: 100}})


@dataclass(frozen=True)
class Shift(_Rollout):
    """SHIFTING -> LIVE once the endpoint's traffic is the split on record."""

    parts: Parts

    def _go_on(self, row: Dataset, candidate: Release, lease: Lease) -> Outcome:
        endpoint = shifted(self.parts, row)
        if endpoint is None:
            return self._later(row)
        outcomes = dict(row.outcomes)
        # A release that slept has no deployment any more: only one that was up needs retiring.
        previous = row.live if row.live and row.resting == D.LIVE else None
        if row.live:
            outcomes[row.live.snapshot] = Ended(part=Part.RETIRED, at=self.parts.clock(), attempt=row.live.attempt)
        changes = {
            "live": candidate,
            "previous": previous,
            "candidate": None,
            "outcomes": outcomes,
            "scoring_uri": endpoint.scoring_uri,
        }
        return Outcome(D.LIVE, f"{candidate.snapshot} serves", changes)


@dataclass(frozen=True, slots=True)
class Retire:
    """LIVE -> LIVE: the deployment of the release before is removed, so that nobody pays for two."""

    parts: Parts

    def ready(self, row: Dataset) -> bool:
        """Whether there is still one."""
        return bool(row.previous and row.previous.deployment)

    def act(self, row: Dataset, lease: Lease) -> Outcome:
        """Removes it; the release stays on record."""
        assert row.previous is not None
        if not removed(self.parts, row, row.previous, whole_endpoint=False):
            return Outcome(row.state, look_in=self.parts.settings.look_seconds)
        return Outcome(row.state, "", {"previous": row.previous.but(deployment="")})

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """It costs money: a person has a look."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """LIVE -> SLEEPING -> ASLEEP, on request; the timer's request is checked again before anything is removed."""

    parts: Parts

    def ready(self, row: Dataset) -> bool:
        """Whether somebody asked for it, and the timer was right if it was the timer."""
        if row.requested is None or row.requested.what != "sleep":
            return False
        if row.requested.by != idleness.TIMER or idleness.idle(self.parts, row):
            return True
        self.parts.ledger.change(row.key, lambda r: r.but(requested=None) if r.requested == row.requested else r)
        return False

    def act(self, row: Dataset, lease: Lease) -> Outcome:
        """Removes the endpoint and looks until it is gone."""
        assert row.live is not None
        if not removed(self.parts, row, row.live, whole_endpoint=True):
            return Outcome(row.state, look_in=self.parts.settings.look_seconds)
        by = row.requested.by if row.requested else "nobody any more"
        changes: dict[str, Any] = {"traffic": {}, "scoring_uri": "", "requested": None, "previous": None}
        return Outcome(D.ASLEEP, f"asked for by {by}", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """It costs money: a person has a look."""


@dataclass(frozen=True, slots=True)
class Wake:
    """ASLEEP -> WAKING -> LIVE, on request; or ASLEEP again with the reason, everything removed."""

    parts: Parts

    def ready(self, row: Dataset) -> bool:
        """Whether somebody asked for it."""
        return row.requested is not None and row.requested.what == "wake"

    def act(self, row: Dataset, lease: Lease) -> Outcome:
        """Makes endpoint and deployment of the live release again, and gives it all the traffic."""
        live = row.live
        assert live is not None, "what sleeps was live"
        if live.failed:
            return self._give_up(row, live)
        try:
            if not raised(self.parts, row, live):
                self._in_time(row)
                return self._later(row)
            split = {live.deployment: 100}
            endpoint = shifted(self.parts, row.but(traffic=split))
        except Failure as failure:
            keep_logs(self.parts, row, live)
            return Outcome(row.state, "", {"live": live.but(failed=str(failure))})
        if endpoint is None:
            return self._later(row)
        changes = {"traffic": split, "scoring_uri": endpoint.scoring_uri, "requested": None}
        return Outcome(D.LIVE, "awake", changes)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """What Azure refuses is a Failure already; anything else is for a person."""

    def _in_time(self, row: Dataset) -> None:
        limit = self.parts.settings.deploy_limit_minutes
        if self.parts.clock() > row.since + limit * 60:
            raise Failure(f"not awake within {limit} minutes")

    def _give_up(self, row: Dataset, live: Release) -> Outcome:
        if not removed(self.parts, row, live, whole_endpoint=True):
            return self._later(row)
        changes = {"live": live.but(failed=""), "requested": None, "scoring_uri": ""}
        return Outcome(D.ASLEEP, f"could not wake: {live.failed}", changes)

    def _later(self, row: Dataset) -> Outcome:
        return Outcome(row.state, look_in=self.parts.settings.look_seconds)


def keep_logs(parts: Parts, row: Dataset, release: Release) -> None:
    """Saves the last log lines of a deployment before it is removed."""
    try:
        logs = parts.workspace.deployment_logs(row.endpoint, release.deployment)
    except ServiceBusy:
        return
    if logs:
        text = json.dumps(logs, indent=1).encode()
        parts.storage.put("evaluations", f"{release.snapshot}/{release.deployment}.log.json", text)


def steps(parts: Parts) -> dict[str, Any]:
    """The hands of the dataset table, by step."""
    made = (Deploy, Watch, Gate, Shift, Retire, Sleep, Wake)
    return {hand.__name__.lower(): hand(parts) for hand in made}
