"""The pipeline service: moves each job through its steps, one child process per job.

Started by a submission, and for unfinished jobs when the process starts again; steps that are Completed are
not run a second time (what they left is in the job's folder). Status changes are kept first and published
after.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.azureml.clock import Clock
from local.azureml.compute.models import Computes
from local.azureml.compute.sizes import all_sizes
from local.azureml.events.publisher import Publisher, experiment_id
from local.azureml.jobs.documents import ENDED, HALTED, ChildRun, JobOutput, PipelineJob, RunError
from local.azureml.jobs.models import Jobs
from local.azureml.jobs.outcomes import JobOutcome, JobOutcomes
from local.azureml.jobs.refusals import refusal
from local.azureml.operations.models import Operations
from local.azureml.processes.children import Child, ChildEnded, Children
from local.azureml.settings import Pacer
from local.azureml.workspace.models import Datastores

log = logging.getLogger(__name__)


class StepFailed(Exception):
    """A step ended badly."""

    def __init__(self, error: RunError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass
class Runner:
    """Runs jobs."""

    jobs: Jobs
    folder: Path
    children: Children
    datastores: Datastores
    operations: Operations
    publisher: Publisher
    pacer: Pacer
    clock: Clock
    computes: Computes
    # What a job is given to log by: address, token and CA of the tracking routes.
    tracking: Callable[[], dict[str, str]] = dict
    outcomes: JobOutcomes = field(default_factory=JobOutcomes)
    _children: dict[str, Child] = field(default_factory=dict)

    # -- starting, stopping ----------------------------------------------------------------------

    def start(self, job: PipelineJob) -> None:
        """Begin to run, or go on."""
        self.operations.start(f"jobs/{job.name}", self._run(job))

    def resume(self) -> None:
        """Go on with every job that was under way when the process ended, or say that it is lost."""
        for job in self.jobs.table:
            if job.vanished or job.status in HALTED:
                continue
            if job.status == "CancelRequested":
                self.cancel(job)
            elif self.pacer.settings.interrupted_jobs == "retry":
                self.start(job)
            else:
                self._end(job, "NotResponding", RunError("NodeLost", "The node running the job was lost."))

    def cancel(self, job: PipelineJob) -> None:
        """Stop a job on request."""
        self._set_status(job, "CancelRequested")
        self.operations.start(f"jobs/{job.name}", self._cancel(job))

    async def _cancel(self, job: PipelineJob) -> None:
        await self._kill(job)
        self._end(job, "Canceled", None)

    async def _kill(self, job: PipelineJob) -> None:
        child = self._children.pop(job.name, None)
        if child is not None:
            await child.kill()

    def job_folder(self, name: str) -> Path:
        """Where a job works and leaves its logs."""
        return self.folder / "jobs" / name

    # -- running ---------------------------------------------------------------------------------

    async def _run(self, job: PipelineJob) -> None:
        try:
            await self._run_steps(job)
        except StepFailed as failure:
            self._end(job, "Failed", failure.error)
        finally:
            await asyncio.shield(self._kill(job))
            if job.status in HALTED:
                shutil.rmtree(self.job_folder(job.name) / "work", ignore_errors=True)

    async def _run_steps(self, job: PipelineJob) -> None:
        if job.status == "NotStarted":
            await self.pacer.wait("job_queue_seconds")
            self._set_status(job, "Preparing")
        child = await self._start_child(job)
        self._set_status(job, "Running")
        for step in job.steps:
            if step.status != "Completed" and not await self._run_step(job, step, child):
                return
        self._set_status(job, "Finalizing")
        await self.pacer.wait("job_finalize_seconds")
        self._end(job, "Completed", None)

    async def _start_child(self, job: PipelineJob) -> Child:
        folder = self.job_folder(job.name)
        child = await self.children.start("local.azureml.training", folder / "logs" / "process.txt")
        self._children[job.name] = child
        child.send(self._specification(job))
        return child

    def _specification(self, job: PipelineJob) -> dict[str, Any]:
        return {
            "job": job.name,
            "folder": str(self.job_folder(job.name)),
            "inputs": job.inputs,
            "connection": self.datastores.connection,
            "containers": self.datastores.containers,
            "output_path": self.output_path(job),
            "gpus": {size.name.lower(): size.gpus for size in all_sizes()},
            "runs": {step.name: step.run_id for step in job.steps},
            "tracking": self.tracking(),
            "log_files": {step.name: str(self.log_file(job.name, step)) for step in job.steps},
        }

    def output_path(self, job: PipelineJob) -> str:
        """Where in the default datastore the job leaves its model."""
        return f"azureml/{job.name}/{job.output_name}/"

    def log_file(self, job: str, step: ChildRun) -> Path:
        """What a step wrote."""
        return self.job_folder(job) / "logs" / step.run_id / "std_log.txt"

    async def _run_step(self, job: PipelineJob, step: ChildRun, child: Child) -> bool:
        """Run one step; False when the job was ended from outside meanwhile."""
        for status in ("Queued", "Preparing"):
            self._set_step(job, step, status)
        planned = self.outcomes.take(job.name, step.name)
        if planned is not None and not await self._apply(job, step, planned):
            return False
        begun = time.monotonic()
        self._set_step(job, step, "Running")
        if refused := self._refusal(job, step):
            self._write_log(job, step, refused)
            raise StepFailed(RunError("UserError", refused))
        child.send({"run": step.name, "seconds": self.pacer.settings.pace.job_step_seconds})
        message = await self._answer(job, step, child)
        await self.pacer.wait("job_step_seconds", since=begun)
        if error := message.get("error"):
            raise StepFailed(RunError(error["code"], error["message"]))
        self._set_step(job, step, "Finalizing")
        if "flavors" in message:
            job.outputs[job.output_name] = JobOutput(self.output_path(job), message["flavors"])
        self._set_step(job, step, "Completed")
        return True

    def _refusal(self, job: PipelineJob, step: ChildRun) -> str:
        given = self.pacer.settings
        return refusal(step.name, job.inputs, given, self.computes, self.datastores, self.jobs.registry)

    async def _answer(self, job: PipelineJob, step: ChildRun, child: Child) -> dict[str, Any]:
        try:
            return await child.receive()
        except ChildEnded as error:
            message = f"{step.name}: the process running the step ended unexpectedly ({error})."
            raise StepFailed(RunError("SystemError", message)) from error

    # -- outcomes on request ---------------------------------------------------------------------

    async def _apply(self, job: PipelineJob, step: ChildRun, planned: JobOutcome) -> bool:
        """Do what was asked for; True when the step runs after all."""
        if planned.outcome == "crash":
            await self._children[job.name].kill()
            return True
        if planned.outcome == "hold":
            # Until `release` starts the job again, at this step.
            await asyncio.Event().wait()
        if planned.outcome == "Failed":
            self._set_step(job, step, "Running")
            self._write_log(job, step, planned.message)
            raise StepFailed(RunError(planned.code, planned.message))
        self._conclude(job, planned)
        return False

    def force(self, job: PipelineJob, planned: JobOutcome) -> None:
        """Bring a job to an end from outside, whatever it is doing."""
        self.operations.start(f"jobs/{job.name}", self._force(job, planned))

    async def _force(self, job: PipelineJob, planned: JobOutcome) -> None:
        await self._kill(job)
        if planned.outcome == "Failed":
            step = next((s for s in job.steps if s.status not in ENDED), job.steps[-1])
            self._write_log(job, step, planned.message)
            self._end(job, "Failed", RunError(planned.code, planned.message))
        else:
            self._conclude(job, planned)

    def _conclude(self, job: PipelineJob, planned: JobOutcome) -> None:
        if planned.outcome == "vanish":
            job.vanished = True
            self.jobs.keep(job)
        elif planned.outcome == "NotResponding":
            self._end(job, "NotResponding", RunError("NodeLost", planned.message))
        else:
            self._end(job, "Canceled", None)

    def _write_log(self, job: PipelineJob, step: ChildRun, text: str) -> None:
        path = self.log_file(job.name, step)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as log_file:
            log_file.write(text + "\n")

    # -- status ----------------------------------------------------------------------------------

    def _end(self, job: PipelineJob, status: str, error: RunError | None) -> None:
        """The last status of a job and of every step that had begun or never will."""
        for step in job.steps:
            if step.status in ENDED:
                continue
            begun = step.status != "NotStarted"
            if status == "Failed" and begun:
                step.error = error
                self._set_step(job, step, "Failed")
            elif begun or status == "Canceled":
                self._set_step(job, step, status)
        job.error = error
        job.ended = self.clock.stamp()
        self._set_status(job, status)

    def _set_status(self, job: PipelineJob, status: str) -> None:
        if job.status == status:
            return
        if status == "Running" and job.started is None:
            job.started = self.clock.stamp()
        job.status = status
        self.jobs.keep(job)
        self.publisher.run_status_changed(self._run_data(job, job.name, "azureml.PipelineRun"), status)

    def _set_step(self, job: PipelineJob, step: ChildRun, status: str) -> None:
        if status == "Running":
            step.started = self.clock.stamp()
        elif status in ENDED:
            step.ended = self.clock.stamp()
        step.status = status
        self.jobs.keep(job)
        self.publisher.run_status_changed(self._run_data(job, step.run_id, "azureml.StepRun"), status)

    def _run_data(self, job: PipelineJob, run_id: str, kind: str) -> dict[str, Any]:
        parent = run_id == job.name
        return {
            "experimentId": experiment_id(job.experiment),
            "experimentName": job.experiment,
            "runId": run_id,
            "runType": kind,
            "runTags": dict(job.properties.get("tags") or {}) if parent else {},
            "runProperties": {
                "azureml.runsource": kind,
                **({} if parent else {"azureml.pipelinerunid": job.name}),
            },
        }
