"""The log of a deployment that failed: kept without secrets, quoted where nobody had asked it anything."""

from __future__ import annotations

import json

import pytest

from shared.ledger.states import DatasetState as D
from shared.releases import logs
from tests.builders import DATASET, a_dataset, a_release
from tests.fakes import World, dialogues

SECRET = "s3cr3t-abcdefghij"


@pytest.mark.parametrize(
    "line",
    [
        f"2026-11-01 INFO env: MSI_SECRET = {SECRET}",
        f"env: ANYTHING = {SECRET} and {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f'{{"authorization": "Basic {SECRET}"}}',
        f"api_key={SECRET}",
        f"'primaryKey': '{SECRET}'",
        f"AccountKey={SECRET};EndpointSuffix=core.windows.net",
        f"DefaultEndpointsProtocol=https;SharedAccessSignature={SECRET}",
        f"password : {SECRET}",
        f"GET https://a.blob.core.windows.net/c/b?sv=1&sig={SECRET}&se=2",
        f"token_type=x access_token={SECRET}",
        f"token eyJ{SECRET}.eyJ{SECRET}",
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(line: str) -> None:
    found = logs.without_secrets(f"before\n{line}\nafter")
    assert SECRET not in found
    assert found.splitlines()[0::2] == ["before", "after"]


def test_what_is_no_secret_stays() -> None:
    text = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB\nTokenizer loaded\nkeyboard interrupt"
    assert logs.without_secrets(text) == text


@pytest.mark.parametrize("piece", ["key", "token=", "env: a", "eyJ", "?sig", "bearer ", "password:'"])
def test_an_endless_line_is_cut_before_it_is_searched(piece: str) -> None:
    assert len(logs.without_secrets(piece * 300_000)) < 10_000


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
