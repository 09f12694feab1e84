"""Preparing a snapshot of files, folders and datasets in any shape, without a network."""

# ruff: noqa: E501

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from cli.check import main as validate
from cli.failures import Exit
from cli.preparing.inputs import CannotPrepare
from shared.chatdata.split_choice import Undecided, plainest
from tests.hub_server import hub_server

type Row = dict[str, Any]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["prepare", *map(str, arguments)])


def prepared(given: object, out: Path, *arguments: object) -> list[list[tuple[str, str]]]:
    """The dialogues of the training file that is made."""
    done = run(given, "--out", out, *arguments)
    assert done.exit_code == 0, done.stderr
    return written(out)


def written(out: Path, name: str = "train.jsonl") -> list[list[tuple[str, str]]]:
    lines = (out / name).read_text("utf-8").splitlines()
    return [[(turn["role"], turn["content"]) for turn in json.loads(line)["messages"]] for line in lines]


def jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def pairs(count: int, first: int = 0) -> list[Row]:
    return [{"question": f"Frage {n}?", "answer": f"Antwort „{n}“."} for n in range(first, first + count)]


def dialogues(count: int, first: int = 0) -> list[list[tuple[str, str]]]:
    return [[("user", row["question"]), ("assistant", row["answer"])] for row in pairs(count, first)]


def parquet(rows: list[Row]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return bytes(out.getvalue())


def csv_of(rows: list[Row], separator: str = ",") -> str:
    lines = [separator.join(rows[0]), *(separator.join(f'"{value}"' for value in row.values()) for row in rows)]
    return "\n".join(lines) + "\n"


ARRAY = json.dumps(pairs(30), ensure_ascii=False)
CONTAINERS: dict[str, bytes] = {
    "rows.jsonl": jsonl(pairs(30)),
    "rows.ndjson": b"\xef\xbb\xbf" + jsonl(pairs(30)).replace(b"\n", b"\r\n"),
    "rows.jsonl.gz": gzip.compress(jsonl(pairs(30))),
    "rows.json.bz2": bz2.compress(ARRAY.encode()),
    "rows.json.xz": lzma.compress(ARRAY.encode()),
    "rows.json": ARRAY.encode(),
    "pretty.json": json.dumps(pairs(30), indent=2).encode(),
    "objects.json": "\n".join(json.dumps(row, indent=2) for row in pairs(30)).encode(),
    "document.json": json.dumps({"version": 1, "data": pairs(30)}).encode(),
    "api.json": json.dumps({"rows": [{"row": row, "row_idx": 0} for row in pairs(30)]}).encode(),
    "by-column.json": json.dumps(
        {name: {str(n): row[name] for n, row in enumerate(pairs(30))} for name in pairs(1)[0]}
    ).encode(),
    "lists.json": json.dumps({name: [row[name] for row in pairs(30)] for name in pairs(1)[0]}).encode(),
    "split.json": json.dumps(
        {"columns": ["question", "answer"], "index": list(range(30)), "data": [list(row.values()) for row in pairs(30)]}
    ).encode(),
    "by-id.json": json.dumps({f"q-{n}": row for n, row in enumerate(pairs(30))}, indent=1).encode(),
    "python.txt": "\n".join(map(str, pairs(30))).encode(),
    "utf-16.json": ARRAY.encode("utf-16"),
    "utf-16.jsonl": jsonl(pairs(30)).decode().encode("utf-16"),
    "rows.csv": csv_of(pairs(30)).encode(),
    "excel.csv": b"sep=;\n" + csv_of(pairs(30), ";").encode(),
    "rows.tsv": csv_of(pairs(30), "\t").encode(),
    "rows.csv.gz": gzip.compress(csv_of(pairs(30)).encode()),
    "rows.parquet": parquet(pairs(30)),
    "no-ending": jsonl(pairs(30)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_file_is_read_whatever_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(CONTAINERS[name])
    assert prepared(tmp_path / name, tmp_path / "out") == dialogues(30)
    assert validate([str(tmp_path / "out")]) == 0


def test_an_encoding_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(csv_of(pairs(30)).encode("cp1252"))
    assert "--encoding" in run(tmp_path / "rows.csv", "--out", tmp_path / "out").stderr
    assert prepared(tmp_path / "rows.csv", tmp_path / "out", "--encoding", "cp1252") == dialogues(30)


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [jsonl(pairs(30)).decode(), csv_of(pairs(30))], ids=["jsonl", "csv"])
def test_the_encoding_that_is_named_for_text_without_a_mark_reads_it(coding: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_bytes(text.encode(coding))
    refused = run(tmp_path / "rows.txt", "--out", tmp_path / "out").stderr
    assert f"--encoding {coding} reads it" in refused
    assert prepared(tmp_path / "rows.txt", tmp_path / "out", "--encoding", coding) == dialogues(30)


def test_a_line_that_is_no_utf_8_is_left_out_and_a_file_that_is_none_is_asked_about(tmp_path: Path) -> None:
    lines = jsonl(pairs(30)).splitlines(keepends=True)
    lines[20] = lines[20].replace(b"Frage", b"\xe4")
    (tmp_path / "rows.jsonl").write_bytes(b"".join(lines))
    assert len(prepared(tmp_path / "rows.jsonl", tmp_path / "out")) == 29
    (tmp_path / "all.jsonl").write_bytes(jsonl(pairs(30)).decode().encode("cp1252"))
    assert "--encoding" in run(tmp_path / "all.jsonl", "--out", tmp_path / "all").stderr
    assert prepared(tmp_path / "all.jsonl", tmp_path / "all", "--encoding", "cp1252") == dialogues(30)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rows.jsonl.gz", "it is damaged or cut off"),
        ("rows.json.xz", "it is damaged or cut off"),
        ("rows.csv", "it has bytes that are no UTF-8; --encoding says what it is"),
        ("rows.json", "it has bytes that are no UTF-8; --encoding says what it is"),
    ],
)
def test_damage_behind_the_beginning_of_a_file_is_named_and_nothing_is_left(
    name: str, reason: str, tmp_path: Path
) -> None:
    rows = pairs(20_000)
    plain = (
        csv_of(rows).encode()
        if ".csv" in name
        else json.dumps(rows).encode()
        if "json." in name + "." and "jsonl" not in name
        else jsonl(rows)
    )
    packed = (
        gzip.compress(plain, 1)
        if name.endswith("gz")
        else lzma.compress(plain, preset=0)
        if name.endswith("xz")
        else plain
    )
    broken = packed[: len(packed) // 2] if packed is not plain else plain[:-2000] + b"\xff" + plain[-2000:]
    (tmp_path / name).write_bytes(broken)
    failed = run(tmp_path / name, "--out", tmp_path / "out")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert reason in failed.stderr
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("as_array", [False, True])
def test_a_number_with_more_digits_than_python_reads_costs_no_row(as_array: bool, tmp_path: Path) -> None:
    rows = pairs(3)
    rows[0]["n"] = 12345
    text = json.dumps(rows).encode() if as_array else jsonl(rows)
    (tmp_path / "rows.json").write_bytes(text.replace(b"12345", b"9" * 10_000))
    assert prepared(tmp_path / "rows.json", tmp_path / "out") == dialogues(3)


@pytest.mark.parametrize(("size", "pieces"), [(1, "array"), (1, "objects"), (40_000, "array")])
def test_a_document_is_read_a_piece_at_a_time(
    size: int, pieces: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where every piece ends inside a row, and where a row is longer than a piece."""
    monkeypatch.setattr("cli.preparing.readers._CHUNK", 7)
    rows = [{"question": f'{n} \\" ]}} {{' * size, "answer": "ä"} for n in range(10)]
    text = json.dumps(rows) if pieces == "array" else "".join(json.dumps(row, indent=1) for row in rows)
    (tmp_path / "rows.json").write_text(text)
    found = prepared(tmp_path / "rows.json", tmp_path / "out")
    assert [turns[0][1] for turns in found] == [row["question"] for row in rows]


def test_json_that_is_cut_off_names_the_row(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(ARRAY[: len(ARRAY) // 2])
    failed = run(tmp_path / "rows.json", "--out", tmp_path / "out")
    assert (failed.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert "row 16 is no JSON: unterminated string" in failed.stderr


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "a PNG image"),
        (b"PK\x03\x04\x14\0" + bytes(99), "a ZIP archive"),
        (b"Dear reader,\nthis is prose.\n", "neither JSON nor a table"),
        (gzip.compress(jsonl(pairs(30)), mtime=0)[:40], "damaged or cut off"),
        (b"PAR1" + bytes(99), "cannot be read as parquet"),
        (json.dumps({"train": pairs(3), "test": pairs(3)}).encode(), "rows under train and test: write each of these"),
        (b'[["q", "a"], ["r", "b"]]', "its rows are no objects with named columns"),
        (jsonl([{"message_id": "1", "parent_id": None, "text": "t", "role": "prompter"}]), "as OASST writes. The rows"),
        (
            jsonl([{"text": "prose"}] * 3),
            "the rows are text. The rows are plain text, in no chat template that is known",
        ),
    ],
)
def test_a_file_without_rows_says_what_it_is(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "rows.dat").write_bytes(data)
    failed = run(tmp_path / "rows.dat", "--out", tmp_path / "out")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert reason in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


# -- what is left out, changed, and a choice


def test_what_is_left_out_or_changed_is_counted_with_its_rows(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    rows: list[Any] = [{"conversations": [{"from": "human", "value": f"Q{n}"}, turns[1]]} for n in range(20)]
    rows[2] = {
        "conversations": [*turns, {"from": "function_call", "value": "{}"}, {"from": "observation", "value": "1"}]
    }
    rows[3] = {"conversations": [turns[1], *turns]}
    rows[4] = {"conversations": [*turns, {"from": "human", "value": "thanks"}]}
    rows[5] = {"conversations": [{"from": "human", "value": ""}, turns[1]]}
    rows[6] = {"conversations": None}
    rows[7] = {"conversations": [turns[0], {"from": "gpt", "value": "\ud83d"}]}
    (tmp_path / "rows.jsonl").write_bytes(
        json.dumps(rows[0]).encode() + b"\nnot JSON\n" + b"".join(json.dumps(row).encode() + b"\n" for row in rows[1:])
    )
    done = run(tmp_path / "rows.jsonl", "--out", tmp_path / "out", "--json")
    (part,) = json.loads(done.stdout)["parts"]
    assert part["left_out"] == {
        "invalid-json": 1,
        "role-tool": 1,
        "content-empty": 1,
        "turns-missing": 1,
        "lone-surrogate": 1,
    }
    assert part["changed"] == {"beginning-left-out": 1, "ending-left-out": 1}
    assert part["first_rows"]["role-tool"] == [4]
    assert (part["rows_read"], part["rows_written"]) == (21, 16)
    shown = run(tmp_path / "rows.jsonl", "--out", tmp_path / "again").stdout
    assert (
        "left out 1: the line is not one JSON value; the column is counted in characters from 1 (invalid-json; row 2)"
        in shown
    )
    assert "changed 1: user turns behind the last answer were left out (ending-left-out; row 6)" in shown


def test_calls_of_tools_are_kept_when_somebody_asks(tmp_path: Path) -> None:
    names = ("human", "function_call", "observation", "gpt")
    turns = [{"from": name, "value": name} for name in names]
    (tmp_path / "rows.jsonl").write_bytes(jsonl([{"system": "S", "conversations": turns, "tools": "[]"}] * 3))
    failed = run(tmp_path / "rows.jsonl", "--out", tmp_path / "out")
    assert "none of 3 rows can be trained on: role-tool (3)" in failed.stderr
    found = prepared(tmp_path / "rows.jsonl", tmp_path / "out", "--keep-tools")
    assert [role for role, _ in found[0]] == ["system", "user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("row", "decided_by"),
    [
        ({"question": "q", "answer": "a", "query": "x", "response": "y"}, ["--user query --assistant response"]),
        ({"conversations": [{"from": "human", "value": "q"}], "instruction": "i", "output": "o"}, ["--shape sharegpt", "--shape alpaca"]),
        ({"turns": [{"role": "user", "content": "q"}], "chat": [{"role": "user", "content": "q"}]}, ["--turns turns", "--turns chat"]),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, ["--shape preference"]),
        ({"prompt": "q", "completion": "a", "label": True}, ["--shape preference"]),
        ({"context": "c", "question": "q", "answers": {"text": ["a"]}}, ["--user context,question --assistant answers"]),
        ({"instruction": "i", "output": "o", "question": "q", "answer": "a"}, ["--shape alpaca", "--user question --assistant answer"]),
        ({"User Question": "q", "Bot Answer": "a"}, ["perhaps --user 'User Question' --assistant 'Bot Answer'"]),
        ({"frage 1": "q", "frage 2": "a"}, ["--user COLUMN --assistant COLUMN"]),
    ],
)  # fmt: skip
def test_nothing_is_guessed(row: Row, decided_by: list[str], tmp_path: Path) -> None:
    """Where there is a choice, nothing is written, and the options that decide are named; they do."""
    (tmp_path / "rows.jsonl").write_bytes(jsonl([row] * 20))
    failed = run(tmp_path / "rows.jsonl", "--out", tmp_path / "out")
    assert (failed.exit_code, (tmp_path / "out").exists()) == (2, False)
    for option in decided_by:
        assert option in failed.stderr
    if "COLUMN" not in decided_by[0]:
        options = shlex.split(decided_by[-1].removeprefix("perhaps "))
        done = run(tmp_path / "rows.jsonl", "--out", tmp_path / "out", *options)
        assert done.exit_code == 0 or "no-assistant" in done.stderr


def test_columns_are_named_and_a_misspelt_one_has_its_nearest(tmp_path: Path) -> None:
    (tmp_path / "faq.csv").write_text("Frage,Antwort,Regel\n" + "".join(f"q{n},a{n},s\n" for n in range(20)))
    failed = run(tmp_path / "faq.csv", "--out", tmp_path / "out", "--user", "frage", "--assistant", "Antwort")
    assert "there is no column frage, only Antwort, Frage, Regel; did you mean Frage?" in failed.stderr
    found = prepared(
        tmp_path / "faq.csv", tmp_path / "out", "--user", "Frage", "--assistant", "Antwort", "--system", "Regel"
    )
    assert found[7] == [("system", "s"), ("user", "q7"), ("assistant", "a7")]


def test_answers_of_weight_0_are_left_out_with_their_questions_and_counted(tmp_path: Path) -> None:
    def turn(role: str, content: str, weight: int | None = None) -> Row:
        return {"role": role, "content": content, "weight": weight}

    rows = [
        [turn("user", "1"), turn("assistant", "a", 0), turn("user", "2"), turn("assistant", "b", 1)],
        [turn("user", "3"), turn("assistant", "c", 0)],
        [turn("system", "s"), turn("user", "4"), turn("assistant", "d")],
    ]
    (tmp_path / "rows.jsonl").write_bytes(jsonl([{"messages": turns} for turns in rows]))
    done = run(tmp_path / "rows.jsonl", "--out", tmp_path / "out")
    assert "changed 1: an answer of weight 0 was left out, with the user turns that it answers" in done.stdout
    assert "left out 1:" in done.stdout
    assert "no-weighted-answer; row 2" in done.stdout
    assert written(tmp_path / "out") == [
        [("user", "2"), ("assistant", "b")],
        [("system", "s"), ("user", "4"), ("assistant", "d")],
    ]
    kept = prepared(tmp_path / "rows.jsonl", tmp_path / "kept", "--keep-unweighted")
    assert [turns[-1][1] for turns in kept] == ["b", "d"]
    assert len(kept[0]) == 4


# -- samples, splits, shards, options


def test_the_same_seed_draws_the_same_rows_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(pairs(400)))
    by = ("--fraction", 0.05, "--seed")
    one, again, other = (prepared(tmp_path / "rows.jsonl", tmp_path / f"{n}", *by, n % 2) for n in (1, 3, 2))
    assert one == again != other
    assert len(one) == len(other) == 20
    by = ("--rows", 7, "--seed")
    one, again, other = (prepared(tmp_path / "rows.jsonl", tmp_path / f"r{n}", *by, n % 2) for n in (1, 3, 2))
    assert one == again != other
    assert len(one) == 7


def test_all_rows_are_taken_where_the_fraction_is_nearly_all(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(pairs(500)))
    found = prepared(tmp_path / "rows.jsonl", tmp_path / "out", "--fraction", 0.9)
    assert len({tuple(turns) for turns in found}) == len(found)
    assert abs(len(found) - 450) <= 1


def test_a_test_split_is_held_out_by_content(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(pairs(300) * 2))
    prepared(tmp_path / "rows.jsonl", tmp_path / "out", "--test-share", 0.2)
    train, test = (written(tmp_path / "out", f"{split}.jsonl") for split in ("train", "test"))
    assert len(train) + len(test) == 600
    assert 60 < len(test) < 180
    assert not {str(turns) for turns in train} & {str(turns) for turns in test}


def test_shards_are_named_as_the_hub_names_them(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(pairs(25)))
    done = run(tmp_path / "rows.jsonl", "--out", tmp_path / "out", "--shard-rows", 10)
    names = [f"train-0000{n}-of-00003.jsonl" for n in range(3)]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["_SUCCESS", *names]
    assert "3 files" in done.stdout
    assert [turns for name in names for turns in written(tmp_path / "out", name)] == dialogues(25)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet"])
def test_all_formats_that_can_be_written_are_acceptable_snapshots(ending: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(pairs(30)))
    for out in ("one", "two"):
        assert run(tmp_path / "rows.jsonl", "--out", tmp_path / out, "--format", ending).exit_code == 0
        assert validate([str(tmp_path / out)]) == 0
    one, two = ((tmp_path / out / f"train.{ending}").read_bytes() for out in ("one", "two"))
    assert one == two


def test_options_go_with_the_snapshot(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(pairs(20)))
    by = ("--base-model", "Phi-4-mini-instruct", "--hyperparameter", "num_train_epochs=2", "--note", "a try")
    assert run(tmp_path / "rows.jsonl", "--out", tmp_path / "out", *by).exit_code == 0
    assert json.loads((tmp_path / "out" / "snapshot.json").read_text()) == {
        "base_model": "Phi-4-mini-instruct",
        "hyperparameters": {"num_train_epochs": 2},
        "note": "a try",
    }
    wrong = run(tmp_path / "rows.jsonl", "--out", tmp_path / "x", "--hyperparameter", "num_train_epoch=2")
    assert "did you mean 'num_train_epochs'?" in wrong.stderr


def test_the_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(pairs(20)))
    out = tmp_path / "out"
    prepared(tmp_path / "rows.jsonl", out)
    before = {file.name: file.stat().st_mtime_ns for file in out.iterdir()}
    assert "already holds a snapshot" in run(tmp_path / "rows.jsonl", "--out", out).stderr
    assert before == {file.name: file.stat().st_mtime_ns for file in out.iterdir()}
    assert "not empty" in run(tmp_path / "rows.jsonl", "--out", tmp_path).stderr
    (tmp_path / "empty").mkdir()
    prepared(tmp_path / "rows.jsonl", tmp_path / "empty")
    assert not list(tmp_path.glob(".*"))


# -- folders


def make_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_gives_its_splits_by_the_names_of_files_and_folders(tmp_path: Path) -> None:
    given = make_folder(
        tmp_path / "in",
        {
            "data/train-00000-of-00002.jsonl": jsonl(pairs(10)),
            "data/train-00001-of-00002.csv": csv_of(pairs(10, 10)).encode(),
            "test/part.json": json.dumps(pairs(5, 50)).encode(),
            "README.md": b"# Data",
            ".git/config.json": b"{}",
            "dataset_infos.json": b"{}",
        },
    )
    assert prepared(given, tmp_path / "out") == dialogues(20)
    assert written(tmp_path / "out", "test.jsonl") == dialogues(5, 50)
    only = prepared(given, tmp_path / "only", "--split", "train")
    assert (len(only), (tmp_path / "only" / "test.jsonl").exists()) == (20, False)


@pytest.mark.parametrize(
    ("files", "arguments", "reason"),
    [
        ({"train.jsonl": jsonl(pairs(9)), "more.jsonl": jsonl(pairs(9))}, [], "more.jsonl: the name says no split"),
        ({"train-test.jsonl": jsonl(pairs(9))}, [], "named like several splits"),
        ({"test.jsonl": jsonl(pairs(9))}, [], "no split to train on"),
        ({"train.jsonl": jsonl(pairs(9))}, ["--split", "test"], "there is no split test, only train"),
        ({"notes.md": b"x"}, [], "no file with rows"),
        ({"train.jsonl": jsonl(pairs(9)), "test.jsonl": b'{"text": "a"}\n'}, [], "test.jsonl: the rows are text"),
    ],
)
def test_a_folder_that_leaves_a_choice_is_refused(
    files: dict[str, bytes], arguments: list[str], reason: str, tmp_path: Path
) -> None:
    failed = run(make_folder(tmp_path / "in", files), "--out", tmp_path / "out", *arguments)
    assert (failed.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert reason in failed.stderr


@pytest.mark.parametrize(
    ("names", "taken"),
    [(["train_sft", "train_gen"], "train_sft"), (["train_gen", "train"], "train"), (["train_gen"], "train_gen")],
)
def test_of_several_splits_the_plain_one_is_taken(names: list[str], taken: str) -> None:
    """So that the command of the README works for ultrachat_200k, which has train_sft and train_gen."""
    assert plainest("train", names) == taken


@pytest.mark.parametrize("names", [["train_gen", "train_prefs"], ["train", "train_sft"]])
def test_splits_of_which_none_is_plain_are_for_a_person_to_choose_from(names: list[str]) -> None:
    with pytest.raises(Undecided, match="would each become train; choose one with --split"):
        plainest("train", names)


# -- names on the Hub


@pytest.mark.parametrize(
    ("environment", "reason", "status"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "the Hub is switched off (HF_HUB_OFFLINE)", Exit.USAGE),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached", Exit.UNREACHABLE),
    ],
)
def test_that_the_hub_is_out_of_reach_is_said_at_once(
    environment: dict[str, str], reason: str, status: Exit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    failed = run("owner/data", "--out", tmp_path / "out")
    assert failed.exit_code == status
    assert "there is no file or folder owner/data; it may be a dataset on the Hub, but" in failed.stderr
    assert reason in failed.stderr


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from cli.preparing import hub

    over = threading.Event()

    def never(*_: Any, **__: Any) -> Any:
        over.wait()
        raise OSError("nobody waits any more")

    monkeypatch.setattr(hub, "PATIENCE", 0.01)
    monkeypatch.setattr(socket, "create_connection", never)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    with pytest.raises(CannotPrepare, match="no connection within"):
        hub.require_hub("owner/data")
    over.set()


@pytest.mark.parametrize(("given", "reason"), [("faq.jsnl", "did you mean"), ("./nothing", "no file or folder")])
def test_a_misspelt_file_is_not_looked_for_on_the_hub(
    given: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faq.jsonl").write_bytes(jsonl(pairs(3)))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    failed = run(given, "--out", tmp_path / "out")
    assert (failed.exit_code, reason in failed.stderr) == (Exit.NOT_FOUND, True)


HUB = {
    "acme/chats": {
        "README.md": b"# Chats\n",
        "data/train_sft-00000-of-00001.parquet": parquet(pairs(400)),
        "data/test_sft-00000-of-00001.parquet": parquet(pairs(20, 1000)),
        "data/train_gen-00000-of-00001.parquet": parquet(pairs(20, 2000)),
    },
    "acme/subsets": {
        "README.md": b"---\nconfigs:\n- config_name: en\n  data_files: en.jsonl\n- config_name: de\n  data_files: de.jsonl\n---\n",
        "en.jsonl": jsonl(pairs(20)),
        "de.jsonl": jsonl(pairs(20, 100)),
    },
}


RUNS = """
import json, sys
from typer.testing import CliRunner
from cli.__main__ import app

for command in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, ["prepare", *command])
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


def test_a_dataset_on_the_hub_is_streamed(tmp_path: Path) -> None:
    """By a process of its own: `datasets` reads the Hub's address when it is imported."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    commands = [
        ["acme/chats", "--fraction", "0.05", "--out", str(tmp_path / "chats"), "--json"],
        ["acme/subsets", "--out", str(tmp_path / "subsets")],
        ["acme/subsets", "--subset", "de", "--out", str(tmp_path / "de")],
        ["acme/chat", "--out", str(tmp_path / "chat")],
    ]
    with hub_server(HUB) as hub:
        environment |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", RUNS, json.dumps(commands)], env=environment, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    chats, subsets, german, unknown = map(json.loads, done.stdout.splitlines())
    assert json.loads(chats[1])["rows"] == {"train": 20, "test": 1}, chats
    assert set(map(str, written(tmp_path / "chats"))) <= set(map(str, dialogues(400)))
    assert written(tmp_path / "de") == dialogues(20, 100)
    assert "acme/subsets has several subsets" in subsets[2]
    assert "--subset chooses one" in subsets[2]
    assert "there is no file or folder acme/chat, and on the Hub is no dataset acme/chat" in unknown[2]
    assert [run[0] for run in (chats, subsets, german, unknown)] == [0, Exit.USAGE, 0, Exit.NOT_FOUND]
    assert not (tmp_path / "subsets").exists()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    def save(dataset: Any) -> Path:
        dataset.save_to_disk(str(tmp_path / "saved"))
        return tmp_path / "saved"

    return save


def test_what_datasets_saved_is_read_with_its_splits(saved: Callable[[Any], Path], tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

    train, test = Dataset.from_list(pairs(30)), Dataset.from_list(pairs(5, 50))
    shuffled = train.shuffle(seed=3)
    folder = saved(DatasetDict({"train_sft": shuffled, "train_gen": train, "test_sft": test}))
    expected = [dialogue for row in shuffled for dialogue in dialogues(1, int(row["question"][6:-1]))]
    assert prepared(folder, tmp_path / "out") == expected
    assert written(tmp_path / "out", "test.jsonl") == dialogues(5, 50)
    unknown = run(folder, "--out", tmp_path / "x", "--split", "train_sf")
    assert "it has train_sft, train_gen, test_sft; did you mean train_sft?" in unknown.stderr
    assert prepared(folder / "train_gen", tmp_path / "single") == dialogues(30)
