"""What people bring: files and folders in the shapes of public data sets, of exports and of other services.

The layouts are those of the data sets that the functions are named for; what the rows say is our own.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

type Row = dict[str, Any]
ROWS = 40


def asked(number: int) -> str:
    return f"How do I return order {number}, which came too late?"


def answered(number: int) -> str:
    return f"Open order {number}, choose “return”,\nand print the label."


def turns(number: int, names: tuple[str, str] = ("role", "content"), user: str = "user", bot: str = "assistant") -> Any:
    role, content = names
    return [{content: asked(number), role: user}, {content: answered(number), role: bot}]


def rows(make: Callable[[int], Row], count: int = ROWS, first: int = 0) -> list[Row]:
    return [make(number) for number in range(first, first + count)]


def _file(folder: Path, name: str, data: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder / name


def _lines(found: Iterable[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)


def alpaca_array(folder: Path) -> Path:
    """Stanford Alpaca: one indented JSON array of instruction, input, output."""

    def row(number: int) -> Row:
        more = f"Order {number}" if number % 3 else ""
        return {"instruction": asked(number), "input": more, "output": answered(number)}

    return _file(folder, "alpaca_data.json", json.dumps(rows(row), indent=4))


def sharegpt(folder: Path) -> Path:
    """ShareGPT_V3 as it is: a JSON array; some dialogues are empty, begin with an answer, or end with a question."""
    found = [{"id": f"a{n}_0", "conversations": turns(n, ("from", "value"), "human", "gpt")} for n in range(ROWS)]
    found[1]["conversations"] = []
    found[2]["conversations"] = found[2]["conversations"][1:]
    found[3]["conversations"] = [{"from": "gpt", "value": "Hello!"}, *turns(3, ("from", "value"), "human", "gpt")]
    found[4]["conversations"] = [*turns(4, ("from", "value"), "human", "gpt"), {"from": "human", "value": "Thanks."}]
    found[5]["conversations"][1]["value"] = ""
    found[6]["conversations"][0]["from"] = "system"
    found[6]["conversations"].insert(1, {"from": "user", "value": asked(6)})
    return _file(folder, "ShareGPT_V3_unfiltered.json", json.dumps(found, indent=2))


def faq_csv(folder: Path) -> Path:
    """A table as a spreadsheet saves it in Europe: a signature, semicolons, quotes and line feeds in cells."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "FAQ Export.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(["Id", "Question", "Answer", "Updated"])
        table.writerows([n, asked(n), answered(n), "2026-11-01"] for n in range(ROWS))
    return folder / "FAQ Export.csv"


def openai_messages(folder: Path) -> Path:
    """A file for another service's fine-tuning: content parts, weights of 0, one dialogue about an image."""
    found: list[Row] = [{"messages": [{"role": "system", "content": "Be brief."}, *turns(n)]} for n in range(ROWS)]
    found[1]["messages"][1]["content"] = [{"type": "text", "text": asked(1)}]
    found[2]["messages"] += [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "No.", "weight": 0}]
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    found[3]["messages"][1]["content"] = [{"type": "text", "text": "What is this?"}, image]
    return _file(folder, "fine_tuning.jsonl", _lines(found))


def dolly(folder: Path) -> Path:
    """databricks-dolly-15k, as parquet."""
    return _parquet(
        folder,
        "train-00000-of-00001.parquet",
        rows(lambda n: {"instruction": asked(n), "context": "", "response": answered(n), "category": "open_qa"}),
    )


def openorca(folder: Path) -> Path:
    """OpenOrca: packed lines with a system prompt, which is empty in some."""

    def row(number: int) -> Row:
        system = "You are helpful." if number % 2 else ""
        return {
            "id": f"flan.{number}",
            "system_prompt": system,
            "question": asked(number),
            "response": answered(number),
        }

    return _file(folder, "1M-GPT4-Augmented.jsonl.gz", gzip.compress(_lines(rows(row)).encode()))


def ultrachat_saved(folder: Path) -> Path:
    """ultrachat_200k with its four splits, as `DatasetDict.save_to_disk` writes it."""
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

    def part(first: int, count: int) -> Any:
        return Dataset.from_list(
            rows(lambda n: {"prompt": asked(n), "prompt_id": f"{n:064x}", "messages": turns(n)}, count, first)
        )

    splits = {
        "train_sft": part(0, ROWS),
        "test_sft": part(100, 10),
        "train_gen": part(200, 5),
        "test_gen": part(300, 5),
    }
    DatasetDict(splits).save_to_disk(str(folder))
    return folder


def hh_rlhf(folder: Path) -> Path:
    """Anthropic's hh-rlhf: two dialogues a row, as texts."""

    def row(number: int) -> Row:
        start = f"\n\nHuman: {asked(number)}\n\nAssistant: "
        return {"chosen": start + answered(number), "rejected": start + "I do not care."}

    return _file(folder, "train.jsonl.gz", gzip.compress(_lines(rows(row)).encode()))


def ultrafeedback(folder: Path) -> Path:
    """DPO: a prompt, and the whole dialogue twice."""

    def row(number: int) -> Row:
        bad = [turns(number)[0], {"role": "assistant", "content": "No."}]
        return {"prompt": asked(number), "chosen": turns(number), "rejected": bad, "score_chosen": 8.5}

    return _parquet(folder, "train_prefs-00000-of-00001.parquet", rows(row))


def guanaco(folder: Path) -> Path:
    """openassistant-guanaco: one text a row."""
    return _file(
        folder,
        "openassistant_best_replies_train.jsonl",
        _lines(rows(lambda n: {"text": f"### Human: {asked(n)}### Assistant: {answered(n)}"})),
    )


def squad_tsv(folder: Path) -> Path:
    """SQuAD as a table: the answers are written as Python writes an object."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "squad.tsv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(["id", "title", "context", "question", "answers"])
        for number in range(ROWS):
            answers = str({"text": [answered(number)], "answer_start": [0]})
            table.writerow([number, "Orders", f"Order {number} came late.", asked(number), answers])
    return folder / "squad.tsv"


def wildchat(folder: Path) -> Path:
    """WildChat: a conversation whose turns have many fields."""

    def row(number: int) -> Row:
        extra = {"country": None, "hashed_ip": "x", "toxic": False, "turn_identifier": number}
        conversation = [one | extra for one in turns(number)]
        return {"conversation_hash": f"{number:x}", "model": "m", "conversation": conversation, "turn": 1}

    return _parquet(folder, "train-00000-of-00002.parquet", rows(row))


def glaive_tools(folder: Path) -> Path:
    """glaive_toolcall as LLaMA-Factory has it: calls of tools, with a system turn and the tools' descriptions."""

    def row(number: int) -> Row:
        question, answer = turns(number, ("from", "value"), "human", "gpt")
        call = {"from": "function_call", "value": json.dumps({"name": "order", "arguments": {"id": number}})}
        given = {"from": "observation", "value": json.dumps({"late": True})}
        return {"conversations": [question, call, given, answer], "tools": "[]", "system": "You may look up orders."}

    return _file(folder, "glaive_toolcall_en_demo.json", json.dumps(rows(row), indent=2))


def pandas_csv(folder: Path) -> Path:
    """`DataFrame.to_csv` of a column of lists: Python's way to write them, and a column of row numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "chats.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["", "messages", "lang"])
        table.writerows([n, str(turns(n)), "en"] for n in range(ROWS))
    return folder / "chats.csv"


def gemini(folder: Path) -> Path:
    """A tuning file of Vertex AI."""

    def row(number: int) -> Row:
        contents = [
            {"role": "user", "parts": [{"text": asked(number)}]},
            {"role": "model", "parts": [{"text": answered(number)}]},
        ]
        return {"systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]}, "contents": contents}

    return _file(folder, "sft_train_data.jsonl", _lines(rows(row)))


def belle_history(folder: Path) -> Path:
    """Alpaca with a history, pretty-printed objects one after the other."""

    def row(number: int) -> Row:
        return {"instruction": asked(number), "input": "", "output": answered(number), "history": [["Hi", "Hello."]]}

    return _file(folder, "multi_turn.json", "\n".join(json.dumps(one, indent=1) for one in rows(row)))


def llama_2_text(folder: Path) -> Path:
    """guanaco-llama2-1k, as parquet: texts in the template of the model."""
    system = "<<SYS>>\nBe brief.\n<</SYS>>\n\n"
    return _parquet(
        folder,
        "train.parquet",
        rows(
            lambda n: {
                "text": f"<s>[INST] {system}{asked(n)} [/INST] {answered(n)} </s><s>[INST] And? [/INST] No. </s>"
            }
        ),
    )


def _parquet(folder: Path, name: str, found: list[Row]) -> Path:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(found), folder / name)
    return folder / name
