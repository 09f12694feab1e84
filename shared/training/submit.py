"""The steps from frozen training files to a running job: reserve a slot for the job, then submit it.

Called by the queue function. Submitting is get-or-create under the job's derived name: a repeat after a crash finds the
job, and a job that is there under this name but was not made for this snapshot is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import naming
from shared.azure.workspace.jobs import JobSpec
from shared.config import hyperparameters
from shared.errors import AzureRefused, NotReady, PermanentError, RowUnwritable, WorkerLost
from shared.ledger.engine import StepResult
from shared.ledger.rows import Blocker, Check, Snapshot
from shared.ledger.states import SnapshotState
from shared.training import attempt, compute, estimate, pause, preflight

if TYPE_CHECKING:
    from shared.azure.workspace.jobs import Job
    from shared.ledger.fence import HeldLease
    from shared.runtime import Services

S = SnapshotState
# States of a newer snapshot of the dataset that make an older, waiting one pointless.
NEWER_WINS = (S.VALIDATED, S.SUBMITTING, S.TRAINING, S.TRAINED, S.REGISTERING, S.REGISTERED)


@dataclass(frozen=True, slots=True)
class Reserve:
    """VALIDATED -> VALIDATED with a slot for its job, or waiting for one.

    SUPERSEDED when a newer snapshot of the dataset got as far; TRAINING_FAILED when the job can never begin.
    """

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Whether this attempt has no slot yet."""
        return row.job != attempt.job_name(self.services, row)

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Checks everything once more, then takes a slot. The row's `job` says that it has one."""
        if Check.SUPERSEDED not in row.overrides and (newer := self.services.ledger.newer(row, NEWER_WINS)):
            return self._supersede(row, newer)
        if paused := pause.why_paused(self.services.ledger, row.dataset):
            return StepResult(S.VALIDATED, "", {"waiting": paused, "blocked": ()}, poll_in=pause.EVERY)
        job, checked = attempt.job_name(self.services, row), self._preflight(row)
        found = checked.blockers
        cluster, pending = compute.ensure_cluster(self.services, row)
        if cluster:
            found.append(Blocker(text=cluster, poll_in=self.services.settings.look_seconds))
        found += self.services.budget.blockers(row) if found else self.services.budget.reserve(row, job)
        changes: dict[str, Any] = {
            "blocked": preflight.checks(found),
            "unchecked": checked.unchecked,
            "pending": pending,
            "estimate": estimate.estimate(self.services, row),
        }
        if found:
            poll_in = min(blocker.poll_in for blocker in found if blocker.poll_in is not None)
            changes["waiting"] = preflight.as_text(found)
            return StepResult(S.VALIDATED, "", changes, poll_in=poll_in)
        return StepResult(S.VALIDATED, "", {**changes, "job": job, "job_status": "", "studio_url": ""})

    def failed(self, row: Snapshot, error: PermanentError) -> StepResult:
        """Refused before any money was spent: others may claim the content."""
        blocked = error.checks if isinstance(error, preflight.PreflightFailed) else ()
        return attempt.fail(self.services, row, f"not submitted: {error}", {"blocked": blocked}, begun=False)

    def _supersede(self, row: Snapshot, newer: str) -> StepResult:
        """Gives back the claim on the content, and the slot that a worker took that was cut off then."""
        self.services.claims.release(row)
        self.services.budget.release(attempt.job_name(self.services, row), begun=False)
        changes = {"blocked": (Check.SUPERSEDED,), "job": "", "job_status": "", "studio_url": ""}
        keep = self.services.settings.keep_days * 86_400
        return StepResult(S.SUPERSEDED, f"{newer} is newer", changes, poll_in=keep)

    def _preflight(self, row: Snapshot) -> preflight.PreflightResult:
        """What is to be waited for. Raises PreflightFailed for what will not pass by itself."""
        pin = row.base_model
        assert pin is not None, "a validated snapshot has its model pinned"
        model = self.services.workspace.registry.model(pin.name, pin.version)
        if model is None:
            gone = Blocker(text=f"base model {pin.name}:{pin.version} is gone since validation")
            raise preflight.PreflightFailed([gone])
        return preflight.check(self.services, row, model)


@dataclass(frozen=True, slots=True)
class Submit:
    """VALIDATED -> SUBMITTING -> TRAINING; TRAINING_FAILED if Azure ML refuses the job, CANCELED if nobody wants it."""

    services: Services

    def ready(self, row: Snapshot) -> bool:
        """Whether this attempt has a slot."""
        return row.job == attempt.job_name(self.services, row)

    def act(self, row: Snapshot, lease: HeldLease) -> StepResult:
        """Finds the job of this attempt or submits it."""
        name = attempt.job_name(self.services, row)
        job = self.services.workspace.jobs.get(name)
        if job is None and row.cancel_request:
            return attempt.canceled(self.services, row, {"job": ""}, begun=False)
        job = job or self._submit(row, name)
        if job.tags.get(naming.TAG_SNAPSHOT) != row.id:
            raise AzureRefused(f"job {name} exists but was not made for this snapshot; retry makes a new attempt")
        changes = {
            "job": name,
            "job_status": job.status,
            "studio_url": job.studio_url,
            "silent_since": None,
            "cancel_asked_at": None,
        }
        return StepResult(S.TRAINING, f"job {name}", changes, poll_in=self.services.settings.look_seconds)

    def failed(self, row: Snapshot, error: PermanentError) -> StepResult | None:
        """Azure ML will not take the job: others may claim the content. Where a worker was lost, the job may run."""
        if isinstance(error, WorkerLost | RowUnwritable):
            return None
        return attempt.fail(self.services, row, str(error), {}, begun=False)

    def _submit(self, row: Snapshot, name: str) -> Job:
        """Submits the job. Raises AzureRefused, NotReady when a limit is reached by now, or the dataset is paused."""
        if paused := pause.why_paused(self.services.ledger, row.dataset):
            raise NotReady(paused, pause.EVERY)
        if holder := self.services.claims.take_again(row):
            raise AzureRefused(f"{holder} is training the same content now")
        # Reserved once more, because a row that waited long for a person has given its slot to others.
        if limits := self.services.budget.reserve(row, name):
            raise NotReady(preflight.as_text(limits), limits[0].poll_in)
        try:
            return self.services.workspace.jobs.submit(job_spec(self.services, row, name))
        except AzureRefused:
            # It may be refused because it came into being since we asked: then it is the one we want.
            job = self.services.workspace.jobs.get(name)
            if job is None:
                raise
            return job


def job_spec(services: Services, row: Snapshot, name: str) -> JobSpec:
    """The whole job of one attempt. Raises BadSnapshot when the region does not offer the size that is to train."""
    given, pin = services.settings, row.base_model
    assert pin is not None, "a validated snapshot has its model pinned"
    size = compute.training_size(services)
    values = hyperparameters.Hyperparameters(**row.hyperparameters)
    nodes, cluster = given.training_nodes, given.training_compute
    files = f"azureml://datastores/{given.training_datastore}/paths"
    preparation = {"compute_model_import": cluster, "compute_preprocess": cluster}
    if cluster == compute.SERVERLESS:
        for step in ("model_import", "preprocess"):
            preparation[f"instance_type_{step}"] = given.preparation_instance_type
    return JobSpec(
        name=name,
        display_name=hyperparameters.display_name(pin.name, values, size.gpus, nodes),
        experiment=given.experiment,
        component=row.component,
        model_id=pin.id,
        inputs={
            **values.inputs(),
            **preparation,
            "compute_finetune": cluster,
            "instance_type_finetune": size.name,
            "num_nodes_finetune": nodes,
            "number_of_gpu_to_use_finetuning": size.gpus,
        },
        files={
            f"{split}_file_path": f"{files}/{naming.frozen(row.id, split)}" for split in ("train", "validation", "test")
        },
        tags=naming.tags(services.installation, row.dataset, row.id, row.attempt),
        compute=cluster,
    )
