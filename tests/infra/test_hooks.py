"""The hooks of azd against a control plane in memory: order, repeats, patience, and what they refuse to touch."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.arm_server import APP, DATA, GROUP, RUNS, UPLOADS, WORKSPACE, ArmInMemory, served

HOOKS = Path(__file__).parents[2] / "infra" / "hooks"


@pytest.fixture
def arm() -> ArmInMemory:
    """An empty control plane."""
    return ArmInMemory()


@pytest.fixture
def environment(arm: ArmInMemory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What azd gives a hook, with an `azd` on the path that hands out a token."""
    azd = tmp_path / "azd"
    azd.write_text('#!/bin/sh\necho \'{"token": "t"}\'\n')
    azd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.syspath_prepend(str(HOOKS))
    with served(arm) as address:
        yield {
            "AZURE_ENV_NAME": "test",
            "AZURE_RESOURCE_GROUP": "g",
            "DROPTUNE_RESOURCE_MANAGER": address,
            "DROPTUNE_APP_ID": APP,
            "DROPTUNE_APP_URL": address,
            "DROPTUNE_DATA_ACCOUNT_ID": DATA,
            "DROPTUNE_STORAGE_TOPIC_ID": UPLOADS,
            "DROPTUNE_WORKSPACE_TOPIC_ID": RUNS,
            "DROPTUNE_WORKSPACE_ID": WORKSPACE,
            "DROPTUNE_WORKSPACE_MADE": "true",
            "DROPTUNE_GROUP_MADE": "true",
            "DROPTUNE_HOOK_PAUSE": "0.01",
        }


def run(name: str, environment: dict[str, str]) -> int:
    """The hook's exit status."""
    code: int = importlib.import_module(name).main(environment)
    return code


def test_the_subscriptions_are_made_once_and_the_doctor_is_asked(
    arm: ArmInMemory, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("postdeploy", environment) == 0
    assert sorted(arm.resources) == [
        f"{RUNS}/eventSubscriptions/droptune-runs",
        f"{UPLOADS}/eventSubscriptions/droptune-uploads",
    ]
    made = arm.resources[f"{UPLOADS}/eventSubscriptions/droptune-uploads"]["properties"]
    assert made["destination"]["properties"]["resourceId"] == f"{APP}/functions/snapshot_uploaded"
    assert made["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]["resourceId"] == DATA
    assert "droptune-uploads: made" in (said := capsys.readouterr().out)
    assert "storage: fine" in said
    before = len(arm.wrote)
    assert run("postdeploy", environment) == 0
    assert len(arm.wrote) == before, "a repeat changes nothing"
    assert "droptune-uploads: is there" in capsys.readouterr().out


def test_a_subscription_that_was_changed_is_put_right(arm: ArmInMemory, environment: dict[str, str]) -> None:
    run("postdeploy", environment)
    path = f"{UPLOADS}/eventSubscriptions/droptune-uploads"
    arm.resources[path]["properties"]["filter"]["advancedFilters"][0]["values"].pop()
    arm.requests.clear()
    assert run("postdeploy", environment) == 0
    assert arm.wrote == [("PUT", path)]


def test_functions_that_are_not_listed_yet_are_waited_for(arm: ArmInMemory, environment: dict[str, str]) -> None:
    arm.listed_after = 3
    assert run("postdeploy", environment) == 0
    asked = [path for _, path in arm.requests]
    assert asked.index(f"{UPLOADS}/eventSubscriptions/droptune-uploads") >= 4


def test_what_azure_refuses_for_a_while_is_tried_again(arm: ArmInMemory, environment: dict[str, str]) -> None:
    arm.refuse = [
        ("GET", "/functions", 503, "ServerBusy", "later"),
        ("PUT", "droptune-uploads", 400, "Endpoint validation", "Destination endpoint not found."),
        ("PUT", "droptune-uploads", 409, "Conflict", "the topic is being updated"),
        ("PUT", "droptune-runs", 403, "AuthorizationFailed", "if access was recently granted, refresh"),
    ]
    arm.better_after = 2
    assert run("postdeploy", environment) == 0
    assert arm.refuse == []


def test_functions_that_never_come_end_the_hook_with_what_to_look_at(
    arm: ArmInMemory, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arm.functions = ["health"]
    monkeypatch.setattr(importlib.import_module("postdeploy"), "FUNCTIONS_SECONDS", 0.05)
    assert run("postdeploy", environment) == 1
    assert "does the app start? see its log stream" in capsys.readouterr().err


def test_what_the_doctor_finds_wrong_is_shown_with_what_mends_it(
    arm: ArmInMemory, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arm.better_after = 10_000
    assert run("postdeploy", environment) == 1
    assert "wrong  metrics: HTTP 403\n         wait" in capsys.readouterr().out


def test_a_missing_output_is_named(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("postdeploy", {**environment, "DROPTUNE_APP_ID": ""}) == 1
    assert "DROPTUNE_APP_ID is missing: run `azd provision` first" in capsys.readouterr().err


def test_who_is_not_signed_in_is_told_how(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert run("postdeploy", environment) == 1
    assert "neither azd nor az is installed; run: azd auth login" in capsys.readouterr().err


def endpoint(arm: ArmInMemory, name: str, **tags: str) -> str:
    path = f"{WORKSPACE}/onlineEndpoints/{name}"
    arm.resources[path] = {"id": path, "name": name, "tags": tags}
    return path


def test_down_removes_endpoints_and_purges_the_workspace(arm: ArmInMemory, environment: dict[str, str]) -> None:
    arm.resources[WORKSPACE] = {"id": WORKSPACE, "name": "ml"}
    endpoint(arm, "ours", **{"droptune.installation": "x"})
    endpoint(arm, "made-by-hand")
    assert run("predown", environment) == 0
    assert arm.resources == {}
    assert arm.wrote[-1] == ("DELETE", WORKSPACE)
    before = len(arm.wrote)
    assert run("predown", environment) == 0, "a repeat finds nothing"
    assert [path for _, path in arm.wrote[before:]] == [WORKSPACE]


def test_a_workspace_that_was_there_before_is_kept_and_azd_is_stopped(
    arm: ArmInMemory, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    kept = endpoint(arm, "of-others")
    ours = endpoint(arm, "ours", **{"droptune.installation": "x"})
    for path in (WORKSPACE, f"{WORKSPACE}/computes/droptune-gpu", f"{WORKSPACE}/computes/of-others",
                 f"{WORKSPACE}/datastores/droptune_frozen", RUNS, GROUP):  # fmt: skip
        arm.resources[path] = {"id": path, "name": path.rpartition("/")[2]}
    workspace = WORKSPACE.replace("/g/", "/theirs/")
    arm.resources = {path.replace("/g/", "/theirs/"): one for path, one in arm.resources.items()}
    arm.resources[GROUP] = {"id": GROUP, "name": "g"}
    there = {**environment, "DROPTUNE_WORKSPACE_MADE": "false", "DROPTUNE_WORKSPACE_ID": workspace,
             "DROPTUNE_WORKSPACE_TOPIC_ID": RUNS.replace("/g/", "/theirs/")}  # fmt: skip
    assert run("predown", there) == 1
    assert set(arm.resources) == {workspace, kept.replace("/g/", "/theirs/"), f"{workspace}/computes/of-others"}
    assert ours.replace("/g/", "/theirs/") not in arm.resources
    assert "it would delete the whole resource group" in capsys.readouterr().err


def test_a_group_that_was_there_before_keeps_what_is_not_ours(arm: ArmInMemory, environment: dict[str, str]) -> None:
    kinds = {"sites/app": "Microsoft.Web/sites", "sites/theirs": "Microsoft.Web/sites"}
    for name, kind in kinds.items():
        path = f"{GROUP}/providers/{kind.rpartition('/')[0]}/{name}"
        tags = {"azd-env-name": "test"} if name.endswith("app") else {}
        arm.resources[path] = {"id": path, "name": name, "type": kind, "tags": tags}
    arm.refuse = [("DELETE", "/sites/app", 409, "Conflict", "the plan is being updated")]
    assert run("predown", {**environment, "DROPTUNE_GROUP_MADE": "false"}) == 1
    assert list(arm.resources) == [f"{GROUP}/providers/Microsoft.Web/sites/theirs"]


def test_pip_is_asked_for_wheels_of_the_platform_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOOKS))
    prepackage = importlib.import_module("prepackage")
    found = prepackage.command(Path("requirements.txt"), Path("target"))
    assert found[0] == sys.executable
    assert {"--only-binary=:all:", "--python-version", "3.13", "manylinux_2_28_x86_64", "--no-compile"} <= set(found)


def test_no_token_is_sent_to_another_address(arm: ArmInMemory, environment: dict[str, str]) -> None:
    module: Any = importlib.import_module("arm")
    client = module.Arm(environment["DROPTUNE_RESOURCE_MANAGER"], "t", 0.01)
    arm.resources["/elsewhere"] = {"value": [], "nextLink": "https://evil.example/next"}
    with pytest.raises(module.Refused, match="gets no token"):
        list(client.list("/elsewhere", "1"))
    assert json.dumps(arm.requests).count("evil") == 0
