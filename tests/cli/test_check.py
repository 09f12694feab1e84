"""The command that checks files before they are uploaded: what it prints, and its exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.check import main
from cli.failures import Exit
from tests.shared.validation.test_freezing import a_row, jsonl, parquet


def test_command_line_tells_rows_and_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_bytes(jsonl([a_row(number) for number in range(20)]))
    bad.write_bytes(good.read_bytes() + b'{"messages": [{"role": "bot", "content": "x"}]}\n')
    assert main([str(good)]) == 0
    assert "accepted: 20 of 20 rows are used" in capsys.readouterr().out
    assert main([str(bad)]) == 1
    printed = capsys.readouterr().out
    assert 'row 21, messages[0].role: found "bot"; expected assistant (probably)' in printed
    assert main([str(bad), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["schema_version"], report["verdict"], report["rows"]) == ("1.1", "rejected", 21)


def test_command_line_says_when_places_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"{}\n" * 60)
    assert main([str(bad)]) == 1
    assert "20 of 60 shown; --places 0 shows all" in capsys.readouterr().out
    assert main([str(bad), "--places", "0"]) == 1
    printed = capsys.readouterr().out
    assert "bad.jsonl, row 60: found" in printed
    assert "shown" not in printed


def test_command_line_reads_a_folder_as_one_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.jsonl").write_bytes(jsonl([a_row(number) for number in range(20)]))
    (tmp_path / "test.parquet").write_bytes(parquet([a_row(number) for number in range(20, 30)]))
    (tmp_path / "_SUCCESS").touch()
    assert main([str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["test"] == 10


def test_command_line_names_what_it_does_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "part-0.jsonl").write_bytes(jsonl([a_row(number) for number in range(20)]))
    for name in ("_SUCCESS", "snapshot.json", "notes.md", "_part-1.jsonl"):
        (tmp_path / name).write_bytes(b"{}")
    assert main([str(tmp_path)]) == 0
    assert "not read: _part-1.jsonl, notes.md" in capsys.readouterr().err


def test_command_line_says_what_could_not_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing.jsonl")]) == Exit.NOT_FOUND, "as `droptune drop` ends for it"
    assert main([str(tmp_path), "--min-rows", "1"]) == Exit.USAGE
    assert "min_rows" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["Pih-4", "lama-3.1"])
def test_a_model_that_is_nearly_one_is_refused_with_the_nearest(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "good.jsonl"
    file.write_bytes(b"{}\n")
    assert main([str(file), "--model", model]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_what_training_takes_is_told_by_the_speed_and_the_price_that_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "support-bot.jsonl"
    file.write_bytes(jsonl([a_row(number) for number in range(20)]))
    assert main([str(file)]) == 0
    assert re.search(r"^training: [\d,]+ tokens in 1 epoch$", capsys.readouterr().out, re.MULTILINE)
    assert main([str(file), "--epochs", "2", "--tokens-per-second", "0.1", "--price", "3"]) == 0
    found = re.search(
        r"training: ([\d,]+) tokens in 2 epochs, ([\d.]+) h, ([\d.]+) at 3 an hour", capsys.readouterr().out
    )
    assert found
    assert float(found[2]) == pytest.approx(int(found[1].replace(",", "")) / 360, abs=0.01)
    assert float(found[3]) == pytest.approx(3 * float(found[2]), abs=0.02)


def test_options_beside_a_file_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bot.jsonl").write_bytes(jsonl([a_row(n) for n in range(30)]))
    (tmp_path / "bot.snapshot.json").write_text('{"validation": {"min_rows": 40}}')
    assert main([str(tmp_path / "bot.jsonl")]) == 1
    assert "too-few-rows" in capsys.readouterr().out


def test_the_command_that_converts_a_file_has_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my bot.jsonl"
    file.write_bytes(b'{"question": "q", "answer": "a"}\n' * 30)
    assert main([str(file)]) == 1
    assert f"`droptune prepare '{file}' --out FOLDER`" in capsys.readouterr().out
