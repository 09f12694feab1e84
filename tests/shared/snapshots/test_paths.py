"""Which snapshot a path makes, what is refused and why; and that no path can do harm where it is shown or asked for."""

from __future__ import annotations

import pytest

from shared.snapshots.paths import InvalidUpload, SnapshotPath, parse_path

FOLDER = "support-bot/2026-09-21"


@pytest.mark.parametrize(
    ("path", "snapshot"),
    [
        ("support-bot.jsonl", SnapshotPath("support-bot")),
        ("support-bot.jsonl.gz", SnapshotPath("support-bot")),
        ("support-bot.parquet", SnapshotPath("support-bot")),
        ("00.jsonl", SnapshotPath("00")),
        ("test-bot.jsonl", SnapshotPath("test-bot")),
        ("dev-val-train.parquet", SnapshotPath("dev-val-train")),
        ("support-bot/2026-09-21.jsonl", SnapshotPath("support-bot")),
        ("support-bot/A B%20ü.v1.parquet", SnapshotPath("support-bot")),
        ("support-bot/latest.jsonl", SnapshotPath("support-bot")),
        ("support-bot/trainer.jsonl", SnapshotPath("support-bot")),
        (f"{FOLDER}/_SUCCESS", SnapshotPath("support-bot", FOLDER)),
        ("support-bot/A b/_SUCCESS", SnapshotPath("support-bot", "support-bot/A b")),
        (f"{FOLDER}/snapshot.json", None),
        ("support-bot.snapshot.json", None),
        ("support-bot/2026-09-21.snapshot.json", None),
        (f"{FOLDER}/train.jsonl", None),
        (f"{FOLDER}/train-00000-of-00003.parquet", None),
        (f"{FOLDER}/any.jsonl.gz", None),
    ],
)
def test_a_path_makes_a_snapshot_or_waits_for_its_marker(path: str, snapshot: SnapshotPath | None) -> None:
    assert parse_path(path) == snapshot


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("support-bot.csv", "expected a name that ends in .jsonl, .jsonl.gz, .parquet"),
        ("support-bot.JSONL", "expected a name that ends in"),
        ("support-bot.jsonl.zip", "expected a name that ends in"),
        ("support-bot", "expected a name that ends in"),
        (".jsonl", "expected a name that ends in"),
        ("support-bot/.parquet", "expected a name that ends in"),
        ("support-bot/", "expected a name that ends in"),
        ("", "expected a name that ends in"),
        ("_SUCCESS", "expected a name that ends in"),
        (f"{FOLDER}/readme.md", "expected a name that ends in"),
        (f"{FOLDER}/_success", "expected a name that ends in"),
        ("Support-Bot.jsonl", "'Support-Bot' is not a dataset name"),
        ("support_bot/x.jsonl", "'support_bot' is not a dataset name"),
        ("support-bot.test.jsonl", "'support-bot.test' is not a dataset name"),
        ("x.jsonl", "'x' is not a dataset name"),
        (f"{'z' * 42}.jsonl", "is not a dataset name"),
        ("/support-bot.jsonl", "'' is not a dataset name"),
        ("Support-Bot/2026/_SUCCESS", "'Support-Bot' is not a dataset name"),
        ("support-bot/test.jsonl", "a file named like a split belongs into a folder"),
        ("support-bot/train-00000-of-00003.parquet", "a file named like a split belongs into a folder"),
        ("support-bot/test_sft.jsonl.gz", "a file named like a split belongs into a folder"),
        ("support-bot/_SUCCESS", "the marker belongs into a folder"),
        ("support-bot/snapshot.json", "snapshot.json goes with a folder snapshot"),
        ("Support-Bot.snapshot.json", "'Support-Bot' is not a dataset name"),
        (".snapshot.json", "expected a name that ends in"),
        (f"{FOLDER}/train.snapshot.json", "expected a name that ends in"),
        ("support-bot.csv", "`droptune prepare support-bot.csv --out FOLDER` makes a snapshot of it"),
        ("support-bot/it's.json.gz", "`droptune prepare 'it'\"'\"'s.json.gz' --out FOLDER`"),
        ("support-bot/a/b/train.jsonl", "more than two folders deep"),
        ("support-bot/a/b/_SUCCESS", "more than two folders deep"),
    ],
)
def test_any_other_path_is_refused_with_the_reason_and_the_right_form(path: str, why: str) -> None:
    with pytest.raises(InvalidUpload) as refused:
        parse_path(path)
    text = str(refused.value)
    assert text.startswith(f"{path}: ")
    assert why in text
    assert "<dataset>/<name>/" in text


@pytest.mark.parametrize(
    "character",
    ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u200b", "\ufeff", "\ud83d", "\U000e0041"],
)
@pytest.mark.parametrize("path", ["support-bot/{}.jsonl", "support-bot/a{}/train.jsonl", "support-bot/{}/_SUCCESS"])
def test_a_path_that_cannot_be_shown_makes_no_snapshot(path: str, character: str) -> None:
    with pytest.raises(InvalidUpload, match="cannot be shown"):
        parse_path(path.format(character))


@pytest.mark.parametrize("folder", ["..", "."])
@pytest.mark.parametrize("name", ["train.jsonl", "_SUCCESS", "snapshot.json"])
def test_a_folder_of_dots_is_refused(folder: str, name: str) -> None:
    with pytest.raises(InvalidUpload, match="which means another blob"):
        parse_path(f"support-bot/{folder}/{name}")


def test_a_dataset_is_not_named_like_a_snapshot() -> None:
    """Locks, and folders of files, are named for datasets and for snapshots."""
    with pytest.raises(InvalidUpload, match="the form of a snapshot's id"):
        parse_path("bot-20260921141320-0123abcd/a.jsonl")
