"""Inputs in the shapes of public data sets and exports: `prepare` makes a snapshot of each that the app accepts.

The rows are our own. Four of them are served by a whole app in tests/e2e/test_bring_your_data.py.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from cli.check import main as validate
from tests.cli import brought

ROLES = ("user", "assistant")
NUMBER = re.compile(r"[Oo]rder (\d+)")
MADE: dict[str, tuple[Callable[[Path], Path], list[str], str, int]] = {
    # name: how it is made, options, the shape, rows that are written of 40
    "stanford_alpaca": (brought.alpaca_array, [], "alpaca", 40),
    "sharegpt_v3": (brought.sharegpt, [], "sharegpt", 37),
    "faq_export": (brought.faq_csv, [], "question-answer", 40),
    "openai_fine_tuning": (brought.openai_messages, [], "messages", 39),
    "databricks_dolly": (brought.dolly, [], "alpaca", 40),
    "openorca": (brought.openorca, [], "question-answer", 40),
    "ultrachat_200k": (brought.ultrachat_saved, [], "messages", 40),
    "anthropic_hh": (brought.hh_rlhf, ["--shape", "preference"], "preference", 40),
    "ultrafeedback_binarized": (brought.ultrafeedback, ["--shape", "preference"], "preference", 40),
    "openassistant_guanaco": (brought.guanaco, [], "text", 40),
    "squad": (brought.squad_tsv, ["--user", "context,question", "--assistant", "answers"], "question-answer", 40),
    "wildchat": (brought.wildchat, [], "messages", 40),
    "llama_factory_glaive": (brought.glaive_tools, ["--keep-tools"], "sharegpt", 40),
    "pandas_export": (brought.pandas_csv, [], "messages", 40),
    "gemini_tuning": (brought.gemini, [], "gemini", 40),
    "belle_history": (brought.belle_history, [], "alpaca", 40),
    "llama2_chat_text": (brought.llama_2_text, [], "text", 40),
}


@pytest.mark.parametrize("name", MADE)
def test_it_becomes_a_snapshot_that_the_app_accepts(name: str, tmp_path: Path) -> None:
    make, options, shape, rows = MADE[name]
    given, out = make(tmp_path / "in"), tmp_path / "my-data"
    done = CliRunner().invoke(app, ["prepare", str(given), "--out", str(out), "--json", *options])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["parts"][0]["shape"], found["rows"]["train"]) == (shape, rows)
    assert found["next"] == f"droptune drop {out} --dataset my-data"
    for line in (out / "train.jsonl").read_text("utf-8").splitlines():
        said = {role: [one["content"] for one in json.loads(line)["messages"] if one["role"] == role] for role in ROLES}
        (number,) = {int(found) for text in said["user"] for found in NUMBER.findall(text)}
        assert any(brought.asked(number) in text for text in said["user"])
        assert brought.answered(number) in said["assistant"]
    allowed = ["--model", "Phi-4-mini-instruct"] if "--keep-tools" in options else []
    assert validate([str(out), *allowed]) == 0


@pytest.mark.parametrize("name", ["stanford_alpaca", "sharegpt_v3", "databricks_dolly", "openassistant_guanaco"])
def test_dropped_as_it_is_the_file_is_refused_with_the_command_that_makes_it_one(name: str, tmp_path: Path) -> None:
    """Where its ending is one that may be dropped."""
    given = MADE[name][0](tmp_path / "in")
    ending = ".parquet" if given.suffix == ".parquet" else ".jsonl"
    packed = given.read_bytes()[:2] == b"\x1f\x8b"
    dropped = tmp_path / f"bot{ending}"
    dropped.write_bytes(gzip.decompress(given.read_bytes()) if packed else given.read_bytes())
    assert "`droptune prepare bot" in _checked(dropped)


def _checked(file: Path) -> str:
    from cli.processes import check
    from shared.validation import Policy, local_source

    report = check([local_source(file)], Policy())
    assert not report.accepted
    return report.summary
