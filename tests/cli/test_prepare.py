"""Preparing a snapshot from a dataset, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.check import main as validate
from cli.prepare import _plainest, main, prepare


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that `datasets` reads: train and test, in ultrachat's shape."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "dataset"
    folder.mkdir()
    for split, first, count in (("train", 0, 400), ("test", 400, 200)):
        rows = [
            {
                "prompt": f"Question {number}?",
                "messages": [
                    {"content": f"Question {number}?", "role": "user"},
                    {"content": f"Antwort „{number}“.", "role": "assistant"},
                ],
                "prompt_id": f"{number:064x}",
            }
            for number in range(first, first + count)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines)
    return folder


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_prepared_sample_is_an_acceptable_snapshot(
    dataset: Path, tmp_path: Path, file_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "snapshot"
    status = main([str(dataset), "--fraction", "0.05", "--format", file_format, "--out", str(out)])
    assert status == 0
    assert sorted(file.name for file in out.iterdir()) == [
        "_SUCCESS",
        f"test.{file_format}",
        f"train.{file_format}",
    ]
    printed = capsys.readouterr().out
    assert f"train.{file_format}: 20 rows" in printed
    assert "az storage blob upload" in printed
    assert validate([str(out)]) == 0


def test_marker_is_written_after_all_files(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "snapshot"
    assert prepare(str(dataset), out) == {"train": (400, 0, 0), "test": (200, 0, 0)}
    marker = (out / "_SUCCESS").stat().st_mtime_ns
    assert all(file.stat().st_mtime_ns <= marker for file in out.iterdir())


def test_same_seed_gives_the_same_rows(dataset: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepare(str(dataset), tmp_path / name, fraction=0.1, seed=seed)
    one, again, other = ((tmp_path / name / "train.jsonl").read_text() for name in "abc")
    assert one == again != other


def test_snapshot_that_is_there_is_not_touched(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "snapshot"
    prepare(str(dataset), out, splits=["train"])
    before = {file.name: file.stat().st_mtime_ns for file in out.iterdir()}
    assert main([str(dataset), "--out", str(out)]) == 2
    assert "already holds a snapshot" in capsys.readouterr().err
    assert before == {file.name: file.stat().st_mtime_ns for file in out.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--fraction", "0"], "--fraction"),
        (["--split", "train_sft"], "has no split train_sft"),
        (["--split", "test"], "no split to train on"),
    ],
)
def test_what_cannot_be_prepared_is_said(
    dataset: Path, tmp_path: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "snapshot"
    assert main([str(dataset), "--out", str(out), *arguments]) == 2
    assert reason in capsys.readouterr().err
    assert not out.exists()


def test_dataset_without_dialogues_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(ValueError, match="no column messages, only text"):
        prepare(str(tmp_path), tmp_path / "out")


def a_turn(role: str, content: str, weight: int | None = None) -> dict[str, Any]:
    return {"role": role, "content": content, "weight": weight}


def test_answers_of_weight_0_are_left_out_with_their_questions_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {
            "messages": [
                a_turn("user", "1"),
                a_turn("assistant", "a", 0),
                a_turn("user", "2"),
                a_turn("assistant", "b", 1),
            ]
        },
        {"messages": [a_turn("user", "3"), a_turn("assistant", "c", 0)]},
        {"messages": [a_turn("system", "s"), a_turn("user", "4"), a_turn("assistant", "d")]},
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main([str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--drop-unweighted"]) == 0
    assert "train.jsonl: 2 rows; left out: 4 turns, 1 rows" in capsys.readouterr().out
    written = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert [[(turn["role"], turn["content"]) for turn in row["messages"]] for row in written] == [
        [("user", "2"), ("assistant", "b")],
        [("system", "s"), ("user", "4"), ("assistant", "d")],
    ]


@pytest.mark.parametrize(
    ("names", "taken"),
    [(["train_sft", "train_gen"], "train_sft"), (["train_gen", "train"], "train"), (["train_gen"], "train_gen")],
)
def test_of_several_splits_the_plain_one_is_taken(names: list[str], taken: str) -> None:
    """So that the command of the README works for ultrachat_200k, which has train_sft and train_gen."""
    assert _plainest("train", names) == taken


@pytest.mark.parametrize("names", [["train_gen", "train_prefs"], ["train", "train_sft"]])
def test_splits_of_which_none_is_plain_are_for_a_person_to_choose_from(names: list[str]) -> None:
    with pytest.raises(ValueError, match="would each become train; choose one with --split"):
        _plainest("train", names)
