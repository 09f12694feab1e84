"""Small files that stand for much: what they cost is bounded by what is really read, whatever they say of themselves.

Each is read in a process that may not take more memory than a worker has to spare, and has a minute.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from scripts.rule_examples import rows
from shared.validation.gunzip import DamagedGzip, Gunzip
from shared.validation.thrift import Compact
from tests.hostile import varint

MOST_MB = 200
PROGRAM = """
import sys
from shared.validation import Policy, freeze, local_source
report = freeze([local_source(sys.argv[1])], Policy()).report
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak // 1024, report.verdict, report.summary)
"""
GOOD = rows(0, 30)
ROLE = pa.array(["user", "assistant"])


def _written(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def _shared_by_turns(turns: int, size: int) -> bytes:
    """One row with so many turns, all of which say the same long text, stored once."""
    texts = pa.array(["long " * (size // 5)])
    contents = pa.DictionaryArray.from_arrays(pa.array([0] * turns, pa.int32()), texts)
    roles = pa.DictionaryArray.from_arrays(pa.array([0, 1] * (turns // 2), pa.int32()), ROLE)
    said = pa.StructArray.from_arrays([contents, roles], ["content", "role"])
    lists = pa.ListArray.from_arrays(pa.array([0, turns], pa.int32()), said)
    return _written(pa.table({"messages": lists}), dictionary_pagesize_limit=2**26, compression="zstd")


def _shared_prefixes() -> bytes:
    """Texts that each repeat the one before: DELTA_BYTE_ARRAY stores only what is new in each."""
    start = "long " * 13_000
    said = [[{"content": f"{start}{at}", "role": ("user", "assistant")[at % 2]} for at in range(2100)]]
    encodings = {"messages.list.element.content": "DELTA_BYTE_ARRAY"}
    return _written(
        pa.table({"messages": said}),
        use_dictionary=False,
        column_encoding=encodings,
        compression="zstd",
        data_page_size=2**28,
    )


def _wide_values() -> bytes:
    """A field beside role and content with one value of fixed width, stored once and there for each turn."""
    count, width = 2400, 1 << 16
    wide = pa.array([bytes(width)] * count, pa.binary(width))
    contents = pa.array(["Hi", "Hello."] * (count // 2))
    said = pa.StructArray.from_arrays(
        [contents, pa.array(["user", "assistant"] * (count // 2)), wide], ["content", "role", "x"]
    )
    lists = pa.ListArray.from_arrays(pa.array(range(0, count + 1, 2), pa.int32()), said)
    return _written(pa.table({"messages": lists}), compression="zstd")


def _large_page() -> bytes:
    """A page of 144 MB, of a file that is large enough for its limit of growth."""
    noise = [{"content": chr(33 + at % 90) * 9, "role": "user"} for at in range(10)]
    said = [[*noise, {"content": "ha " * 48_000_000, "role": "assistant"}]]
    data = _written(pa.table({"messages": said}), use_dictionary=False, compression="zstd")
    return _padded(data, 2 * 2**20)


def _padded(data: bytes, size: int) -> bytes:
    """The same file with bytes that nobody reads between its pages and its footer."""
    footer = int.from_bytes(data[-8:-4], "little") + 8
    return data[:-footer] + bytes(size) + data[-footer:]


def _footer_of_columns() -> bytes:
    """A row group that says it has a million columns: Arrow makes room for all of them before it reads one."""
    data = _written(pa.table({"messages": [[{"content": "Hi", "role": "user"}]]}))
    groups = b"\x19\x1c" + b"\x19\xfc" + varint(1_000_000) + bytes(1_000_100)
    footer = b"\x15\x04" + b"\x29" + groups[1:]
    return data[:4] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _footer_of_texts() -> bytes:
    """Columns whose paths have a million empty names."""
    footer = b"\x15\x04" + b"\x29\x1c" + b"\x19\x1c" + b"\x3c" + b"\x39\xf8" + varint(900_000) + bytes(900_000)
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


NAMED = b"\x1f\x8b\x08\x08" + bytes(5) + b"\xff"
BOMBS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "one text, many turns": ("parquet", lambda: _shared_by_turns(10_000, 10**6), "grows out of proportion"),
    "a shorter text, more turns": ("parquet", lambda: _shared_by_turns(200_000, 60_000), "grows out of proportion"),
    "prefixes": ("parquet", _shared_prefixes, "DELTA_BYTE_ARRAY"),
    "values of fixed width": ("parquet", _wide_values, "grows out of proportion"),
    "a large page": ("parquet", _large_page, "in pages that are read at once"),
    "columns in the footer": ("parquet", _footer_of_columns, "damaged or cut off"),
    "names in the footer": ("parquet", _footer_of_texts, "damaged or cut off"),
    "a name of 30 MB": ("jsonl.gz", lambda: NAMED + b"n" * 30_000_000 + b"\0" + GOOD, "that stand for nothing"),
    "members of nothing": ("jsonl.gz", lambda: gzip.compress(b"") * 500_000, "that stand for nothing"),
    "members of a byte": ("jsonl.gz", lambda: gzip.compress(b" ") * 200_000 + gzip.compress(GOOD), "30 of 30 rows"),
    "blank lines": ("jsonl.gz", lambda: gzip.compress(GOOD + b"\n" * 80_000_000), "grows out of proportion"),
    "zeros behind": ("jsonl.gz", lambda: gzip.compress(GOOD) + bytes(30_000_000), "that stand for nothing"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_more_than_a_worker_has(name: str, tmp_path: Path) -> None:
    ending, data, told = BOMBS[name]
    file = tmp_path / f"a.{ending}"
    file.write_bytes(data())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak, _, summary = done.stdout.split(" ", 2)
    assert told in summary
    assert int(peak) < MOST_MB


def test_texts_that_are_repeated_often_but_not_too_often_are_read() -> None:
    """So many long texts in a dictionary that it has to stay one: the rows are read all the same."""
    from shared.validation import Policy, freeze
    from tests.shared.validation.test_planted import source

    said = [
        [
            {"content": f"Question {at}", "role": "user"},
            {"content": f"{at % 50} " + "word " * 4000, "role": "assistant"},
        ]
        for at in range(3000)
    ]
    data = _padded(_written(pa.table({"messages": said}), compression="zstd"), 2**20)
    report = freeze([source(data, "a.parquet")], Policy()).report
    assert (report.verdict, report.rows, report.good_rows) == ("accepted", 3000, 3000)


# What another reader of the same bytes could take otherwise


@pytest.mark.parametrize(
    "data",
    [
        b"\x15\x02\x05\x02\x04\x00",  # field 1, then field 1 again
        b"\x05\x82\x80\x08\x04\x00",  # field 65537, which is field 1 for who counts in 16 bits
        b"\x05\x01\x04\x00",  # field -1
        b"\x1b\xff\xff\xff\x7f\x55",  # a map longer than what is left
        b"\x19\xfc\xff\xff\x0a" + bytes(200_000),  # structs that would take more memory than there is
    ],
)
def test_a_struct_that_two_readers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"impossible|early|memory"):
        Compact(data).struct({1: None})


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_members_are_read_one_after_the_other(size: int) -> None:
    parts = [b"", b"a", b"b" * 5000, rows(0, 50), b"\n" * 100_000, b"end"]
    data = b"".join(map(gzip.compress, parts)) + bytes(100)
    stream = Gunzip(io.BytesIO(data).read)
    found = b""
    while more := stream.read(size):
        assert len(more) <= size
        found += more
    assert found == b"".join(parts)


@pytest.mark.parametrize("kept", [1, 5, 12, 200, -9, -1])
def test_what_comes_before_the_damage_is_given(kept: int) -> None:
    data = gzip.compress(rows(0, 50))[:kept]
    stream, found = Gunzip(io.BytesIO(data).read), bytearray()

    def read_all() -> None:
        while more := stream.read(100):
            found.extend(more)

    with pytest.raises(DamagedGzip, match="ends before"):
        read_all()
    assert rows(0, 50).startswith(found)
    assert found or kept < 200
