"""The host is killed in the middle of every costly act, started again, and the story ends as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.cloud import Cloud
from local.droptune import Droptune
from tests.e2e.conftest import AzureML

EXAMPLES = Path(__file__).parents[2] / "examples"

# The request that is under way when the host dies. `after`: it took effect, but nobody is told.
ACTS = {
    "validation": {"method": "GET", "path": r"/registries/azureml/models/", "hold": True, "times": 1},
    "submission": {"method": "PUT", "path": r"/jobs/", "hold": True, "after": True, "times": 1},
    "registration": {"method": "PUT", "path": r"/models/[^/]+/versions/", "hold": True, "after": True, "times": 1},
    "deployment": {"method": "PUT", "path": r"/deployments/", "hold": True, "after": True, "times": 1},
}


@pytest.mark.timeout(400)
def test_a_host_killed_in_every_act_ends_with_one_of_each(cloud: Cloud, app: Droptune, azureml: AzureML) -> None:
    faults = {act: azureml.fault(**fault) for act, fault in ACTS.items()}
    app.drop("support-bot.jsonl", EXAMPLES / "support-bot.jsonl")
    for act, fault in faults.items():
        azureml.reached(fault)
        cloud.kill("host")
        azureml.release(fault)
        cloud.start("host")
        assert app.snapshots("support-bot"), f"the row is there after the kill during {act}"
    row = app.wait_for("support-bot", "LIVE", "TRAINING_FAILED", "REGISTER_FAILED", "DEPLOY_FAILED", timeout=180)
    assert row["state"] == "LIVE"
    assert row["attempt"] == 1
    _one_of_each(azureml)


def test_three_drops_and_every_event_three_times_in_reverse(cloud: Cloud, app: Droptune, azureml: AzureML) -> None:
    import httpx

    broker = cloud.description["eventgrid_url"]
    before = _made(azureml)
    httpx.put(f"{broker}/faults", json={"duplicate": 2, "reorder": True, "hold": True}).raise_for_status()
    for name in ("a", "b", "c"):
        app.drop(f"triple/{name}.jsonl", (EXAMPLES / "support-bot.jsonl").read_bytes())
    httpx.get(f"{broker}/settled", params={"timeout": 1})
    httpx.post(f"{broker}/release").raise_for_status()

    def settled() -> bool:
        states = [row["state"] for row in app.snapshots("triple")]
        return len(states) == 3 and all(s in ("LIVE", "DUPLICATE", "SUPERSEDED") for s in states) and "LIVE" in states

    app.wait(settled)
    httpx.put(f"{broker}/faults", json={}).raise_for_status()
    assert [row["state"] for row in app.snapshots("triple")].count("LIVE") == 1
    made = {what: found - before[what] for what, found in _made(azureml).items()}
    assert {what: len(found) for what, found in made.items()} == dict.fromkeys(made, 1)


def _made(azureml: AzureML) -> dict[str, set[str]]:
    endpoints = {path for path in azureml.wrote("/onlineEndpoints/") if "/deployments/" not in path}
    return {
        "job": azureml.wrote("/jobs/"),
        "model": azureml.wrote("/models/"),
        "endpoint": endpoints,
        "deployment": azureml.wrote("/deployments/"),
    }


def _one_of_each(azureml: AzureML) -> None:
    assert {what: len(found) for what, found in _made(azureml).items()} == dict.fromkeys(_made(azureml), 1)
