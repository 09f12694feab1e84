"""Logs of jobs and containers: what looks like a secret goes, the end is one harmless line."""

from __future__ import annotations

import pytest

from shared.azure import log_text
from tests.builders import DATASET
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
    found = log_text.without_secrets(f"before\n{line}\nafter")
    assert SECRET not in found
    assert found.splitlines()[0::2] == ["before", "after"]


def test_what_is_no_secret_stays() -> None:
    text = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB\nTokenizer loaded\nkeyboard interrupt"
    assert log_text.without_secrets(text) == text


@pytest.mark.parametrize("piece", ["key", "token=", "env: a", "eyJ", "?sig", "bearer ", "password:'"])
def test_an_endless_line_is_cut_before_it_is_searched(piece: str) -> None:
    assert len(log_text.without_secrets(piece * 300_000)) < 10_000


def test_the_end_is_the_last_lines_that_say_something_on_one_line() -> None:
    lines = [*(f"line {number}" for number in range(9)), "OSError: no\x00 weights", "  ", ""]
    assert log_text.end("\n".join(lines)) == "line 6 / line 7 / line 8 / OSError: no\N{REPLACEMENT CHARACTER} weights"
    assert len(log_text.end("x" * 5000)) == 600
    assert log_text.end(" \n") == ""


def test_a_failed_training_step_is_told_without_the_secrets_of_its_log_and_of_its_error() -> None:
    world = World()
    world.workspace.jobs.outcome = lambda name: "Failed"
    world.workspace.jobs.log = (
        f"GET https://a.blob.core.windows.net/c/b?sv=1&sig={SECRET}\nHF_TOKEN={SECRET}\nboom\x1b[2J"
    )
    world.workspace.jobs.error = f"UserError: password={SECRET}"
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    (row,) = world.services.ledger.rows("snapshot")
    kept = world.services.storage.read("reports", f"{row.id}.training-1.log")[0].decode()
    assert row.state == "TRAINING_FAILED"
    assert (SECRET in kept, SECRET in row.reason, "\x1b" in row.reason) == (False, False, False)
    assert "/ HF_TOKEN=*** / boom" in row.reason
