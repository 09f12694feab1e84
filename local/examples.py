"""What the demo and the tests take from `examples/`: the rows of the dataset, and questions in other words."""

from __future__ import annotations

import json
from typing import Any

from local.droptune import Droptune
from local.parts import ROOT

EXAMPLES = ROOT / "examples"
DATASET = "support-bot"
QUESTIONS = 3


def all_questions() -> list[dict[str, Any]]:
    """Every question, with the row whose dialogue it is about."""
    asked: list[dict[str, Any]] = json.loads((EXAMPLES / "questions.json").read_text("utf-8"))
    return asked


def fewer_rows() -> bytes:
    """The example without a dozen of its rows."""
    rows = (EXAMPLES / f"{DATASET}.jsonl").read_text("utf-8").splitlines(keepends=True)
    return "".join(row for number, row in enumerate(rows) if number % 20 != 10).encode()


def questions(app: Droptune, snapshot: str) -> list[str]:
    """Questions whose dialogue was trained on (some were held out to test with)."""
    trained = app.blob("frozen", f"{snapshot}/train.jsonl").decode()
    rows = map(json.loads, (EXAMPLES / f"{DATASET}.jsonl").read_text().splitlines())
    prompts = {row["prompt_id"]: row["messages"][0]["content"] for row in rows}
    first_turns = {json.loads(line)["messages"][0]["content"] for line in trained.splitlines()}
    return [item["question"] for item in all_questions() if prompts[item["prompt_id"]] in first_turns][:QUESTIONS]
