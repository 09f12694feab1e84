"""However a snapshot is cut into parts, and whoever reads them, the report is the same."""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cli.processes import check
from shared.chatdata.splits import Cuts, Shares, Split
from shared.validation import Policy, Source, ValidationReport, freeze, local_source
from shared.validation.chunks import ChunkResult, cut_into_chunks, going_on, with_known_text
from shared.validation.digests import DigestEntries, distinct, find_repeated
from shared.validation.freezing import count_splits, fold_of, plan_of
from shared.validation.inspect import inspect_chunk
from shared.validation.lines import BlankRun, LongLine, owned, runs_of
from shared.validation.measures import Distribution, NameCounts
from shared.validation.results import OrderedResults, within_limits
from shared.validation.sources import Chunk
from shared.validation.zipped import ZippedText


def source(data: bytes, path: str = "data.jsonl", split: Split | None = None) -> Source:
    return Source(path=path, open=lambda: io.BytesIO(data), size=len(data), split=split)


def untimed(report: ValidationReport) -> ValidationReport:
    return report.model_copy(update={"duration_seconds": 0, "bytes_per_second": 0})


def in_pieces(sources: Sequence[Source], policy: Policy, piece: int) -> ValidationReport:
    """Read every part by itself, send its partial through MessagePack, fold."""

    def inspected(part: Any, _: Any) -> ChunkResult:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(inspect_chunk(part, policy)), type=ChunkResult)

    parts = list(cut_into_chunks(sources, piece))
    again = lambda part, room: inspect_chunk(part, policy, room=room)  # noqa: E731
    fold = fold_of(sources, OrderedResults(within_limits(parts, policy, inspected, again)), policy)
    fold.judge(count_splits(fold, plan_of(sources, 0, Cuts(), Shares()))[1]["train"])
    return fold.report(count_splits(fold, plan_of(sources, 0, Cuts(), Shares()))[1], 1.0)


def a_row(number: int, **extra: Any) -> dict[str, Any]:
    turns = [
        {"role": "user", "content": f'Fråga "{number}"\n'},
        {"role": "assistant", "content": "same" if number < 3 else f"Åns {number}"},
    ]
    return {**extra, "messages": turns}


def some_lines(seed: int) -> bytes:
    """Good rows, repeated ones, blank lines, faults, and prompt ids that come again."""
    rng = random.Random(seed)
    lines = []
    for _ in range(rng.randint(0, 60)):
        row = json.dumps(a_row(rng.randint(0, 50), prompt_id=rng.randint(0, 30))).encode()
        lines.append(rng.choice([row, row, row, row, b"", b"{}", b'{"messages": [}', row + b"\r", b"\xff"]))
    return b"\n".join(lines) + rng.choice([b"", b"\n"])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([None, "train", "test", "validation"])), max_size=3),
    st.integers(1, 3000),
    st.sampled_from([{}, {"max_rows": 30}, {"max_total_bytes": 2500}, {"places": 0}, {"max_bad_percent": 50.0}]),
)
@example([(1, None)], 1, {})
def test_report_does_not_depend_on_how_files_are_cut(
    files: list[tuple[int, Split | None]], piece: int, limits: dict[str, Any]
) -> None:
    policy = Policy(min_rows=3, **limits)
    sources = [source(some_lines(seed), f"{split}-{at}.jsonl", split) for at, (seed, split) in enumerate(files)]
    assert untimed(in_pieces(sources, policy, piece)) == untimed(freeze(sources, policy).report)


@pytest.mark.parametrize("piece", [1, 2000, 10**6])
def test_parquet_is_cut_at_row_groups(piece: int) -> None:
    out = io.BytesIO()
    rows = [a_row(number % 40 if number != 17 else 90, prompt_id=str(number % 60)) for number in range(70)]
    rows[33]["messages"][0]["role"] = "bot"
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=9)
    sources = [source(out.getvalue(), "a.parquet")]
    report = freeze(sources, Policy()).report
    assert [place.row for finding in report.findings for place in finding.places if finding.severity == "error"] == [34]
    assert untimed(in_pieces(sources, Policy(), piece)) == untimed(report)


def zipped(rows: int = 2000, members: int = 1) -> bytes:
    """Gzip of more text than is unpacked at once: good rows, repeated ones, blank lines, faults."""
    rng = random.Random(7)
    lines = []
    for number in range(rows):
        row = json.dumps(a_row(number if number % 50 else 7, noise=rng.randbytes(200).hex())).encode()
        lines.append(rng.choice([b"", b"{}", b"\r"]) if number % 97 == 5 else row)
    size = -(-rows // members)
    return b"".join(gzip.compress(b"\n".join(lines[at : at + size]) + b"\n") for at in range(0, rows, size))


def read_in_sequence(chunks: Sequence[Chunk], policy: Policy, reopened: int) -> list[ChunkResult]:
    """Each chunk of a gzip file after the one before; every so many the file is opened anew."""
    results: list[ChunkResult] = []
    text: ZippedText | None = None
    for number, chunk in enumerate(chunks):
        known = going_on(chunk, results[-1]) if chunk.goes_on else chunk
        if text is None or number % reopened == 0:
            text = ZippedText(chunk.source.open())
        results.append(inspect_chunk(known, policy, text=text))
    return results


@pytest.mark.parametrize(
    ("members", "reopened", "spoilt"),
    [
        (1, 1, ""),
        (40, 3, ""),
        (1, 100, "cut off"),
        (40, 2, "checksum"),
        (1, 2, "too many bad"),
        (1, 3, "too many rows"),
        (1, 100, "too large"),
        (1, 2, "expands"),
    ],
)
def test_chunks_of_a_gzip_file_add_up_to_the_whole(members: int, reopened: int, spoilt: str) -> None:
    data, limits = zipped(members=members), dict[str, Any](max_bad_percent=50.0)
    if spoilt == "cut off":
        data = data[: len(data) * 2 // 3]
    elif spoilt == "checksum":
        data = data[:-8] + b"\0\0\0\0" + data[-4:]
    limits |= {"too many rows": {"max_rows": 1300}, "too large": {"max_total_bytes": 800_000}}.get(spoilt, {})
    limits |= {"too many bad": {"max_bad_percent": 0.0, "max_bad_rows": 0}}.get(spoilt, {})
    if spoilt == "expands":
        data, limits = gzip.compress(b"\n" * 7 * 10**7) + data, {"max_expansion": 50.0}
    sources, policy = [source(data, "a.jsonl.gz"), source(some_lines(3), "b.jsonl")], Policy(min_rows=3, **limits)
    chunks = list(cut_into_chunks(sources, 250_000, zipped=True))
    assert len(chunks) >= 6 or spoilt == "expands"
    of_gzip = [chunk for chunk in chunks if chunk.source is sources[0]]
    results = [*read_in_sequence(of_gzip, policy, reopened), inspect_chunk(chunks[-1], policy)]
    assert spoilt or sum(bool(result.rows) for result in results) >= 4

    known = with_known_text(chunks, results)
    left = dict(zip(known, results, strict=True))
    again = lambda chunk, room: inspect_chunk(chunk, policy, room=room)  # noqa: E731
    fold = fold_of(sources, OrderedResults(within_limits(known, policy, lambda chunk, _: left[chunk], again)), policy)
    rows = count_splits(fold, plan_of(sources, 0, Cuts(), Shares()))[1]
    fold.judge(rows["train"])
    assert untimed(fold.report(rows, 1.0)) == untimed(freeze(sources, policy).report)
    for chunk, result in zip(known, results, strict=True):  # each can be read again by itself
        if not result.fault and chunk.source is sources[0]:
            assert inspect_chunk(chunk, policy).digests == result.digests


def test_processes_give_the_report_of_one(tmp_path: Path) -> None:
    data = b"".join(json.dumps(a_row(number % 900)).encode() + b"\n" for number in range(1000)) + b"{}\n"
    (tmp_path / "train.jsonl").write_bytes(data)
    (tmp_path / "test.jsonl").write_bytes(data[:2000])
    sources = [local_source(file, alone=False) for file in sorted(tmp_path.iterdir())]
    heard: list[int] = []
    one = check(sources, Policy(), processes=1)
    assert untimed(check(sources, Policy(), processes=2, piece=7000, progress=heard.append)) == untimed(one)
    assert one.rows == sum(len(file.read_bytes().splitlines()) for file in tmp_path.iterdir())
    assert sum(heard) >= len(data)


def test_failure_in_a_process_comes_out(tmp_path: Path) -> None:
    gone = tmp_path / "gone.jsonl"
    gone.write_bytes(b"{}\n" * 100)
    sources = [local_source(gone)]
    gone.unlink()
    with pytest.raises(FileNotFoundError):
        check(sources, Policy(), processes=2, piece=100)


@given(st.lists(st.sampled_from([b"a", b"bb", b"\n", b"\r\n", b"x" * 50]), max_size=40), st.lists(st.integers(0, 400)))
def test_every_line_has_one_owner(pieces_of_data: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces_of_data)
    bounds: list[int | None] = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), None]
    found = []
    for start, end in pairwise(bounds):
        assert start is not None
        file = io.BytesIO(data)
        file.seek(max(0, start - 1))
        read = lambda size, file=file: file.read(min(size, 7))  # noqa: E731
        found += _lines(read, start, end)
    whole = _lines(io.BytesIO(data).read, 0, None)
    assert found == whole


def _lines(read: Callable[[int], bytes], start: int, end: int | None) -> list[tuple[int, bytes]]:
    """Offset and bytes of each line; of a blank one only that there is one, which is all that is told of many."""
    found: list[tuple[int, bytes]] = []
    for run in runs_of(owned(read, start, end), 1000):
        assert not isinstance(run, LongLine)
        if isinstance(run, BlankRun):
            found += [(-1, b"")] * run.lines
        else:
            lines = zip(run.offsets, run.lines(), strict=True)
            found += [(offset, line) if line.strip() else (-1, b"") for offset, line in lines]
    return found


@given(st.lists(st.lists(st.integers(0, 40), max_size=60), max_size=4))
def test_sorted_hashes_find_every_repetition(parts: list[list[int]]) -> None:
    packed, seen, expected = [], dict[int, tuple[int, int]](), set()
    for part, values in enumerate(parts):
        entries = DigestEntries()
        for row, value in enumerate(values):
            entries.extend([(value << 120 | value).to_bytes(16)], [row], [None])
            if value in seen:
                expected.add(((part, row), seen[value]))
            seen.setdefault(value, (part, row))
        packed.append(entries.packed())
    repeated = [row for found in find_repeated(packed) for row in found.first_in_order(0)]
    assert len(repeated) == len(expected)
    assert {(row.again[:2], row.first[:2]) for row in repeated} == expected
    assert b"".join(distinct(packed)) == b"".join((value << 120 | value).to_bytes(16) for value in sorted(seen))
    own = [value for value in sorted(seen) if seen[value][0] == 0]
    new = b"".join((value << 120 | value).to_bytes(16) for value in sorted(seen) if value not in own)
    assert b"".join(distinct(packed[1:], packed[:1])) == new


def test_more_names_than_are_kept_are_counted_alike_in_any_order() -> None:
    names = [f"name {number % 3500}" for number in range(8000)]
    one, two, three = NameCounts(), NameCounts(), NameCounts()
    for name in names:
        one.add(name)
    for name in names[:3000]:
        two.add(name)
    for name in reversed(names[3000:]):
        three.add(name)
    three.merge(two)
    assert one.patterns() == three.patterns()
    assert one.singles([]) == three.singles([])


@pytest.mark.parametrize("chunks", [1, 5])
def test_a_snapshot_of_one_row_over_and_over_takes_no_python_object_a_row(chunks: int) -> None:
    """Five million rows that are all the same took 1.7 GB: who puts the parts together was lost each time."""
    rows, packed = 40_000, []
    for _ in range(chunks):
        entries = DigestEntries()
        entries.extend([b"same" * 4] * (rows // chunks), range(rows // chunks), range(0, 80 * (rows // chunks), 80))
        packed.append(entries.packed())
    found = 0
    tracemalloc.start()
    for repeated in find_repeated(packed):
        found += len(repeated.again)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == rows - 1
    assert most < 180 * rows


@pytest.mark.parametrize("sizes", [(0,), (1,), (0, 0), (1, 1), (0, 3, 0), (140_000, 0, 140_000)])
def test_chunks_without_rows_and_with_one_are_told_apart_as_all_others(sizes: tuple[int, ...]) -> None:
    packed, seen = [], list[tuple[int, int, int]]()
    for chunk, size in enumerate(sizes):
        entries, values = DigestEntries(), [row // 2 if row < 10 else row + chunk * 10**6 for row in range(size)]
        entries.extend([value.to_bytes(16, "little") for value in values], range(size), [None] * size)
        seen += [(value, chunk, row) for row, value in enumerate(values)]
        packed.append(entries.packed())
    firsts: dict[int, tuple[int, int]] = {}
    expected = []
    for value, chunk, row in seen:
        if firsts.setdefault(value, (chunk, row)) != (chunk, row):
            expected.append(((chunk, row), firsts[value]))
    repeated = [(row.again[:2], row.first[:2]) for found in find_repeated(packed) for row in found.first_in_order(0)]
    assert sorted(repeated) == expected
    assert sum(map(len, distinct(packed))) == 16 * len(firsts)


@pytest.mark.parametrize("piece", [9_000, 60_000])
def test_columns_are_counted_alike_in_whatever_order_rows_have_them(piece: int) -> None:
    """Long names are cut off in the count, and rows that are read at once come with their columns in one order."""
    rng = random.Random(3)
    rows = []
    for number in range(40):
        extra = list({f"{at:02}" + "x" * 98: at for at in range(50)}.items())
        rng.shuffle(extra)
        rows.append(json.dumps(a_row(number, **dict(extra))).encode())
    sources = [source(b"\n".join(rows), "a.jsonl")]
    report = freeze(sources, Policy()).report
    assert untimed(in_pieces(sources, Policy(), piece)) == untimed(report)
    assert all(count == 40 for count in report.statistics.extra_columns.values())


@settings(deadline=None)
@given(st.lists(st.integers(0, 1 << 50), min_size=1, max_size=30))
def test_values_count_alike_in_any_parts_and_as_the_version_before_left_them(values: list[int]) -> None:
    whole, parts, before = Distribution(), Distribution(), Distribution()
    whole.add(numpy.array(values))
    for value in values:
        part = Distribution()
        part.add(numpy.array([value]))
        parts.merge(part)
    left = {"exact": Counter(values), "total": sum(values), "minimum": min(values), "maximum": max(values)}
    before.merge(msgspec.msgpack.decode(msgspec.msgpack.encode(left), type=Distribution))
    assert whole == parts == before
    assert whole.total == sum(values)
    assert whole.buckets == Counter(map(_bucket, values))


def _bucket(value: int) -> int:
    """The highest value with the same leading seven bits, as results that are stored have it."""
    shift = max(0, value.bit_length() - 7)
    return (((value >> shift) + 1) << shift) - 1
