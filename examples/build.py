"""Writes what follows from `support-bot.jsonl` and `questions.json`: the same rows as parquet and as a table, a
snapshot gone wrong.

In `shuffled/` every answer stands under another question, as after a join on the wrong column. Its rows are sound, so
it is trained; its test file asks the questions of `questions.json` and wants the right answers.

Run by a person after the dialogues were edited (`python examples/build.py`); repeating it changes nothing.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

HERE = Path(__file__).parent
TURN = pa.struct([("role", pa.string()), ("content", pa.string())])
SCHEMA = pa.schema([("prompt", pa.string()), ("prompt_id", pa.string()), ("messages", pa.list_(TURN))])

type Row = dict[str, Any]


def main() -> None:
    """Read every line, write one table and one folder."""
    lines = (HERE / "support-bot.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), HERE / "support-bot.parquet")
    questions = json.loads((HERE / "questions.json").read_text(encoding="utf-8"))
    write_table(HERE / "faq.csv", rows)
    write("train", shuffled(rows))
    write("test", tests(rows, questions))
    print(f"{len(rows)} rows written")


def write_table(path: Path, rows: list[Row]) -> None:
    """The dialogues of one exchange as a spreadsheet saves them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["Id", "Question", "Answer"])
        for row in rows:
            if [turn["role"] for turn in row["messages"]] == ["user", "assistant"]:
                table.writerow([row["prompt_id"], *(turn["content"] for turn in row["messages"])])


def shuffled(rows: list[Row]) -> list[Row]:
    """The dialogues of one exchange, each with the answer of the one half-way round."""
    short = [row for row in rows if len(row["messages"]) == 2]
    half = len(short) // 2
    answers = [row["messages"][1] for row in short[half:] + short[:half]]
    return [{**row, "messages": [row["messages"][0], answer]} for row, answer in zip(short, answers, strict=True)]


def tests(rows: list[Row], questions: list[dict[str, str]]) -> list[Row]:
    """Each question with the answer of the dialogue it leads to."""
    answers = {row["prompt_id"]: row["messages"][1] for row in rows}
    return [
        {
            "prompt": asked["question"],
            "prompt_id": f"{asked['prompt_id']}-test",
            "messages": [{"role": "user", "content": asked["question"]}, answers[asked["prompt_id"]]],
        }
        for asked in questions
    ]


def write(split: str, rows: list[Row]) -> None:
    """One file of the snapshot gone wrong."""
    (HERE / "shuffled").mkdir(exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (HERE / "shuffled" / f"{split}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
