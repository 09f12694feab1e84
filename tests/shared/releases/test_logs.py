"""The log of a deployment that failed: kept without secrets, quoted where nobody had asked it anything."""

from __future__ import annotations

import json

from shared.ledger.states import DatasetState as D
from shared.releases import logs
from tests.builders import DATASET, a_dataset, a_release
from tests.fakes import World, dialogues

SECRET = "s3cr3t-abcdefghij"


def test_a_deployment_that_never_came_up_is_told_with_the_end_of_its_log() -> None:
    world = World()
    world.workspace.deployments.outcome = lambda name: "Failed"
    lines = [*(f"line {number}" for number in range(90)), f"env: KEY = {SECRET}", "OSError: no\x00 weights", "x" * 5000]
    world.workspace.deployments.logs = lambda endpoint, name: {"inference-server": "\n".join(lines)}  # type: ignore[method-assign]
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    (outcome,) = world.services.ledger.read(f"dataset/{DATASET}").row.outcomes.values()
    assert "; its log ends: " in outcome.reason
    assert "; its log is in evaluations/" in outcome.reason
    assert (SECRET in outcome.reason, "\x00" in outcome.reason, len(outcome.reason) < 1000) == (False, False, True)
    blob = outcome.reason.rpartition("evaluations/")[2]
    kept = json.loads(world.services.storage.read("evaluations", blob)[0])["inference-server"]
    assert "line 0\n" in kept
    assert SECRET not in kept


def test_where_the_server_wrote_nothing_the_fetching_of_the_model_is_quoted() -> None:
    world = World()
    found = {"inference-server": " \n", "storage-initializer": "downloading\nno files found"}
    world.workspace.deployments.logs = lambda endpoint, name: found  # type: ignore[method-assign]
    saved = logs.save(world.services, a_dataset(D.DEPLOYING), a_release())
    assert saved.end == "downloading / no files found"


def test_the_log_of_a_deployment_that_was_asked_is_not_quoted() -> None:
    saved = logs.SavedLog("a.log.json", "asked: a row of somebody's")
    assert logs.with_end(a_release(api="openai"), "it failed", saved) == "it failed"
    assert logs.with_end(a_release(api=""), "it failed", saved) == f"it failed; its log ends: {saved.end}"
