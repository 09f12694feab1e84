"""The Azure ML workspace and registry: the only file that imports azure-ai-ml. Called by the steps and by scoring.

Reads return None where there is nothing; starts are create-or-get under the caller's derived name. Nothing here waits
for a long operation: it is started, and its state is read at a later look. Requests are sent once (`retry_total=0`,
bounded time): trying again is the ledger's business. States are Azure's words as plain text. The SDK takes seconds to
import: callers who wait for a model's answer need `key` only, which does without it.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.azure.resources import (
    Cluster,
    Deployment,
    DeploymentSpec,
    Endpoint,
    Job,
    JobSpec,
    MachineSize,
    QuotaUsage,
    RegisteredModel,
    RegistryModel,
    RunFailure,
    family_key,
)
from shared.errors import AzureRefused, EndpointNameTaken, ServiceBusy
from shared.ledger import fence

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core import PipelineClient
    from azure.core.credentials import TokenCredential

log = logging.getLogger(__name__)

# Building a pipeline keeps the nodes in module-level state of the SDK: two threads at once mix up their bodies
# without an error (measured: 51 of 60 wrong), so the build is one at a time in a process.
_BUILD = threading.Lock()
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Shorter in all than what is left of a lease that is renewed in time (16 of 20 s): a write must not outlive it.
_REQUEST: dict[str, Any] = {
    "retry_total": 0,
    "connection_timeout": fence.CONNECT_SECONDS,
    "read_timeout": fence.ANSWER_SECONDS,
}
_KEYS_API = "2022-02-01-preview"  # the version that the SDK asks for keys
# "Endpoint name needs to be unique within a region", "Endpoint names must be unique within the region"
_TAKEN = re.compile(r"unique within (a|the) region", re.IGNORECASE)
# "The same operation was sent twice": it is to be sent again a minute later.
_PASSING = ("OperationCanceled",)
_LOG_LINES = 200
_PROBE_SECONDS = 600  # the notebook's: an image with a model of this size starts slowly


class Workspace:
    """One workspace and one registry, through the SDK."""

    def __init__(
        self,
        credential: TokenCredential,
        subscription: str,
        group: str,
        name: str,
        registry: str,
        resource_manager: str = "https://management.azure.com",
    ) -> None:
        self._credential, self._registry_name = credential, registry
        self._where = (subscription, group, name)
        self._resource_manager = resource_manager.rstrip("/")

    @cached_property
    def _client(self) -> MLClient:
        from azure.ai.ml import MLClient

        logging.getLogger("azure.ai.ml").setLevel(logging.ERROR)  # "experimental class" lines at each submit
        return MLClient(self._credential, *self._where, enable_telemetry=False, show_progress=False, **_REQUEST)

    @cached_property
    def _control_plane(self) -> PipelineClient[Any, Any]:
        """The control plane without the SDK."""
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy

        token = BearerTokenCredentialPolicy(self._credential, f"{self._resource_manager}/.default")
        times = {name: value for name, value in _REQUEST.items() if name != "retry_total"}
        return PipelineClient(self._resource_manager, policies=[token], **times)

    @cached_property
    def _registry(self) -> MLClient:
        from azure.ai.ml import MLClient

        # The SDK's Model does not show whether it is archived; the answer it is made from does.
        with _translated(f"registry {self._registry_name}"):
            return MLClient(
                self._credential,
                registry_name=self._registry_name,
                enable_telemetry=False,
                raw_response_hook=self._note_archived,
                **_REQUEST,
            )

    _seen = threading.local()

    def _note_archived(self, response: Any) -> None:
        with contextlib.suppress(Exception):  # an answer of any other shape says nothing about archiving
            body = response.http_response.json()
            rows = body.get("value") or [body]
            self._seen.archived = bool(rows[0]["properties"].get("isArchived"))

    # --- registry ---------------------------------------------------------------------------------------------

    def base_model(self, name: str, version: str) -> RegistryModel | None:
        """A model of the registry by version, or the latest one when the version is empty."""
        self._seen.archived = False
        with _translated(f"base model {name}"):
            model = _or_none(lambda: self._registry.models.get(name, **_which(version)))
        if model is None:
            return None
        return RegistryModel(
            name=model.name,
            version=str(model.version),
            id=model.id,
            archived=self._seen.archived,
            tags=dict(model.tags or {}),
            properties=dict(model.properties or {}),
        )

    def component(self, name: str, version: str) -> str | None:
        """The version of a registry component that this version or the latest resolves to."""
        with _translated(f"component {name}"):
            found = _or_none(lambda: self._registry.components.get(name, **_which(version)))
        return str(found.version) if found else None

    # --- compute ----------------------------------------------------------------------------------------------

    def sizes(self) -> dict[str, MachineSize]:
        """The machine sizes of the workspace's region, by name in lower case."""
        with _translated("machine sizes"):
            found = list(self._client.compute.list_sizes())
        return {
            s.name.lower(): MachineSize(
                name=s.name, gpus=int(s.gpus or 0), cores=int(getattr(s, "vCPUs", None) or 0), family=s.family or ""
            )
            for s in found
        }

    def usages(self) -> dict[str, QuotaUsage] | None:
        """Dedicated cores in use and allowed, by machine family; None when the app may not read them.

        Rows of dedicated and low-priority cores have the same names and differ in their type only; so do rows of single
        workspaces. A limit of -1 is none. The SDK's entity has the cores in use under the service's own spelling.
        """
        with _translated("quota"):
            found = _or_none(lambda: list(self._client.compute.list_usage()), status=403)
        if found is None:
            log.warning("quota is unknown: the app's identity may not read it (Reader on the subscription)")
            return None
        rows = ((u, str(u.type or "").lower(), (u.name or {}).get("value") or "") for u in found)
        return {
            family_key(name): QuotaUsage(used=int(getattr(u, "currentValue", None) or 0), limit=int(u.limit))
            for u, kind, name in rows
            if "lowprioritycores" not in kind and "/workspaces/" not in kind and (u.limit or 0) >= 0 and name
        }

    def compute(self, name: str) -> Cluster | None:
        """A cluster of the workspace."""
        with _translated(f"compute {name}"):
            found = _or_none(lambda: self._client.compute.get(name))
        if found is None:
            return None
        errors = getattr(found, "provisioning_errors", None)
        return Cluster(
            name=name,
            size=getattr(found, "size", "") or "",
            state=_word(found.provisioning_state),
            errors=str(errors) if errors else "",
        )

    def start_compute(self, name: str, size: str, nodes: int, tags: dict[str, str]) -> None:
        """Starts creating a cluster that scales to zero."""
        from azure.ai.ml.entities import AmlCompute

        cluster = AmlCompute(
            name=name,
            size=size,
            min_instances=0,
            max_instances=nodes,
            idle_time_before_scale_down=120,
            tags=tags,
        )
        with _written(f"compute {name}"):
            self._client.compute.begin_create_or_update(cluster)

    # --- jobs -------------------------------------------------------------------------------------------------

    def job(self, name: str) -> Job | None:
        """A job of the workspace."""
        with _translated(f"job {name}"):
            found = _or_none(lambda: self._client.jobs.get(name))
        return _job(found) if found is not None else None

    def submit(self, spec: JobSpec) -> Job:
        """Submits the pipeline job of this spec. A job's body is never changed once it exists.

        Raises AzureRefused when the service will not take it.
        """
        with _translated(f"job {spec.name}"):
            with _BUILD:
                pipeline = self._build(spec)
            fence.check()  # the build may have waited for others
            done = self._client.jobs.create_or_update(pipeline, experiment_name=spec.experiment, skip_validation=True)
        return _job(done)

    def _build(self, spec: JobSpec) -> Any:
        """The pipeline around the registry component; the notebook's `create_pipeline`."""
        from azure.ai.ml import Input
        from azure.ai.ml.dsl import pipeline
        from azure.ai.ml.entities import PipelineJobSettings

        name, version = spec.component.split(":")
        component = self._registry.components.get(name, version=version)
        files = {k: Input(type="uri_file", path=path) for k, path in spec.files.items()}
        model = Input(type="mlflow_model", path=spec.model_id)

        @pipeline  # type: ignore[call-overload, untyped-decorator, unused-ignore]
        def fine_tuning() -> dict[str, Any]:
            fine_tune = component(mlflow_model_path=model, **files, **spec.inputs)
            return {"trained_model": fine_tune.outputs.mlflow_model_folder}

        job = fine_tuning()
        job.name, job.display_name, job.tags = spec.name, spec.display_name, dict(spec.tags)
        # The steps are deterministic: without this a new attempt may get the old one's cached results.
        job.settings = PipelineJobSettings(
            force_rerun=True, continue_on_step_failure=False, default_compute=spec.compute
        )
        return job

    def cancel(self, name: str) -> None:
        """Asks for a job to be canceled; one that has ended or is gone is left as it is."""
        with _written(f"job {name}"):
            _or_none(lambda: _or_none(lambda: self._client.jobs.begin_cancel(name)), status=400)

    def failure(self, name: str) -> RunFailure:
        """Which child step of a failed job failed, with what its run says and the end of its log, as far as is known.

        It is a help for people: without it the job has failed all the same, so nothing is raised.
        """
        with contextlib.suppress(Exception):
            for child in self._client.jobs.list(parent_job_name=name):
                if _word(child.status) == "Failed":
                    return self._step_failure(child.display_name or child.name, child.name)
        return RunFailure()

    def _step_failure(self, step: str, run: str) -> RunFailure:
        """The error on record for a child run, as the history service tells it, and its log."""
        message, log_tail = "", ""
        with contextlib.suppress(Exception):  # see `failure`
            details = self._client.jobs._runs_operations.get_run_details(run)
            error = getattr(details, "error", None)
            message = getattr(getattr(error, "error", error), "message", "") or ""
            log_tail = self._log_tail(dict(getattr(details, "log_files", None) or {}))
        return RunFailure(step=step, error=message, log=log_tail)

    def _log_tail(self, files: dict[str, str]) -> str:
        """The end of what the step itself wrote; the addresses are signed, and never logged."""
        named = [name for name in sorted(files) if name.endswith("std_log.txt")] or sorted(files)
        if not named:
            return ""
        answer = self._client.jobs._requests_pipeline.get(files[named[0]])
        lines = answer.text().splitlines()[-_LOG_LINES:] if answer.status_code == 200 else []
        return "\n".join(line[:500] for line in lines)

    # --- models -----------------------------------------------------------------------------------------------

    def model(self, name: str, version: str) -> RegisteredModel | None:
        """A model version of the workspace."""
        with _translated(f"model {name}:{version}"):
            found = _or_none(lambda: self._client.models.get(name, version=version))
        if found is None:
            return None
        return RegisteredModel(name=name, version=version, id=found.id, tags=dict(found.tags or {}))

    def register(self, name: str, version: str, job: str, tags: dict[str, str]) -> None:
        """Registers the trained output of a job as a model version."""
        from azure.ai.ml.entities import Model

        model = Model(
            path=f"azureml://jobs/{job}/outputs/trained_model",
            type="mlflow_model",
            name=name,
            version=version,
            tags=tags,
            description=f"Fine-tuned by job {job}.",
        )
        with _written(f"model {name}:{version}"):
            self._client.models.create_or_update(model)

    def model_id(self, name: str, version: str) -> str:
        """The ARM id of a model version: deployments take the id, never a fetched entity."""
        sub, group, ws = self._where
        return (
            f"/subscriptions/{sub}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices"
            f"/workspaces/{ws}/models/{name}/versions/{version}"
        )

    # --- endpoints and deployments ----------------------------------------------------------------------------

    def endpoint_id(self, name: str) -> str:
        """The ARM id of an endpoint, as metrics want it."""
        sub, group, ws = self._where
        return (
            f"/subscriptions/{sub}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices"
            f"/workspaces/{ws}/onlineEndpoints/{name}"
        )

    def location(self) -> str:
        """The workspace's region."""
        with _translated("workspace"):
            return str(self._client.workspaces.get(self._where[2]).location)

    def endpoint(self, name: str) -> Endpoint | None:
        """An online endpoint."""
        with _translated(f"endpoint {name}"):
            found = _or_none(lambda: self._client.online_endpoints.get(name))
        return None if found is None else _endpoint(found)

    def list_endpoints(self) -> list[Endpoint]:
        """All online endpoints of the workspace, whoever made them."""
        with _translated("endpoints"):
            return [_endpoint(found) for found in self._client.online_endpoints.list()]

    def write_endpoint(self, name: str, tags: dict[str, str], traffic: dict[str, int]) -> None:
        """Starts creating the endpoint, or setting its traffic: the whole endpoint in one absolute write.

        Raises EndpointNameTaken when it is to be created and somebody else in the region has one of that name.
        """
        from azure.ai.ml.entities import ManagedOnlineEndpoint

        endpoint = ManagedOnlineEndpoint(name=name, auth_mode="key", tags=tags, traffic=traffic)
        with _written(f"endpoint {name}"):
            self._client.online_endpoints.begin_create_or_update(endpoint)

    def delete_endpoint(self, name: str) -> None:
        """Starts deleting an endpoint with all its deployments."""
        with _written(f"endpoint {name}"):
            _or_none(lambda: self._client.online_endpoints.begin_delete(name))

    def key(self, endpoint: str) -> str:
        """The primary key of an endpoint. Never log it, never store it."""
        from azure.core.rest import HttpRequest

        with _answered(f"endpoint {endpoint}"):
            path = f"{self.endpoint_id(endpoint)}/listKeys"
            request = HttpRequest("POST", f"{self._resource_manager}{path}", params={"api-version": _KEYS_API})
            response = self._control_plane.send_request(request)
            response.raise_for_status()
            return str(response.json()["primaryKey"])

    def deployment(self, endpoint: str, name: str) -> Deployment | None:
        """A deployment behind an endpoint."""
        with _translated(f"deployment {endpoint}/{name}"):
            found = _or_none(lambda: self._client.online_deployments.get(name, endpoint))
        return None if found is None else _deployment(found)

    def list_deployments(self, endpoint: str) -> list[Deployment]:
        """All deployments behind an endpoint; none when there is no such endpoint."""
        with _translated(f"deployments of {endpoint}"):
            found = _or_none(lambda: list(self._client.online_deployments.list(endpoint)))
        return [_deployment(one) for one in found or ()]

    def start_deployment(self, spec: DeploymentSpec) -> str:
        """Starts creating a deployment with the notebook's probe and request settings.

        Returns the address of the operation, for `failure_of`; empty when the service names none.
        """
        from azure.ai.ml.entities import ManagedOnlineDeployment, OnlineRequestSettings, ProbeSettings

        deployment = ManagedOnlineDeployment(
            name=spec.name,
            endpoint_name=spec.endpoint,
            model=spec.model_id,
            instance_type=spec.instance_type,
            instance_count=spec.instances,
            liveness_probe=ProbeSettings(initial_delay=_PROBE_SECONDS),
            request_settings=OnlineRequestSettings(
                request_timeout_ms=spec.timeout_seconds * 1000,
                max_concurrent_requests_per_instance=spec.concurrency,
            ),
            tags=spec.tags,
        )
        with _written(f"deployment {spec.endpoint}/{spec.name}"):
            return _operation(self._client.online_deployments.begin_create_or_update(deployment))

    def failure_of(self, operation: str) -> str:
        """Code and message of an operation that failed, as the service tells them; a help for people: never raises.

        The deployment's own document says that it failed, and not why.
        """
        from azure.core.rest import HttpRequest

        if not operation.startswith(f"{self._resource_manager}/"):  # the token is for nobody else
            return ""
        with contextlib.suppress(Exception):
            response = self._control_plane.send_request(HttpRequest("GET", operation))
            error = response.json()["error"]
            return f"{error['code']}: {error['message']}"[:600]
        return ""

    def delete_deployment(self, endpoint: str, name: str) -> None:
        """Starts deleting a deployment."""
        with _written(f"deployment {endpoint}/{name}"):
            _or_none(lambda: self._client.online_deployments.begin_delete(name, endpoint))

    def deployment_logs(self, endpoint: str, name: str) -> dict[str, str]:
        """The last lines of the inference server and of the storage initialiser, as far as they can be had."""
        found: dict[str, str] = {}
        for container in ("inference-server", "storage-initializer"):
            with contextlib.suppress(Exception):  # a container that never started has no log
                found[container] = self._client.online_deployments.get_logs(
                    name, endpoint, lines=200, container_type=container
                )
        return found


def _operation(poller: Any) -> str:
    """The address under which the service tells of a long operation."""
    with contextlib.suppress(AttributeError):
        headers = poller.polling_method()._initial_response.http_response.headers
        return str(headers.get("Azure-AsyncOperation", ""))
    return ""


def _which(version: str) -> dict[str, str]:
    return {"version": version} if version else {"label": "latest"}


def _word(state: Any) -> str:
    """A state as plain text: the SDK's str enums print as `JobStatus.FAILED`."""
    return str(getattr(state, "value", state) or "")


def _job(found: Any) -> Job:
    return Job(
        name=found.name,
        status=_word(found.status),
        tags=dict(found.tags or {}),
        studio_url=found.studio_url or "",
    )


def _endpoint(found: Any) -> Endpoint:
    return Endpoint(
        name=found.name,
        state=_word(found.provisioning_state),
        traffic={k: int(v) for k, v in (found.traffic or {}).items() if v},
        tags=dict(found.tags or {}),
        scoring_uri=found.scoring_uri or "",
    )


def _deployment(found: Any) -> Deployment:
    return Deployment(name=found.name, state=_word(found.provisioning_state), tags=dict(found.tags or {}))


def _or_none(call: Any, status: int = 404) -> Any:
    """The call's result, or None when there is no such thing: which class the SDK raises depends on the look-up."""
    from azure.ai.ml.exceptions import ValidationException
    from azure.core.exceptions import HttpResponseError

    try:
        return call()
    except HttpResponseError as error:
        if error.status_code == status:
            return None
        raise
    except ValidationException as error:
        if "does not exist" in str(error):
            return None
        raise


@contextlib.contextmanager
def _written(what: str) -> Iterator[None]:
    """Around a write: sent only under a lease that is still held. Raises LeaseHeld."""
    fence.check()
    with _translated(what):
        yield


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turns the SDK's errors into the app's, cause attached and colour codes removed."""
    from azure.ai.ml.exceptions import MlException

    try:
        with _answered(what):
            yield
    except MlException as error:
        raise AzureRefused(f"{what}: {_text(error)}") from error


@contextlib.contextmanager
def _answered(what: str) -> Iterator[None]:
    """The same for the errors that every Azure client raises."""
    from azure.core import exceptions as sdk

    try:
        yield
    except sdk.ClientAuthenticationError as error:
        raise ServiceBusy(f"{what}: the app's identity was not accepted (check its roles): {_text(error)}") from error
    except (sdk.ServiceRequestError, sdk.ServiceResponseError, sdk.IncompleteReadError) as error:
        raise ServiceBusy(f"{what}: Azure ML could not be reached ({type(error).__name__})") from error
    except sdk.HttpResponseError as error:
        code = getattr(error.error, "code", "") or ""
        status = error.status_code or 0
        if status in (401, 403, 408, 409, 429) or status >= 500 or code in _PASSING:
            raise ServiceBusy(f"{what}: HTTP {status} {code}: {_text(error)}", _patience(error)) from error
        refused = EndpointNameTaken if _TAKEN.search(_text(error)) else AzureRefused
        raise refused(f"{what}: HTTP {status} {code}: {_text(error)}") from error


def _patience(error: Any) -> float | None:
    """The Retry-After of an answer, in seconds."""
    headers = getattr(error.response, "headers", None) or {}
    with contextlib.suppress(TypeError, ValueError):
        return float(headers.get("Retry-After", ""))
    return None


def _text(error: Exception) -> str:
    return _COLOURS.sub("", str(getattr(error, "message", "") or error)).strip()[:600]
