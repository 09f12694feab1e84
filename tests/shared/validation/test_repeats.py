"""How often a text of a dictionary is pointed to is told by the pages that Arrow writes, and never told too low."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.validation.pages import head_of
from shared.validation.repeats import Levels, longest_text, most_often

WORDS = st.sampled_from(["", *(f"text {number}" * (number % 9 + 1) for number in range(300))])


def pages_of(data: bytes, nested: bool) -> list[tuple[bool, int]]:
    """Of each page of the only column: whether it is the dictionary, and what is told of it."""
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    at, end = column.dictionary_page_offset, column.dictionary_page_offset + column.total_compressed_size
    found = []
    while at < end:
        page, length = head_of(data[at:end])
        body = data[at + length : at + length + page.stored]
        if page.is_dictionary:
            found.append((True, longest_text(body, page.size, page.values, column.compression)))
        else:
            codec = column.compression if page.is_compressed else "UNCOMPRESSED"
            levels = Levels(1 + nested if page.levels is None else 0, page.levels or 0)
            found.append((False, most_often(body, page.size, page.values, codec, levels)))
        at += length + page.stored
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_most_frequent_text_of_a_page_is_counted(data: st.DataObject) -> None:
    nested = data.draw(st.booleans())
    often = data.draw(st.lists(WORDS, min_size=1, max_size=3))
    values: list[Any] = data.draw(
        st.lists(st.one_of(WORDS, st.sampled_from(often), st.none()), min_size=1, max_size=400)
    )
    values += data.draw(st.sampled_from([[], often[:1] * 700]))
    if not any(values):
        values.append("a text")
    rows = [values[at : at + 7] for at in range(0, len(values), 7)] if nested else values
    out = io.BytesIO()
    pq.write_table(
        pa.table({"texts": rows}),
        out,
        compression=data.draw(st.sampled_from(["snappy", "zstd", "gzip", "none"])),
        data_page_version=data.draw(st.sampled_from(["1.0", "2.0"])),
    )
    texts = [value for value in values if value is not None]
    (_, longest), *counts = pages_of(out.getvalue(), nested)
    assert longest == max(len(text.encode()) for text in texts)
    assert sum(count for _, count in counts) >= Counter(texts).most_common(1)[0][1]
    if len(counts) == 1 and len(texts) == len(values) and len(set(texts)) > 1:
        assert counts[0][1] == Counter(texts).most_common(1)[0][1]


@pytest.mark.parametrize(
    "coded",
    [
        b"",
        b"\0\x02",  # one text is all there is
        b"\x21\x02\0\0\0\0\0",  # 33 bits
        b"\x08\xff",  # a head without end
        b"\x08" + b"\x02\x01" * 2000,  # runs of one
        b"\x08\x03",  # eight values, and no bits
    ],
)
def test_what_cannot_be_told_counts_as_the_worst(coded: bytes) -> None:
    assert most_often(coded, len(coded), 5000, "UNCOMPRESSED", Levels(0, 0)) == 5000


def test_levels_that_go_on_behind_the_page_count_as_the_worst() -> None:
    assert most_often(b"\xff\xff\xff\x7f\x01", 5, 9, "UNCOMPRESSED", Levels(1, 0)) == 9
    assert most_often(b"\x01\x02", 2, 9, "UNCOMPRESSED", Levels(0, 7)) == 9
    assert most_often(b"no snappy", 9, 9, "SNAPPY", Levels(0, 0)) == 9


def test_a_run_that_says_it_is_endless_takes_no_memory() -> None:
    assert most_often(b"\x08\xfe\xff\xff\xff\x0f\x01", 7, 60_000, "UNCOMPRESSED", Levels(0, 0)) == 60_000
