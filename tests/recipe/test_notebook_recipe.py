"""The public notebook's sequence of SDK calls runs against the local cloud as it is, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from tests.local.azureml_server import GROUP, SUBSCRIPTION, WORKSPACE, AzureMl

RECIPE = Path(__file__).with_name("notebook_recipe.py")


@pytest.fixture
def cloud(azurite: Any, tmp_path: Path) -> Iterator[AzureMl]:
    """A local Azure ML of the test's own."""
    server = AzureMl(tmp_path / "azureml", azurite.connection_string)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def files(azurite: Any) -> dict[str, str]:
    """Three splits in the datastore, as the recipe's variables name them."""
    row = {
        "messages": [
            {"role": "user", "content": "How do I reset my password?"},
            {"role": "assistant", "content": "Open Settings and press Reset."},
        ]
    }
    found = {}
    with BlobServiceClient.from_connection_string(azurite.connection_string) as account:
        container = account.get_container_client("frozen")
        if not container.exists():
            container.create_container()
        for split in ("train", "validation", "test"):
            container.upload_blob(f"recipe/{split}.jsonl", json.dumps(row) + "\n", overwrite=True)
            found[f"{split.upper()}_FILE"] = f"azureml://datastores/droptune_frozen/paths/recipe/{split}.jsonl"
    return found


def run_recipe(cloud: AzureMl, files: dict[str, str], folder: Path, **more: str) -> str:
    """Run the script with nothing but an environment; what it printed."""
    environment = {
        **os.environ,
        **cloud.variables(),
        **files,
        "SUBSCRIPTION_ID": SUBSCRIPTION,
        "RESOURCE_GROUP": GROUP,
        "WORKSPACE_NAME": WORKSPACE,
        "REQUEST_FILE": str(folder / "request.json"),
        **more,
    }
    command = [sys.executable, "-W", "ignore", str(RECIPE)]
    ended = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=500, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def tags_of(cloud: AzureMl, model: str, version: str) -> set[str]:
    """The names of the tags that a model of the registry has."""
    registry = "/providers/Microsoft.MachineLearningServices/registries/azureml"
    path = f"/mferp/managementfrontend/subscriptions/{SUBSCRIPTION}/resourceGroups/azureml-registry{registry}"
    headers = {"Authorization": f"Bearer {cloud.token()}"}
    answer = cloud.send("GET", f"{path}/models/{model}/versions/{version}", headers=headers)
    return set(answer.json()["properties"]["tags"])


@pytest.mark.nightly
def test_recipe_runs_with_a_model_in_the_form_that_the_registry_had_before_2026(
    cloud: AzureMl, files: dict[str, str], tmp_path: Path
) -> None:
    cloud.control("PUT", "/registry/models/Phi-4-form", {"version": "1", "form": "tags"})
    assert {"finetune_compute_allow_list", "model_specific_defaults"} <= tags_of(cloud, "Phi-4-form", "1")
    printed = run_recipe(cloud, files, tmp_path, MODEL_NAME="Phi-4-form", STAMP="1")
    assert printed.splitlines()[-1].lstrip(".") == "ANSWER Open Settings and press Reset."


def test_recipe_runs_from_base_model_to_answer_and_again_beside_that(
    cloud: AzureMl, files: dict[str, str], tmp_path: Path
) -> None:
    assert tags_of(cloud, "Phi-4", "8") == {"model_specific_defaults"}  # the rest moved to `system_metadata` in 2026
    printed = run_recipe(cloud, files, tmp_path, QUESTION="how can i reset the pasword?", STAMP="1")
    # The SDK prints a dot for every look at a deletion, from a thread of its own.
    assert printed.splitlines()[-1].lstrip(".") == "ANSWER Open Settings and press Reset."
    assert cloud.arm("GET", "/onlineEndpoints").json() == {"value": []}
    again = run_recipe(cloud, files, tmp_path, STAMP="2")
    assert "The compute cluster already exists" in again
    assert [row["name"] for row in cloud.arm("GET", "/models/Phi-4-chat/versions").json()["value"]] == ["2", "1"]
