"""Fixtures of the local parts' own tests.

One Azure ML and one Event Grid broker for each file of tests: what one file leaves there counts for no other. Faults
and settings are put back after each test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.azureml_server import AzureMl
from tests.local.brokers import BrokerProcess, guard
from tests.local.webhooks import Webhook

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# What the SDK itself warns about when it is used.
SDK_WARNINGS = (
    "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning",
    "ignore::marshmallow.warnings.ChangedInMarshmallow4Warning",
    "ignore:datetime.datetime.utcnow:DeprecationWarning:azure",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use the SDK tolerate its own warnings, and no others."""
    for item in items:
        if item.path.name.startswith("test_azureml_"):
            for warning in SDK_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="module")
def azureml_server(azurite: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMl]:
    """The file's server; tests use `azureml`, which puts back what was set."""
    server = AzureMl(tmp_path_factory.mktemp("azureml"), azurite.connection_string)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def azureml(azureml_server: AzureMl) -> Iterator[AzureMl]:
    """The file's server, in the test's environment; faults and settings are put back afterwards."""
    settings = azureml_server.control("GET", "/settings")
    with azureml_server.environment():
        yield azureml_server
    azureml_server.control("DELETE", "/faults")
    azureml_server.control("PUT", "/settings", settings)


@pytest.fixture
def own_azureml(azurite: Any, tmp_path: Path) -> Iterator[AzureMl]:
    """A server of the test's own, for tests that stop, kill or start it."""
    server = AzureMl(tmp_path / "azureml", azurite.connection_string)
    server.start()
    with server.environment():
        yield server
    server.stop()


@pytest.fixture
def ml(azureml: AzureMl) -> MLClient:
    """A client of the workspace."""
    from tests.local.azureml_sdk import workspace_client

    return workspace_client()


@pytest.fixture
def registry(azureml: AzureMl) -> MLClient:
    """A client of the shared registry."""
    from tests.local.azureml_sdk import registry_client

    return registry_client()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for whatever the test makes, different for every test."""
    import hashlib

    return "t" + hashlib.sha1(request.node.nodeid.encode(), usedforsecurity=False).hexdigest()[:15]


@pytest.fixture(scope="module")
def faq_files(azureml_server: AzureMl) -> dict[str, str]:
    """A small sound dataset, by split."""
    from tests.local.azureml_sdk import FAQ, dialogues, upload

    return {
        split: upload(azureml_server.connection_string, f"faq/{split}.jsonl", dialogues(FAQ))
        for split in ("train", "validation", "test")
    }


@pytest.fixture
def faq_model(azureml: AzureMl, ml: MLClient, registry: MLClient, faq_files: dict[str, str]) -> str:
    """ARM id of a model trained on it; trained by the first test that needs it."""
    from azure.core.exceptions import ResourceNotFoundError

    from tests.local.azureml_sdk import Model, chat_job, submit

    try:
        model = ml.models.get("faq", version="1")
    except ResourceNotFoundError:
        submit(ml, chat_job(registry, "faq-job", faq_files))
        azureml.wait_until_idle()
        path = "azureml://jobs/faq-job/outputs/trained_model"
        model = ml.models.create_or_update(
            Model(name="faq", version="1", path=path, type="mlflow_model", tags={"snapshot": "faq"})
        )
    identity: str = model.id
    return identity


# --- the Event Grid broker ---


@pytest.fixture(scope="module")
def broker_process(azurite: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    process = BrokerProcess(tmp_path_factory.mktemp("eventgrid"), azurite.connection_string, azurite.log)
    with guard(process), process.client:
        process.start()
        yield process
        process.child.stop()


@pytest.fixture
def broker(broker_process: BrokerProcess) -> Iterator[BrokerProcess]:
    """The file's broker. What earlier tests did in the storage account has been passed over, so that no subscription of
    this test gets it."""
    assert broker_process.settle()
    yield broker_process
    broker_process.reset()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as listening:
        yield listening
