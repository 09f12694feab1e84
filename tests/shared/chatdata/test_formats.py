"""What a file's name says of what is in it: nothing that may be data is passed over."""

from __future__ import annotations

import pytest

from shared.chatdata.formats import inner_ending, seems_to_hold_rows


@pytest.mark.parametrize(
    "name",
    [
        "part-0.jsonl", "part-1.json", "a.jsonl.txt", "a.jsonl.part", "a.crdownload", "b.pq", "c.csv", "d.ndjson.gz",
        "train.txt", "eval", "part-00000", "more.JSONL", "x.jsonl~", "x.jsonl (1)", "x.parquet.tmp", "data.zip",
        "more.jl", "more.jsonl_", "more.jsonl5",
    ],
)  # fmt: skip
def test_what_may_be_data_is_not_passed_over(name: str) -> None:
    assert seems_to_hold_rows(f"support-bot/x/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "LICENSE",
        "notes.txt",
        "snapshot.json",
        "dataset_info.json",
        "_SUCCESS",
        "_metadata",
        ".x.crc",
        "a.png",
    ],
)
def test_what_lies_beside_data_is_passed_over(name: str) -> None:
    assert not seems_to_hold_rows(f"support-bot/x/{name}")


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("part-0-c000.gz.parquet", ""), ("part-0.snappy.parquet", ""), ("part-0.zstd.parquet", ""),
        ("a.csv.jsonl", ".csv"), ("a.csv.parquet", ".csv"), ("a.gz.jsonl", ".gz"), ("a.v1.jsonl", ""),
    ],
)  # fmt: skip
def test_a_compression_inside_parquet_is_no_second_format(name: str, inner: str) -> None:
    assert inner_ending(name) == inner
