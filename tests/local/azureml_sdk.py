"""The real SDK, imported in one place: its own import warns, and warnings fail tests."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterable
from contextlib import redirect_stdout
from typing import Any

from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient

with warnings.catch_warnings():
    # azure-ai-ml builds marshmallow 3 schemas in ways that marshmallow 4 will not know.
    warnings.simplefilter("ignore", DeprecationWarning)
    from azure.ai.ml import Input, MLClient
    from azure.ai.ml.dsl import pipeline
    from azure.ai.ml.entities import (
        AmlCompute,
        Data,
        ManagedOnlineDeployment,
        ManagedOnlineEndpoint,
        Model,
        OnlineRequestSettings,
    )

from tests.local.azureml_server import GROUP, SUBSCRIPTION, WORKSPACE, AzureMl

__all__ = ["AmlCompute", "Data", "Input", "MLClient", "ManagedOnlineDeployment", "ManagedOnlineEndpoint", "Model"]

# Lines about experimental classes go to standard error through this logger.
logging.getLogger("azure.ai.ml").setLevel(logging.ERROR)

SIZE = "Standard_NC24ads_A100_v4"
FAQ = (
    ("How do I reset my password?", "Open Settings, choose Security, press Reset."),
    ("Where can I find my invoices?", "Under Billing, one file a month."),
    ("Do you offer student discounts?", "Yes, forty percent with a valid card."),
)


def workspace_client(**more: Any) -> MLClient:
    """A client as the app builds it: nothing but a credential and ids."""
    return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE, **more)


def registry_client() -> MLClient:
    """A client of the shared registry."""
    return MLClient(DefaultAzureCredential(), registry_name="azureml")


def dialogues(pairs: Iterable[tuple[str, str]]) -> str:
    """Question and answer pairs as a jsonl file."""
    return "".join(
        json.dumps({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]})
        + "\n"
        for asked, answered in pairs
    )


def upload(connection_string: str, path: str, content: str | bytes, container: str = "frozen") -> str:
    """Put a file into a container; its datastore URI."""
    with BlobServiceClient.from_connection_string(connection_string) as account:
        client = account.get_container_client(container)
        if not client.exists():
            client.create_container()
        client.upload_blob(path, content, overwrite=True)
    return f"azureml://datastores/droptune_frozen/paths/{path}"


def chat_job(registry: MLClient, name: str, files: dict[str, str], **inputs: Any) -> Any:
    """The recipe's pipeline, ready to submit. `files` by split; inputs over sound defaults."""
    component = registry.components.get("chat_completion_pipeline", label="latest")
    given: dict[str, Any] = {
        "mlflow_model_path": Input(type="mlflow_model", path="azureml://registries/azureml/models/Phi-4/versions/8"),
        "instance_type_finetune": SIZE,
        **{f"{split}_file_path": Input(type="uri_file", path=uri) for split, uri in files.items()},
        **inputs,
    }

    @pipeline(name=name)  # type: ignore[call-overload, untyped-decorator]
    def build() -> Any:
        node = component(**{key: value for key, value in given.items() if value is not None})
        return {"trained_model": node.outputs.mlflow_model_folder}

    job = build()
    job.name = name
    job.settings.force_rerun = True
    job.settings.continue_on_step_failure = False
    return job


def submit(client: MLClient, job: Any) -> Any:
    """Send it as the app does."""
    return client.jobs.create_or_update(job, experiment_name="chat", skip_validation=True)


def create_deployment(client: MLClient, endpoint: str, name: str, model: str, *, wait: bool = True, **more: Any) -> Any:
    """A deployment, waited for; the SDK's dots are swallowed."""
    entity = ManagedOnlineDeployment(
        name=name,
        endpoint_name=endpoint,
        model=model,
        instance_type=more.pop("instance_type", SIZE),
        instance_count=more.pop("instance_count", 1),
        request_settings=OnlineRequestSettings(
            request_timeout_ms=more.pop("request_timeout_ms", 20000),
            max_concurrent_requests_per_instance=more.pop("max_concurrent", 1),
        ),
        **more,
    )
    with redirect_stdout(io.StringIO()):
        poller = client.online_deployments.begin_create_or_update(entity)
        return poller.result() if wait else poller


def create_endpoint(client: MLClient, name: str, traffic: dict[str, int] | None = None, **more: Any) -> Any:
    """An endpoint with keys, waited for."""
    entity = ManagedOnlineEndpoint(name=name, auth_mode="key", **more)
    entity.traffic = traffic or {}
    return client.online_endpoints.begin_create_or_update(entity).result()


def ask(server: AzureMl, client: MLClient, endpoint: str, question: str, **headers: str) -> Any:
    """Score as the app does: a plain request with the primary key."""
    key = client.online_endpoints.get_keys(endpoint).primary_key
    body = {"input_data": {"input_string": [{"role": "user", "content": question}], "parameters": {}}}
    return server.send(
        "POST",
        f"/endpoints/{endpoint}/score",
        json=body,
        headers={"Authorization": f"Bearer {key}", **headers},
    )
