"""One pass over a snapshot: what is staged, what is told, and what must never happen."""

from __future__ import annotations

import gzip
import io
import json
import random
import subprocess
import sys
import tracemalloc
from typing import Any

import orjson
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.chatdata.splits import SPLITS, Cuts, Split
from shared.validation import BadRow, FrozenSnapshot, Policy, Source, freeze
from shared.validation.stage import BlockWriter


class Blocks:
    """Staging in memory."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[Split, str], bytes] = {}
        self.files: dict[Split, bytes] = {}

    def stage(self, split: Split, block_id: str, data: bytes) -> None:
        self.blocks[split, block_id] = data

    def commit(self, split: Split, block_ids: tuple[str, ...]) -> None:
        self.files[split] = b"".join(self.blocks[split, block] for block in block_ids)

    def rows(self, split: Split) -> list[bytes]:
        return self.files[split].splitlines()


def a_row(number: int, **extra: Any) -> dict[str, Any]:
    turns = [
        {"role": "user", "content": f"Question {number}"},
        {"role": "assistant", "content": f"Åns {number}"},
    ]
    return {**extra, "messages": turns}


def jsonl(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(rows: list[Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=50)
    return out.getvalue()


def source(data: bytes, path: str = "data.jsonl", split: Split | None = None) -> Source:
    return Source(path=path, open=lambda: io.BytesIO(data), size=len(data), split=split)


def staged(*sources: Source, policy: Policy | None = None, **options: Any) -> tuple[FrozenSnapshot, Blocks]:
    target = Blocks()
    frozen = freeze(sources, policy or Policy(), staging=target, **options)
    if frozen.report.accepted:
        frozen.commit(target)
    return frozen, target


def test_training_files_hold_messages_only_and_every_good_row_once() -> None:
    rows = [a_row(number, prompt_id=number) for number in range(300)]
    frozen, target = staged(source(jsonl(rows + rows[:20])), seed=3)
    written = [orjson.loads(line) for split in SPLITS for line in target.rows(split)]
    assert sorted(map(str, written)) == sorted(
        str({"messages": [{"content": t["content"], "role": t["role"]} for t in row["messages"]]}) for row in rows
    )
    assert {split: len(target.rows(split)) for split in SPLITS} == dict(frozen.rows)
    assert frozen.report.duplicate_rows == 20
    assert frozen.report.splits == dict(frozen.rows)


def test_training_rows_are_not_in_the_order_they_came() -> None:
    rows = [a_row(number) for number in range(300)]
    one, two = (staged(source(jsonl(rows)), seed=seed)[1].files["train"] for seed in (1, 2))
    again = staged(source(jsonl(rows[::-1])), seed=1)[1].files["train"]
    numbers = [int(orjson.loads(line)["messages"][0]["content"].split()[1]) for line in one.splitlines()]
    assert numbers != sorted(numbers)
    assert one == again != two


def test_given_splits_are_kept_and_the_missing_one_is_cut_from_train() -> None:
    files = [
        source(jsonl([a_row(number) for number in range(200)]), "train.jsonl", "train"),
        source(jsonl([a_row(number) for number in range(200, 230)]), "test.jsonl", "test"),
    ]
    frozen, target = staged(*files)
    assert frozen.rows["test"] == 30
    assert all(int(orjson.loads(row)["messages"][0]["content"].split()[1]) >= 200 for row in target.rows("test"))
    assert frozen.rows["validation"] >= 8
    assert frozen.rows["train"] + frozen.rows["validation"] == 200


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**64), st.lists(st.integers(12, 400), min_size=2, max_size=4))
def test_rows_held_out_once_are_never_trained_on_later(seed: int, sizes: list[int]) -> None:
    cuts, held_out = Cuts(), set[bytes]()
    for size in sorted(sizes):
        rows = source(jsonl([a_row(number) for number in range(size)]))
        frozen, target = staged(rows, policy=Policy(min_rows=3), seed=seed, cuts=cuts)
        if not frozen.report.accepted:  # everything held out: only possible with very few rows
            continue
        cuts = frozen.cuts
        assert not held_out & set(target.rows("train"))
        held_out |= set(target.rows("test")) | set(target.rows("validation"))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=12, max_size=80), st.randoms(use_true_random=False))
def test_digest_and_splits_depend_on_neither_order_nor_format_nor_sharding(
    numbers: list[int], order: random.Random
) -> None:
    rows = [a_row(number) for number in numbers]
    shuffled = list(rows)
    order.shuffle(shuffled)
    policy = Policy(min_rows=3)
    half = len(rows) // 2
    variants = [
        [source(jsonl(rows))],
        [source(jsonl(shuffled))],
        [source(gzip.compress(jsonl(shuffled)), "a.jsonl.gz")],
        [source(parquet(shuffled), "a.parquet")],
        [
            source(jsonl(rows[:half]), "train-0.jsonl", "train"),
            source(parquet(rows[half:]), "train-1.parquet", "train"),
        ],
    ]
    results = [staged(*files, policy=policy) for files in variants]
    assert len({frozen.digest for frozen, _ in results}) == 1
    assert len({frozen.cuts for frozen, _ in results}) == 1
    assert len({tuple(sorted(target.files.items())) for _, target in results}) == 1


def test_digest_tells_other_content_and_other_splits_apart() -> None:
    rows = [a_row(number) for number in range(40)]
    digests = {
        staged(source(jsonl(rows)))[0].digest,
        staged(source(jsonl(rows[1:])))[0].digest,
        staged(source(jsonl(rows[:20]), split="train"), source(jsonl(rows[20:]), split="test"))[0].digest,
    }
    assert len(digests) == 3


def test_system_turn_is_folded_in_the_training_files_only() -> None:
    rows = [a_row(number) for number in range(30)]
    for row in rows[:10]:
        row["messages"].insert(0, {"role": "system", "content": "Be brief."})
    allowed, kept = staged(source(jsonl(rows)))
    frozen, target = staged(source(jsonl(rows)), policy=Policy(system_turns="fold"))
    contents = {orjson.loads(line)["messages"][0]["content"] for split in SPLITS for line in target.rows(split)}
    assert "Be brief.\n\nQuestion 3" in contents
    assert b'"system"' not in b"".join(target.files.values())
    assert b'"system"' in b"".join(kept.files.values())
    assert (frozen.digest, frozen.rows) == (allowed.digest, allowed.rows)  # cut by what was dropped


def test_rejected_snapshot_is_never_committed_and_stages_nothing_more() -> None:
    frozen, target = staged(source(b"{}\n" + jsonl([a_row(number) for number in range(50)])))
    assert target.blocks == {}
    with pytest.raises(ValueError, match="never committed"):
        frozen.commit(target)


def test_bad_rows_go_to_quarantine_when_some_are_allowed() -> None:
    rows = jsonl([a_row(number) for number in range(50)])
    data = rows + b'{"messages": []}\n' + b"{\n"
    kept: list[BadRow] = []
    frozen, target = staged(source(data), policy=Policy(max_bad_percent=5), quarantine=kept.append)
    assert frozen.report.verdict == "accepted"
    assert [(bad.file, bad.row, bad.byte_offset, bad.rule) for bad in kept] == [
        ("data.jsonl", 51, len(rows), "messages-empty"),
        ("data.jsonl", 52, len(rows) + 17, "invalid-json"),
    ]
    assert kept[0].content == b'{"messages": []}'
    assert sum(len(target.rows(split)) for split in SPLITS) == 50

    refused, _ = staged(source(data), policy=Policy(max_bad_percent=3), quarantine=kept.append)
    assert refused.report.verdict == "rejected"
    strict: list[BadRow] = []
    staged(source(data), quarantine=strict.append)
    assert strict == []


class LostLease(Exception):
    """What a heartbeat raises."""


@pytest.mark.parametrize("path", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_heartbeat_can_stop_the_pass(path: str) -> None:
    rows = [a_row(number) for number in range(100)]
    data = {"a.jsonl": jsonl(rows), "a.jsonl.gz": gzip.compress(jsonl(rows)), "a.parquet": parquet(rows)}[path]
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1
        if beats == 2:
            raise LostLease

    with pytest.raises(LostLease):
        freeze([source(data, path)], Policy(), heartbeat=beat)


@pytest.mark.parametrize("path", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
@pytest.mark.parametrize("error", [OSError("network"), EOFError("network"), ValueError("network")])
def test_failing_storage_is_not_taken_for_a_damaged_file(path: str, error: Exception) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise error

    with pytest.raises(type(error), match="network"):
        freeze([Source(path=path, open=lambda: Failing(b"x" * 100), size=100)], Policy())


def test_file_is_closed_whatever_happens() -> None:
    files = [io.BytesIO(data) for data in (b"{}", b"\x89PNG", jsonl([a_row(number) for number in range(30)]))]
    for file in files:
        freeze([Source(path="a.jsonl", open=lambda file=file: file, size=9)], Policy())  # type: ignore[misc]
        assert file.closed


def test_same_input_gives_the_same_report() -> None:
    data = jsonl([a_row(number % 40) for number in range(100)]) + b"{}\n"
    ticks = iter(range(100))
    one, two = (freeze([source(data)], Policy(), clock=lambda: float(next(ticks))).report for _ in range(2))
    assert one == two
    assert type(one).model_validate_json(one.model_dump_json()) == one
    assert one.rows == one.good_rows + one.bad_rows + one.duplicate_rows


def test_blocks_come_out_in_hash_order_in_bounded_pieces() -> None:
    target = Blocks()
    writer = BlockWriter("train", target, buffer=64_000, buckets=8)
    places = [random.Random(number).random() for number in range(4000)]
    largest = 0
    for place in places:
        writer.add(place, f"{place:.17f}\n".encode())
    blocks = writer.finish()
    target.commit("train", blocks)
    largest = max(map(len, target.blocks.values()))
    written = [float(line) for line in target.rows("train")]
    assert sorted(written) == sorted(float(f"{place:.17f}") for place in places)
    assert [int(place * 8) for place in written] == sorted(int(place * 8) for place in places)
    assert len({len(block) for block in blocks}) == 1
    assert largest < 64_000
    assert len(blocks) < 200


class Endless:
    """A large JSONL file that exists only while it is read."""

    def __init__(self, rows: int) -> None:
        self._rows = iter(range(rows))
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        while len(self._rest) < size and (number := next(self._rows, None)) is not None:
            self._rest += jsonl([a_row(number, filler="x" * 60_000)])
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise AssertionError("a JSONL file is read once, from its start to its end")

    def tell(self) -> int:
        raise AssertionError("never asked")

    def close(self) -> None:
        pass


def peak_of(rows: int) -> int:
    big = Source(path="big.jsonl", open=lambda: Endless(rows), size=rows * 60_000)
    tracemalloc.start()
    try:
        assert freeze([big], Policy()).report.good_rows == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file() -> None:
    peak_of(20)
    small, large = peak_of(200), peak_of(1600)  # 12 MB and 96 MB
    assert large < 12_000_000
    assert large < small * 1.3


# What may never happen


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["a.jsonl", "a.jsonl.gz", "a.parquet", "a.txt"]))
def test_random_bytes_never_raise(data: bytes, path: str) -> None:
    assert freeze([source(data, path)], Policy()).report.verdict == "rejected"


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(["a.jsonl", "a.jsonl.gz", "a.parquet"]))
def test_damaged_files_never_raise(data: st.DataObject, path: str) -> None:
    rows = [a_row(number) for number in range(15)]
    whole = {"a.jsonl": jsonl(rows), "a.jsonl.gz": gzip.compress(jsonl(rows)), "a.parquet": parquet(rows)}[path]
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    report = freeze([source(bytes(damaged), path)], Policy()).report
    assert report.rows == report.good_rows + report.bad_rows + report.duplicate_rows


def test_no_byte_of_a_damaged_footer_ends_the_process() -> None:
    """Arrow ends the process for some contradictions, so this looks at a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.shared.validation.test_freezing import damage_footer; damage_footer()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "contradict the schema" in done.stdout


def damage_footer() -> None:
    """Validate a file once for each byte of its footer, with that byte changed; print what was found."""
    whole = parquet([a_row(number) for number in range(15)])
    for at in range(len(whole) - int.from_bytes(whole[-8:-4], "little") - 8, len(whole) - 8):
        for change in (1, 16, 0xFF):
            damaged = whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
            report = freeze([source(damaged, "a.parquet")], Policy()).report
            print(report.verdict, *(place.found for finding in report.findings for place in finding.places))


def test_parquet_whose_row_groups_and_schema_disagree_is_unreadable() -> None:
    damaged = parquet([a_row(number) for number in range(15)])
    at = damaged.rindex(b"role")  # in the footer, where the row group names its columns
    report = freeze([source(damaged[:at] + b"rule" + damaged[at + 4 :], "a.parquet")], Policy()).report
    assert [(finding.rule, finding.count) for finding in report.findings][:1] == [("file-unreadable", 1)]
    assert "rule" in (report.findings[0].places[0].found or "")


def test_import_loads_no_heavy_module() -> None:
    code = "import sys, shared.validation, cli.prepare; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"pyarrow", "pandas", "numpy", "datasets", "azure"}
