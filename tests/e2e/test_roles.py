"""The whole story with the roles that the manual lists and no others; and what is said where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.droptune import Droptune
from tests.e2e.conftest import AzureML

EXAMPLE = Path(__file__).parents[2] / "examples" / "support-bot.jsonl"
LEAST = {"workspace": ["AzureML Data Scientist"], "subscription": ["Monitoring Reader"]}


@pytest.fixture
def least(azureml: AzureML) -> Iterator[AzureML]:
    """A workspace in which the app has the least roles."""
    _give(azureml, LEAST)
    yield azureml
    _give(azureml, None)


def _give(azureml: AzureML, roles: Any) -> None:
    azureml.http.put("settings", json={"roles": roles}).raise_for_status()


def test_with_the_roles_of_the_manual_a_dropped_file_is_served(app: Droptune, least: AzureML) -> None:
    app.drop("least-roles.jsonl", EXAMPLE)
    ended = app.wait_for("least-roles", "LIVE", "REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "WITHHELD")
    assert ended["state"] == "LIVE", ended
    assert app.ask("least-roles", "Where do I put my training data?").status_code == 200


def test_without_a_role_on_the_subscription_a_dropped_file_is_served_and_says_what_was_not_checked(
    app: Droptune, least: AzureML
) -> None:
    _give(least, {"workspace": ["AzureML Data Scientist", "Reader"]})
    app.drop("no-subscription.jsonl", EXAMPLE)
    ended = app.wait_for("no-subscription", "LIVE", "REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "WITHHELD")
    assert ended["state"] == "LIVE", ended
    assert ["Monitoring Reader on the subscription" in text for text in ended["unchecked"]] == [True, True]


def test_a_role_that_is_missing_is_named_and_nothing_is_lost(app: Droptune, least: AzureML) -> None:
    """Which calls name which role: tests/contracts/test_roles.py."""
    _give(least, {"subscription": LEAST["subscription"]})
    name, role = "no-workspace-role", "AzureML Data Scientist on the workspace"
    app.drop(f"{name}.jsonl", EXAMPLE)

    def told() -> str:
        return str((next(iter(app.snapshots(name)), None) or {}).get("waiting") or "")

    assert app.wait(lambda: role in told()), told()
    _give(least, LEAST)
    snapshot = next(iter(app.snapshots(name)))
    app.post(f"snapshots/{snapshot['id']}/retry")  # else it would look by itself, a little later
    ended = app.wait_for(name, "LIVE", "REJECTED", "TRAINING_FAILED", "DEPLOY_FAILED", "WITHHELD")
    assert ended["state"] == "LIVE", ended
