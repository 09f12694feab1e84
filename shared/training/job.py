"""The steps between frozen training files and a finished job: reserve, submit, finish.

Submitting is get-or-create under the job's derived name: a crash after the submit finds the job, and a job that is
there under this name but was not made for this snapshot is never touched. How a job ended is asked of the workspace,
whatever an event says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.azure.resources import JobSpec
from shared.config import hyperparameters
from shared.errors import AzureRefused, NotReady, PermanentError
from shared.ledger.engine import StepResult
from shared.ledger.rows import Blocker, Snapshot
from shared.ledger.states import SnapshotState
from shared.training import compute, preflight

if TYPE_CHECKING:
    from shared.azure.resources import Job
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

S = SnapshotState
_FAILED = ("Failed", "Canceled")
# What `job_status` says of a job that the workspace does not have; Azure has no such word.
MISSING = "Missing"
# What changes in a row whose job gives a sign of life.
_HEARD: Mapping[str, Any] = {"silent_since": None, "cancel_asked_at": None}
# The end of a failed step's log that is told in the reason; the whole tail is kept in `reports`.
_LINES_TOLD, _LETTERS_TOLD = 3, 300


@dataclass(frozen=True, slots=True)
class Reserve:
    """VALIDATED -> VALIDATED with a place for its job, or waiting for one; TRAINING_FAILED when it can never begin."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Whether this attempt has no place yet."""
        return row.job != _job_name(self.services, row)

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Checks everything once more, then takes a place. The row's `job` says that it has one."""
        found = self._checked(row)
        job = _job_name(self.services, row)
        limits = self.services.budget.blockers(row) if found else None
        found += self.services.budget.reserve(row, job) if limits is None else limits
        if found:
            poll_in = min(p.poll_in for p in found if p.poll_in is not None)
            waiting = {"waiting": preflight.listed(found), "blocked": preflight.checks(found)}
            return StepResult(S.VALIDATED, "", waiting, poll_in=poll_in)
        return StepResult(S.VALIDATED, "", {"job": job, "job_status": "", "studio_url": "", "blocked": ()})

    def failed(self, row: Snapshot, error: PermanentError) -> StepResult:
        """Refused before any money was spent: others may claim the content."""
        blocked = error.checks if isinstance(error, preflight.PreflightFailed) else ()
        return _training_failed(self.services, row, f"not submitted: {error}", {"blocked": blocked}, begun=False)

    def _checked(self, row: Snapshot) -> list[Blocker]:
        """What is to be waited for. Raises Refusal for what will not pass."""
        pin = row.base_model
        assert pin is not None, "a validated snapshot has its model pinned"
        model = self.services.workspace.base_model(pin.name, pin.version)
        if model is None:
            raise preflight.PreflightFailed(
                [Blocker(text=f"base model {pin.name}:{pin.version} is gone since validation")]
            )
        found = preflight.problems(self.services, row, model)
        if lasting := [p for p in found if p.poll_in is None]:
            raise preflight.PreflightFailed(lasting)
        if cluster := compute.moving(self.services):
            found.append(Blocker(text=cluster, poll_in=self.services.settings.look_seconds))
        return found


@dataclass(frozen=True, slots=True)
class Submit:
    """VALIDATED -> SUBMITTING -> TRAINING, or TRAINING_FAILED when the service refuses the job."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Whether this attempt has a place."""
        return row.job == _job_name(self.services, row)

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Finds the job of this attempt or submits it."""
        name = _job_name(self.services, row)
        job = self.services.workspace.job(name) or self._submitted(row, name)
        if job.tags.get(naming.TAG_SNAPSHOT) != row.id:
            raise AzureRefused(f"job {name} exists but was not made for this snapshot; retry makes a new attempt")
        changes = {"job": name, "job_status": job.status, "studio_url": job.studio_url, **_HEARD}
        return StepResult(S.TRAINING, f"job {name}", changes, poll_in=self.services.settings.look_seconds)

    def failed(self, row: Snapshot, error: PermanentError) -> StepResult:
        """The service will not take the job: others may claim the content."""
        return _training_failed(self.services, row, str(error), {}, begun=False)

    def _submitted(self, row: Snapshot, name: str) -> Job:
        if holder := self.services.claims.take_again(row):
            raise AzureRefused(f"{holder} is training the same content now")
        # Once more: a row that waited long for a person has given its place to others.
        if limits := self.services.budget.reserve(row, name):
            raise NotReady(preflight.listed(limits), limits[0].poll_in)
        try:
            return self.services.workspace.submit(job_spec(self.services, row, name))
        except AzureRefused:
            # Refused because it came into being since we looked? Then it is the one we want.
            job = self.services.workspace.job(name)
            if job is None:
                raise
            return job


def job_spec(services: Services, row: Snapshot, name: str) -> JobSpec:
    """The whole job of one attempt. Raises BadSnapshot when the region does not offer the size that is to train."""
    given, pin = services.settings, row.base_model
    assert pin is not None, "a validated snapshot has its model pinned"
    size = compute.training_size(services)
    values = hyperparameters.Hyperparameters(**row.hyperparameters)
    nodes, where = given.training_nodes, given.training_compute
    files = f"azureml://datastores/{given.training_datastore}/paths"
    small = {"compute_model_import": where, "compute_preprocess": where}
    if where == compute.SERVERLESS:
        for step in ("model_import", "preprocess"):
            small[f"instance_type_{step}"] = given.preparation_instance_type
    return JobSpec(
        name=name,
        display_name=hyperparameters.display_name(pin.name, values, size.gpus, nodes),
        experiment=given.experiment,
        component=row.component,
        model_id=pin.id,
        inputs={
            **values.inputs(),
            **small,
            "compute_finetune": where,
            "instance_type_finetune": size.name,
            "num_nodes_finetune": nodes,
            "number_of_gpu_to_use_finetuning": size.gpus,
        },
        files={
            f"{split}_file_path": f"{files}/{naming.frozen(row.id, split)}" for split in ("train", "validation", "test")
        },
        tags=naming.tags(services.installation, row.dataset, row.id, row.attempt),
        compute=where,
    )


@dataclass(frozen=True, slots=True)
class Finish:
    """TRAINING -> TRAINED or TRAINING_FAILED, as the workspace says; events only make us look sooner."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Always: each look asks the workspace."""
        return True

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Asks the workspace for the job's status."""
        job = self.services.workspace.job(row.job)
        status = job.status if job else MISSING
        if status == "Completed":
            self.services.budget.release(row.job)
            return StepResult(S.TRAINED, f"job {row.job} completed", {"job_status": status, **_HEARD})
        if status in _FAILED:
            return self._ended(row, status)
        if status in (MISSING, "NotResponding"):
            return self._silent(row, status)
        return self._later({"job_status": status, **_HEARD})

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """The workspace will not tell: that is no reason to give the job up."""

    def _ended(self, row: Snapshot, status: str) -> StepResult:
        """Failed or canceled, in the words of the step that failed."""
        if row.cancel_asked_at is not None and status == "Canceled":
            minutes = self.services.settings.silence_minutes
            reason = f"job {row.job} did not respond for {minutes} minutes and was canceled"
        else:
            reason = f"job {row.job} {status.lower()}{_why(self.services, row)}"
        return _training_failed(self.services, row, reason, {"job_status": status})

    def _silent(self, row: Snapshot, status: str) -> StepResult:
        """No sign of life: not believed at the first look, and not waited for without end.

        A job that is not there has failed when it is missing at a second look. One that does not respond for
        `SILENCE_MINUTES` is canceled, and has failed when it ends or when as long again has passed since.
        """
        now, limit = self.services.clock(), self.services.settings.silence_minutes * 60
        since = row.silent_since if row.silent_since is not None and row.job_status == status else now
        changes: dict[str, Any] = {"job_status": status, "silent_since": since}
        if status == MISSING:
            if now - since < self.services.settings.look_seconds:
                return self._later(changes)
            reason = f"job {row.job} is not in the workspace any more"
            return _training_failed(self.services, row, reason, changes)
        asked = row.cancel_asked_at
        if asked is not None and now - asked >= limit:
            reason = f"job {row.job} did not respond for {(now - since) // 60:.0f} minutes, though it was canceled"
            return _training_failed(self.services, row, reason, changes)
        if now - since >= limit:
            self.services.workspace.cancel(row.job)
            changes["cancel_asked_at"] = now if asked is None else asked
        return self._later(changes)

    def _later(self, changes: dict[str, Any]) -> StepResult:
        return StepResult(S.TRAINING, "", changes, poll_in=self.services.settings.look_seconds)


def _job_name(services: Services, row: Snapshot) -> str:
    return naming.job(services.installation, row.id, row.attempt)


def _why(services: Services, row: Snapshot) -> str:
    """The failed step, its error and the end of its log; the log's longer tail is kept beside the report."""
    found = services.workspace.failure(row.job)
    told = f": step {found.step} failed" if found.step else ""
    told += f": {found.error}" if found.error else ""
    if found.log:
        name = naming.training_log(row.id, row.attempt)
        services.storage.put("reports", name, found.log.encode())
        end = " / ".join(found.log.strip().splitlines()[-_LINES_TOLD:])[-_LETTERS_TOLD:]
        told += f"; its log ends: {end}; more of it is in reports/{name}"
    return told


def _training_failed(
    services: Services, row: Snapshot, reason: str, changes: Mapping[str, object], begun: bool = True
) -> StepResult:
    """The end of this attempt: claim and place go to others, and the files stay for a retry."""
    services.claims.release(row)
    services.budget.release(_job_name(services, row), begun)
    return StepResult(S.TRAINING_FAILED, reason, changes, poll_in=services.settings.keep_days * 86_400)
