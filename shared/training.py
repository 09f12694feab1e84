"""The steps between frozen training files and a finished job: supersede, submit, finish, clean.

Submitting is get-or-create under the job's derived name: a crash after the submit finds the job, and a job that is
there under this name but was not made for this snapshot is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import admission, compute, hyperparameters, naming
from shared.errors import BadSnapshot, PermanentError, Refused
from shared.ledger import Outcome
from shared.lifecycle import SnapshotState
from shared.records import JobSpec, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.clients import Parts
    from shared.records import Job
    from shared.storage import Lease

S = SnapshotState
_FAILED = ("Failed", "Canceled")
# States of a newer snapshot that make an older, waiting one pointless.
_NEWER_WINS = (S.VALIDATED, S.SUBMITTING, S.TRAINING, S.TRAINED, S.REGISTERING, S.REGISTERED)


@dataclass(frozen=True, slots=True)
class Supersede:
    """VALIDATED -> SUPERSEDED, when a newer snapshot of the dataset got as far."""

    parts: Parts

    def ready(self, row: Snapshot) -> bool:
        """Whether there is such a snapshot."""
        return bool(self._newer(row))

    def act(self, row: Snapshot, lease: Lease) -> Outcome:
        """Gives the claim back and ends here."""
        newer = self._newer(row)
        admission.release_claim(self.parts, row)
        look = self.parts.settings.keep_days * 86_400
        return Outcome(S.SUPERSEDED, f"{newer} is newer", look_in=look)

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """Nothing here ends for good: a person has a look."""

    def _newer(self, row: Snapshot) -> str:
        for listed in self.parts.ledger.list("snapshot", row.dataset):
            if listed.state in _NEWER_WINS and listed.key > row.key:
                return listed.key.removeprefix("snapshot/")
        return ""


@dataclass(frozen=True, slots=True)
class Submit:
    """VALIDATED -> SUBMITTING -> TRAINING, or TRAINING_FAILED when the service refuses the job."""

    parts: Parts

    def ready(self, row: Snapshot) -> bool:
        """Always: what is validated and not superseded is trained."""
        return True

    def act(self, row: Snapshot, lease: Lease) -> Outcome:
        """Finds the job of this attempt or submits it."""
        name = naming.job(self.parts.installation, row.id, row.attempt)
        job = self.parts.workspace.job(name) or self._submitted(row, name)
        if job.tags.get(naming.TAG_SNAPSHOT) != row.id:
            raise Refused(f"job {name} exists but was not made for this snapshot; retry makes a new attempt")
        changes = {"job": name, "job_status": job.status, "studio_url": job.studio_url}
        return Outcome(S.TRAINING, f"job {name}", changes, look_in=self.parts.settings.look_seconds)

    def failed(self, row: Snapshot, error: PermanentError) -> Outcome:
        """The service will not take the job: others may claim the content."""
        return _training_failed(self.parts, row, str(error), {})

    def _submitted(self, row: Snapshot, name: str) -> Job:
        try:
            return self.parts.workspace.submit(job_spec(self.parts, row, name))
        except Refused:
            # Refused because it came into being since we looked? Then it is the one we want.
            job = self.parts.workspace.job(name)
            if job is None:
                raise
            return job


def job_spec(parts: Parts, row: Snapshot, name: str) -> JobSpec:
    """The whole job of one attempt. Raises BadSnapshot when model or machines cannot be used (any more)."""
    given, pin = parts.settings, row.base_model
    assert pin is not None, "a validated snapshot has its model pinned"
    model = parts.workspace.base_model(pin.name, pin.version)
    if model is None or model.archived:
        raise BadSnapshot(f"base model {pin.name}:{pin.version} is gone or archived since validation")
    size = compute.training_size(parts, model)
    compute.serving_size(parts, model)
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
        tags=naming.tags(parts.installation, row.dataset, row.id, row.attempt),
        compute=where,
    )


@dataclass(frozen=True, slots=True)
class Finish:
    """TRAINING -> TRAINED or TRAINING_FAILED, as the workspace says; events only make us look sooner."""

    parts: Parts

    def ready(self, row: Snapshot) -> bool:
        """Always: each look asks the workspace."""
        return True

    def act(self, row: Snapshot, lease: Lease) -> Outcome:
        """Asks the workspace for the job's status."""
        job = self.parts.workspace.job(row.job)
        if job is None:
            return _training_failed(self.parts, row, f"job {row.job} is not in the workspace any more", {})
        changes = {"job_status": job.status}
        if job.status == "Completed":
            return Outcome(S.TRAINED, f"job {row.job} completed", changes)
        if job.status in _FAILED:
            why = self.parts.workspace.failure(row.job)
            reason = f"job {row.job} {job.status.lower()}{': ' + why if why else ''}"
            return _training_failed(self.parts, row, reason, changes)
        return Outcome(S.TRAINING, "", changes, look_in=self.parts.settings.look_seconds)

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """The workspace will not tell: that is no reason to give the job up."""


@dataclass(frozen=True, slots=True)
class Clean:
    """End states -> CLEANED after the keep time: the files made of the snapshot are deleted, its row is kept."""

    parts: Parts

    def ready(self, row: Snapshot) -> bool:
        """Whether the keep time is over."""
        return self.parts.clock() >= row.since + self.parts.settings.keep_days * 86_400

    def act(self, row: Snapshot, lease: Lease) -> Outcome:
        """Deletes training files and working files; the report and the user's own upload stay."""
        for container in ("frozen", "work", "quarantine"):
            for blob in self.parts.storage.list(container, f"{row.id}/"):
                self.parts.storage.delete(container, blob.name)
        return Outcome(S.CLEANED, "kept long enough", look_in=None)

    def failed(self, row: Snapshot, error: PermanentError) -> None:
        """Nothing here ends for good: a person has a look."""


def _training_failed(parts: Parts, row: Snapshot, reason: str, changes: Mapping[str, object]) -> Outcome:
    admission.release_claim(parts, row)
    return Outcome(S.TRAINING_FAILED, reason, changes, look_in=parts.settings.keep_days * 86_400)
