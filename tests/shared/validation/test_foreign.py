"""Rows and files in the formats of others: each is named once, and the command that is given makes good rows of it.

The shapes are those of public data sets and of services' exports; what they say is our own.
"""

# ruff: noqa: E501

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from scripts.rule_examples import rows
from shared.validation import Policy, ValidationReport, freeze
from tests.shared.validation.test_planted import source

GOOD = rows(0, 30)
LINES = GOOD.splitlines()
COMMAND = re.compile(r"((?:jq|sed|tr|grep|iconv|python3) [^`]*FILE[^`]*?ROWS\.jsonl)")
PREPARE = re.compile(r"`droptune prepare (?:FILE|data\.jsonl) --out FOLDER`(?: with (--shape \w+))?")

# Rows: a template (%d: the number of the row), the rule, words of what was found, and whether a command mends them.
ROWS: dict[str, tuple[str, str, str, bool]] = {
    "sharegpt": ('{"conversations": [{"from": "human", "value": "q%d"}, {"from": "gpt", "value": "a"}]}', "row-format", "look like ShareGPT (conversations)", True),
    "sharegpt with a system": ('{"system": "s", "conversations": [{"from": "human", "value": "q%d"}, {"from": "gpt", "value": "a"}]}', "row-format", "ShareGPT (conversations, system)", True),
    "sharegpt in messages": ('{"messages": [{"from": "human", "value": "q%d"}, {"from": "gpt", "value": "a"}]}', "row-format", "ShareGPT (messages)", True),
    "conversations with roles": ('{"conversations": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]}', "row-format", "turns under conversations", True),
    "wildchat": ('{"model": "m", "conversation": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]}', "row-format", "turns under conversation", True),
    "turns": ('{"turns": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]}', "row-format", "turns under turns", True),
    "capital": ('{"Messages": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]}', "row-format", "turns under Messages", True),
    "inputs in a conversation": ('{"conversation": [{"input": "q%d", "output": "a"}]}', "row-format", "a list of questions with their answers (conversation)", True),
    "texts that take turns": ('{"dialog": ["q%d", "a"]}', "row-format", "texts that take turns (dialog)", True),
    "ultrachat raw": ('{"id": "1", "data": ["q%d", "a"]}', "row-format", "texts that take turns (data)", True),
    "alpaca": ('{"instruction": "q%d", "input": "", "output": "a"}', "row-format", "look like Alpaca (instruction, input, output)", True),
    "alpaca with history": ('{"instruction": "q%d", "input": "i", "output": "a", "system": "s", "history": [["b", "c"]]}', "row-format", "Alpaca (instruction, input, output, system, history)", True),
    "dolly": ('{"instruction": "q%d", "context": "c", "response": "a", "category": "x"}', "row-format", "Alpaca (instruction, context, response)", True),
    "prompt and completion": ('{"prompt": "q%d", "completion": "a"}', "row-format", "prompt and completion (prompt, completion)", True),
    "kto": ('{"prompt": "q%d", "completion": "a", "label": true}', "row-format", "preferences (prompt, completion, label)", True),
    "lists in prompt and completion": ('{"prompt": [{"role": "user", "content": "q%d"}], "completion": [{"role": "assistant", "content": "a"}]}', "row-format", "prompt and completion (prompt, completion)", True),
    "orpo": ('{"prompt": "q%d", "chosen": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}], "rejected": []}', "row-format", "preferences (prompt, chosen)", True),
    "orpo with answers alone": ('{"prompt": "q%d", "chosen": [{"role": "assistant", "content": "a"}], "rejected": []}', "row-format", "preferences (prompt, chosen)", True),
    "dpo as texts": ('{"prompt": "q%d", "chosen": "a", "rejected": "b"}', "row-format", "preferences (prompt, chosen)", True),
    "preferred output": ('{"input": {"messages": [{"role": "user", "content": "q%d"}]}, "preferred_output": [{"role": "assistant", "content": "a"}], "non_preferred_output": []}', "row-format", "preferences (input, preferred_output)", True),
    "anthropic hh": ('{"chosen": "\\n\\nHuman: q%d\\n\\nAssistant: a", "rejected": "\\n\\nHuman: q\\n\\nAssistant: b"}', "row-format", "preferences, in the template of Human and Assistant (chosen)", True),
    "claude's old prompts": ('{"prompt": "\\n\\nHuman: q%d\\n\\nAssistant:", "completion": " a"}', "row-format", "prompt and completion, in the template of Human and Assistant (prompt, completion)", True),
    "a batch's requests": ('{"custom_id": "%d", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}}', "row-format", "requests of a batch", False),
    "a batch's answers": ('{"custom_id": "%d", "response": {"body": {"choices": []}}, "error": null}', "row-format", "answers of a service", False),
    "completions": ('{"id": "%d", "object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "a"}}]}', "row-format", "answers of a service", False),
    "gemini": ('{"contents": [{"role": "user", "parts": [{"text": "q%d"}]}, {"role": "model", "parts": [{"text": "a"}]}]}', "row-format", "Gemini's contents", True),
    "gemini with a system": ('{"systemInstruction": {"parts": [{"text": "s"}]}, "contents": [{"role": "user", "parts": [{"text": "q%d"}]}, {"role": "model", "parts": [{"text": "a"}]}]}', "row-format", "Gemini's contents", True),
    "vertex text": ('{"input_text": "q%d", "output_text": "a"}', "row-format", "(input_text, output_text)", True),
    "vertex chat": ('{"context": "c", "messages": [{"author": "user", "content": "q%d"}, {"author": "bot", "content": "a"}]}', "row-format", "turns with author and content under messages", True),
    "bedrock": ('{"system": [{"text": "s"}], "messages": [{"role": "user", "content": [{"text": "q%d"}]}, {"role": "assistant", "content": [{"text": "a"}]}]}', "content-multimodal", "a list of 1 part", True),
    "titan": ('{"inputText": "q%d", "outputText": "a"}', "row-format", "(inputText, outputText)", True),
    "text parts": ('{"messages": [{"role": "user", "content": [{"type": "text", "text": "q%d"}]}, {"role": "assistant", "content": "a"}]}', "content-multimodal", "a list of 1 part", True),
    "cohere": ('{"messages": [{"role": "User", "content": "q%d"}, {"role": "Chatbot", "content": "a"}]}', "role-unknown", '"User"', True),
    "roles in capitals": ('{"messages": [{"role": "USER", "content": "q%d"}, {"role": "ASSISTANT ", "content": "a"}]}', "role-unknown", '"USER"', True),
    "human and ai": ('{"messages": [{"role": "human", "content": "q%d"}, {"role": "ai", "content": "a"}]}', "role-unknown", '"human"', True),
    "text in turns": ('{"messages": [{"role": "user", "text": "q%d"}, {"role": "assistant", "text": "a"}]}', "row-format", "turns with role and text under messages", True),
    "speakers": ('{"messages": [{"speaker": "user", "text": "q%d"}, {"speaker": "bot", "text": "a"}]}', "row-format", "turns with speaker and text under messages", True),
    "xp3": ('{"inputs": "q%d", "targets": "a"}', "row-format", "(inputs, targets)", True),
    "squad": ('{"context": "c", "question": "q%d", "answers": {"text": ["a"], "answer_start": [0]}}', "row-format", "(question, answers)", False),
    "several answers": ('{"query": "q%d", "answers": ["a", "b"]}', "row-format", "(query, answers)", True),
    "ultrafeedback": ('{"instruction": "q%d", "completions": [{"response": "a"}]}', "row-format", "(instruction, completions)", True),
    "fields for roles": ('{"system": "s", "user": "q%d", "assistant": "a"}', "row-format", "(user, assistant, system)", True),
    "oasst": ('{"message_id": "%d", "parent_id": null, "text": "t", "role": "prompter"}', "row-format", "as OASST writes", False),
    "guanaco": ('{"text": "### Human: q%d### Assistant: a"}', "row-format", "in the template of Guanaco", True),
    "llama 2": ('{"text": "<s>[INST] q%d [/INST] a </s>"}', "row-format", "in the template of Llama 2", True),
    "chatml": ('{"text": "<|im_start|>user\\nq%d<|im_end|>\\n<|im_start|>assistant\\na<|im_end|>"}', "row-format", "in the template of ChatML", True),
    "tokens": ('{"input_ids": [1, %d], "labels": [1, 2]}', "row-format", "tokens", False),
    "bare lists": ('[{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]', "not-an-object", "a list of turns", True),
    "json in json": (json.dumps('{"messages": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]}'), "not-an-object", "JSON inside a text", True),
    "messages as text": ('{"messages": "[{\\"role\\": \\"user\\", \\"content\\": \\"q%d\\"}, {\\"role\\": \\"assistant\\", \\"content\\": \\"a\\"}]"}', "row-format", "turns written as a text under messages", True),
    "messages by column": ('{"messages": {"role": ["user", "assistant"], "content": ["q%d", "a"]}}', "row-format", "turns written by column under messages", True),
    "unquoted names": ("{messages: [{role: 'user', content: 'q%d'}]}", "invalid-json", "names without quotes", False),
    "no numbers": ('{"score": NaN, "messages": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]}', "not-a-number", "NaN", False),
    "a key twice": ('{"messages": [{"role": "user", "role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]}', "repeated-key", '"role"', False),
    "python's None": ('{"x": None, "messages": [{"role": "user", "content": "q%d"}, {"role": "assistant", "content": "a"}]}', "invalid-json", "as Python writes", True),
}  # fmt: skip


def _each(what: str) -> bytes:
    return b"".join(what.encode().replace(b"LINE", line) + b"\n" for line in LINES)


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("train.jsonl", GOOD)
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        member = tarfile.TarInfo("train.jsonl")
        member.size = len(GOOD)
        file.addfile(member, io.BytesIO(GOOD))
    return out.getvalue()


def _arrow_stream() -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, pa.schema([("a", pa.string())])) as writer:
        writer.write_table(pa.table({"a": ["x"] * 100}))
    return out.getvalue()


CHINESE = "".join(json.dumps({"messages": [{"role": "user", "content": "数据" * 30 + str(n)}, {"role": "assistant", "content": f"回答{n}" * 9}]}, ensure_ascii=False) + "\n" for n in range(30))  # fmt: skip
PAIRS = "".join(f"q{n},a{n}\n" for n in range(30))

# Files: their bytes, the rule, words of what was found, and whether a command mends them at once.
FILES: dict[str, tuple[Callable[[], bytes], str, str, bool]] = {
    "trailing commas": (lambda: _each("LINE,"), "invalid-json", "a comma after the object", True),
    "objects one after the other": (lambda: b"".join(LINES), "invalid-json", "another object in the same line", True),
    "carriage returns": (lambda: GOOD.replace(b"\n", b"\r"), "invalid-json", "after a carriage return", True),
    "comments in lines of their own": (lambda: b"// rows\n# more\n" + GOOD, "invalid-json", "a comment", True),
    "an unclosed text": (lambda: GOOD.rstrip()[:-5], "invalid-json", "unterminated string starting at column", False),
    "comments behind": (lambda: _each("LINE // ok"), "invalid-json", "a comment after the object", False),
    "server-sent events": (lambda: _each("data: LINE"), "invalid-json", "something before the object", True),
    "grep's file names": (lambda: _each("train.jsonl:LINE"), "invalid-json", "something before the object", True),
    "record separators": (lambda: _each("\x1eLINE"), "invalid-json", "a record separator", True),
    "rows in an object": (lambda: b'{"data": [' + b", ".join(LINES) + b"]}", "messages-missing", "its rows under data", True),
    "rows of an api": (lambda: b'{"rows": [' + b", ".join(b'{"row": ' + line + b"}" for line in LINES) + b"]}", "messages-missing", "its rows under rows", True),
    "an error": (lambda: b'{"error": {"code": "NotFound"}}', "messages-missing", "an error of a service", False),
    "an array": (lambda: b"[\n" + b",\n".join(LINES) + b"\n]\n", "file-format", "one JSON document (an array)", True),
    "pretty": (lambda: b"\n".join(json.dumps(json.loads(line), indent=1).encode() for line in LINES), "file-format", "over several lines", True),
    "python": (lambda: "".join(f"{json.loads(line)}\n" for line in LINES).encode(), "file-format", "Python dictionaries", True),
    "utf-16 without a mark": (lambda: GOOD.decode().encode("utf-16-le"), "file-format", "text in UTF-16", True),
    "utf-16, the other way": (lambda: GOOD.decode().encode("utf-16-be"), "file-format", "text in UTF-16", True),
    "chinese in utf-16": (lambda: CHINESE.encode("utf-16-le"), "file-format", "text in UTF-16", True),
    "utf-32": (lambda: GOOD.decode().encode("utf-32-le"), "file-format", "text in UTF-32", True),
    "windows-1252": (lambda: GOOD.replace(b"What", b"Caf\xe9"), "invalid-utf8", "byte 0xe9", True),
    "csv": (lambda: b"prompt,completion\n" + PAIRS.encode(), "file-format", "(CSV) with 2 columns", False),
    "csv with its separator": (lambda: b"sep=;\nprompt;completion\n" + PAIRS.replace(",", ";").encode(), "file-format", "(CSV)", False),
    "csv of json": (lambda: b"messages\n" + b"".join(b'"[{""role"": ""user""}]"\n' for _ in range(30)), "file-format", "(CSV) with JSON in them", False),
    "tsv": (lambda: b"prompt\tcompletion\n" + PAIRS.replace(",", "\t").encode(), "file-format", "(TSV) with 2 columns", False),
    "excel": (lambda: b"PK\x03\x04\x14\0\x06\0" + bytes(22) + b"[Content_Types].xml" + bytes(99), "file-format", "an Excel workbook", False),
    "zip": (_zip, "file-format", "a ZIP archive", False),
    "tar": (_tar, "file-format", "a TAR archive", False),
    "arrow stream": (_arrow_stream, "file-format", "an Arrow stream", False),
    "numpy": (lambda: b"\x93NUMPY\x01\0" + bytes(99), "file-format", "a NumPy array", False),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(99), "file-format", "a 7z archive", False),
    "avro": (lambda: b"Obj\x01" + bytes(99), "file-format", "an Avro file", False),
    "orc": (lambda: b"ORC" + bytes(99), "file-format", "an ORC file", False),
    "duckdb": (lambda: bytes(8) + b"DUCK" + bytes(99), "file-format", "a DuckDB database", False),
    "xet pointer": (lambda: b"# xet version 0\nfilesize = 9\n", "file-format", "an Xet pointer", False),
    "rich text": (lambda: b"{\\rtf1 hello}\n" * 30, "file-format", "rich text", False),
}  # fmt: skip


def check(data: bytes, name: str = "data.jsonl") -> ValidationReport:
    return freeze([source(data, name, None)], Policy(meaning=False)).report


def mended(report: ValidationReport, data: bytes, folder: Path) -> ValidationReport:
    """The report of the file that the command in the first finding makes."""
    finding = report.findings[0]
    if prepared := PREPARE.search(f"{finding.places[0].expected} {finding.fix}"):
        (folder / "data.jsonl").write_bytes(data)
        arguments = ["prepare", str(folder / "data.jsonl"), "--out", str(folder / "OUT"), *(prepared[1] or "").split()]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        return check((folder / "OUT" / "train.jsonl").read_bytes())
    command = COMMAND.search(f"{finding.fix} {finding.places[0].expected}")
    assert command, finding
    if shutil.which(command[1].split()[0]) is None:
        pytest.skip(f"no {command[1].split()[0]} here")
    (folder / "FILE").write_bytes(data)
    subprocess.run(command[1], shell=True, cwd=folder, check=True, timeout=30)
    return check((folder / "ROWS.jsonl").read_bytes())


def look(data: bytes, rule: str, found: str, has_command: bool, folder: Path) -> None:
    report = check(data)
    rules = [finding.rule for finding in report.findings]
    assert rules == [rule] or rules == [rule, "too-few-rows"]
    assert report.verdict == "rejected"
    assert found in report.findings[0].places[0].found
    assert len(report.findings[0].fix) < 600
    if has_command:
        assert mended(report, data, folder).verdict == "accepted"


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_another_format_are_named_once_and_mended_by_the_command(name: str, tmp_path: Path) -> None:
    template, rule, found, has_command = ROWS[name]
    look("".join(template.replace("%d", str(n)) + "\n" for n in range(30)).encode(), rule, found, has_command, tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_format_is_named_once_and_mended_by_the_command(name: str, tmp_path: Path) -> None:
    make, rule, found, has_command = FILES[name]
    look(make(), rule, found, has_command, tmp_path)


def test_a_tar_in_gzip_is_named() -> None:
    report = check(gzip.compress(_tar()), "data.jsonl.gz")
    assert [(finding.rule, finding.places[0].found) for finding in report.findings] == [
        ("file-format", "a TAR archive")
    ]


def test_windows_line_ends_and_marks_in_the_middle_are_read() -> None:
    assert check(GOOD.replace(b"\n", b"\r\n")).verdict == "accepted"
    report = check(b"\n".join(LINES[:15]) + b"\n\xef\xbb\xbf" + b"\n".join(LINES[15:]))
    assert [(finding.rule, finding.count) for finding in report.findings] == [("byte-order-mark", 1)]
