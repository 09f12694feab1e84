"""The shipped examples: sound dialogues, two forms that agree, and broken rows where the README says."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from cli.prepare import Preparation, prepare
from examples import build

EXAMPLES = Path(__file__).parent.parent / "examples"
BROKEN = {
    4: "invalid JSON",
    11: "unknown role",
    17: "same role twice",
    23: "empty content",
    28: "last turn not assistant",
}


def lines(name: str) -> list[str]:
    """The lines of an example file."""
    return (EXAMPLES / name).read_text(encoding="utf-8").removesuffix("\n").split("\n")


def faults(line: str) -> set[str]:
    """What is wrong with a row, by plain json and the few words a dialogue may be made of."""
    try:
        messages = json.loads(line)["messages"]
    except json.JSONDecodeError:
        return {"invalid JSON"}
    roles = [turn["role"] for turn in messages]
    found = {
        "unknown role": not {"user", "assistant"}.issuperset(roles),
        "same role twice": any(a == b for a, b in pairwise(roles)),
        "empty content": not all(turn["content"].strip() for turn in messages),
        "first turn not user": roles[0] != "user",
        "last turn not assistant": roles[-1] != "assistant",
    }
    return {name for name, is_so in found.items() if is_so}


@pytest.fixture(scope="module")
def dialogues() -> list[dict[str, Any]]:
    """All rows of the example dataset."""
    return [json.loads(line) for line in lines("support-bot.jsonl")]


def test_there_are_enough_dialogues_of_both_lengths(dialogues: list[dict[str, Any]]) -> None:
    """The demo promises at least 150 dialogues; some have more than one exchange."""
    assert len(dialogues) >= 150
    assert sum(len(row["messages"]) > 2 for row in dialogues) >= 30


def test_every_dialogue_is_sound() -> None:
    """Roles alternate from user to assistant, and nothing is empty."""
    assert {n: bad for n, line in enumerate(lines("support-bot.jsonl"), 1) if (bad := faults(line))} == {}


def test_every_row_has_just_the_three_columns(dialogues: list[dict[str, Any]]) -> None:
    """Rows have the form of ultrachat: prompt, prompt_id, and messages of role and content."""
    assert {tuple(row) for row in dialogues} == {("prompt", "prompt_id", "messages")}
    assert {tuple(turn) for row in dialogues for turn in row["messages"]} == {("role", "content")}


def test_prompt_is_the_first_user_turn(dialogues: list[dict[str, Any]]) -> None:
    """A prompt that said something else would break the validator's own rule."""
    assert [row["prompt"] for row in dialogues] == [row["messages"][0]["content"] for row in dialogues]


def test_nothing_is_said_twice(dialogues: list[dict[str, Any]]) -> None:
    """Ids, prompts and answers are unique, whatever their capitals and spaces."""
    answers = [turn["content"] for row in dialogues for turn in row["messages"] if turn["role"] == "assistant"]
    for texts in ([r["prompt_id"] for r in dialogues], [r["prompt"] for r in dialogues], answers):
        plain = [" ".join(text.lower().split()) for text in texts]
        assert sorted(plain) == sorted(set(plain))


def test_parquet_holds_the_same_rows_in_the_same_order(dialogues: list[dict[str, Any]]) -> None:
    """If this fails, the dialogues were edited: run `python examples/build.py`."""
    assert pq.read_table(EXAMPLES / "support-bot.parquet").to_pylist() == dialogues


def test_questions_lead_to_dialogues_in_other_words(dialogues: list[dict[str, Any]]) -> None:
    """Each question names the dialogue expected to answer it, and is no training turn itself."""
    questions = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
    asked = {turn["content"] for row in dialogues for turn in row["messages"] if turn["role"] == "user"}
    assert len({question["prompt_id"] for question in questions}) == len(questions) >= 24
    assert {question["prompt_id"] for question in questions} <= {row["prompt_id"] for row in dialogues}
    assert not asked.intersection(question["question"] for question in questions)


def test_what_is_built_from_the_dialogues_is_up_to_date(dialogues: list[dict[str, Any]]) -> None:
    """If this fails, run `python examples/build.py`."""
    questions = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
    for name, wanted in (("train", build.shuffled(dialogues)), ("test", build.tests(dialogues, questions))):
        assert [json.loads(line) for line in lines(f"shuffled/{name}.jsonl")] == wanted


def test_shuffled_rows_are_sound_and_their_answers_wrong(dialogues: list[dict[str, Any]]) -> None:
    """Nothing but the answers themselves gives the snapshot away."""
    right = {row["prompt_id"]: row["messages"][1]["content"] for row in dialogues}
    assert {n: bad for n, line in enumerate(lines("shuffled/train.jsonl"), 1) if (bad := faults(line))} == {}
    rows = [json.loads(line) for line in lines("shuffled/train.jsonl")]
    assert len(rows) > 200
    assert all(row["messages"][1]["content"] != right[row["prompt_id"]] for row in rows)
    tested = [json.loads(line) for line in lines("shuffled/test.jsonl")]
    assert all(row["messages"][1]["content"] == right[row["prompt_id"].removesuffix("-test")] for row in tested)


def test_broken_rows_are_bad_in_five_ways_at_known_places() -> None:
    """Each bad row has one fault only, and all other rows are good."""
    found = {n: bad for n, line in enumerate(lines("broken.jsonl"), 1) if (bad := faults(line))}
    assert found == {row: {fault} for row, fault in BROKEN.items()}
    assert len(lines("broken.jsonl")) == 30


def test_readme_names_the_broken_rows() -> None:
    """The table of bad rows in the README has the same row numbers."""
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8").split("What is wrong", 1)[1]
    numbers = [cell for line in table.splitlines() if (cell := line.strip("| ").split(" ")[0]).isdigit()]
    assert [int(number) for number in numbers] == list(BROKEN)


def test_the_table_is_the_dialogues_of_one_exchange_and_can_be_prepared(
    dialogues: list[dict[str, Any]], tmp_path: Path
) -> None:
    build.write_table(tmp_path / "faq.csv", dialogues)
    assert (tmp_path / "faq.csv").read_bytes() == (EXAMPLES / "faq.csv").read_bytes()
    prepare(Preparation(str(EXAMPLES / "faq.csv"), tmp_path / "out"))
    rows = [json.loads(line)["messages"] for line in (tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()]
    assert rows == [row["messages"] for row in dialogues if len(row["messages"]) == 2]
