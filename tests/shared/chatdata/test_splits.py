"""Splits: disjoint, repeatable, never giving back what was held out; small data topped up just enough."""

from __future__ import annotations

from collections import Counter

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.chatdata.splits import SPLITS, Cuts, Cutter, Shares, Split, place_of, places_of, split_of

PLACES = st.lists(st.integers(0, 2**53 - 1).map(lambda n: n / 2**53), unique=True, max_size=300)
STORED = st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)).map(lambda pair: Cuts(min(pair), max(pair)))
GIVEN = st.sets(st.sampled_from(["test", "validation"]))
NOTHING_YET, USUAL = Cuts(), Shares()


def cut(
    places: list[float],
    cuts: Cuts = NOTHING_YET,
    shares: Shares = USUAL,
    given_splits: set[str] | None = None,
) -> tuple[dict[Split, list[float]], Cuts]:
    """Send rows at these places through a cutter."""
    out: dict[Split, list[float]] = {split: [] for split in SPLITS}

    def emit(split: Split, place: float, data: bytes) -> None:
        assert data == repr(place).encode()
        out[split].append(place)

    cutter = Cutter(emit, cuts, shares, [split for split in SPLITS if split in (given_splits or set())])
    for place in places:
        cutter.add(place, repr(place).encode())
    return out, cutter.finish()


@given(PLACES, STORED, GIVEN)
def test_every_row_is_in_exactly_one_split_and_cuts_never_decrease(
    places: list[float], stored: Cuts, given_splits: set[str]
) -> None:
    out, cuts = cut(places, stored, given_splits=given_splits)
    assert sorted(place for split in out.values() for place in split) == sorted(places)
    assert cuts.test >= stored.test
    assert cuts.validation >= stored.validation
    for split in given_splits:
        assert out[split] == []  # type: ignore[index]


@given(PLACES, STORED, GIVEN, st.integers(1, 100))
def test_rows_that_are_counted_many_at_a_time_are_cut_as_one_by_one(
    places: list[float], stored: Cuts, given_splits: set[str], step: int
) -> None:
    counted: Counter[Split] = Counter()
    cutter = Cutter(lambda split, *_: counted.update([split]), stored, Shares(), [*given_splits])  # type: ignore[list-item]
    for at in range(0, len(places), step):
        counted += Counter(cutter.add_places(numpy.array(places[at : at + step])))
    out, cuts = cut(places, stored, given_splits=given_splits)
    assert cutter.finish() == cuts
    assert counted == Counter({split: len(rows) for split, rows in out.items() if rows})


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=9), st.integers(-1, 2**64))
def test_places_of_many_are_those_of_each(digests: list[bytes], seed: int) -> None:
    assert places_of(b"".join(digests), seed).tolist() == [place_of(digest, seed) for digest in digests]


@given(PLACES, STORED)
def test_cuts_alone_say_where_a_row_is(places: list[float], stored: Cuts) -> None:
    out, cuts = cut(places, stored)
    for split in SPLITS:
        assert all(cuts.split_of(place) == split for place in out[split])


@given(PLACES, st.sampled_from(["test", "validation"]))
def test_with_one_split_given_all_held_out_rows_go_to_the_other(places: list[float], present: str) -> None:
    out, cuts = cut(places, Cuts(0.1, 0.2), given_splits={present})
    other: Split = "validation" if present == "test" else "test"
    assert all(place < cuts.validation for place in out[other])
    assert all(place >= cuts.validation for place in out["train"])


@given(PLACES, STORED, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(places: list[float], stored: Cuts, random: object) -> None:
    shuffled = list(places)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, first_cuts = cut(places, stored)
    second, second_cuts = cut(shuffled, stored)
    assert first_cuts == second_cuts
    assert {split: sorted(rows) for split, rows in first.items()} == {
        split: sorted(rows) for split, rows in second.items()
    }


@settings(max_examples=60, deadline=None)
@given(PLACES, st.lists(st.sets(st.sampled_from(["test", "validation"]))), st.integers(1, 40))
def test_row_once_held_out_stays_held_out_while_the_dataset_grows(
    places: list[float], kinds: list[set[str]], step: int
) -> None:
    """Snapshots of growing size, cut by hash with or without a held-out file beside."""
    cuts = Cuts()
    held_out: set[float] = set()
    snapshots = [places[:end] for end in range(step, len(places) + step, step)]
    for number, rows in enumerate(snapshots):
        given_splits = kinds[number] if number < len(kinds) else set()
        if given_splits == {"test", "validation"}:  # then the person decides, and nothing is cut
            continue
        out, cuts = cut(rows, cuts, given_splits=given_splits)
        assert not held_out & set(out["train"])
        held_out |= set(out["test"]) | set(out["validation"])


@given(PLACES)
def test_small_data_is_topped_up_just_enough(places: list[float]) -> None:
    shares = Shares()
    out, _ = cut(places, shares=shares)
    wanted = shares.wanted(len(places))
    by_share = {"test": shares.test, "validation": shares.test + shares.validation}
    assert len(out["test"]) >= wanted
    assert len(out["validation"]) >= wanted or not out["train"]  # all rows below the shares, by chance
    if len(out["test"]) > wanted:
        assert max(out["test"]) < by_share["test"]
    if len(out["validation"]) > wanted:
        assert max(out["validation"]) < by_share["validation"]


def test_twenty_rows_keep_most_for_training() -> None:
    places = [number / 20 + 0.2 / 20 for number in range(20)]
    out, cuts = cut(places)
    assert {split: len(rows) for split, rows in out.items()} == {"train": 16, "validation": 2, "test": 2}
    assert cuts.split_of(places[3]) == "validation"
    assert cuts.split_of(places[4]) == "train"


def test_nothing_is_cut_when_both_splits_are_given() -> None:
    out, cuts = cut([0.01, 0.5], Cuts(0.1, 0.2), given_splits={"test", "validation"})
    assert (out["train"], cuts) == ([0.01, 0.5], Cuts(0.1, 0.2))


def test_place_depends_on_content_and_seed_only() -> None:
    one, other = b"a" * 16, b"b" * 16
    assert place_of(one, 1) == place_of(one, 1)
    assert len({place_of(one, 1), place_of(one, 2), place_of(other, 1), place_of(one, -1)}) == 4
    assert place_of(one, 7) == 0.7937810846906819  # stored cuts rely on this never changing


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.jsonl", "train"),
        ("train_sft.jsonl.gz", "train"),
        ("Train-00000-of-00003.parquet", "train"),
        ("a/b/test.parquet", "test"),
        ("test_sft-00000-of-00001.parquet", "test"),
        ("eval_1.jsonl", "test"),
        ("valid.jsonl", "validation"),
        ("dev.jsonl", "validation"),
        ("val-2.jsonl", "validation"),
        ("training_data_final.jsonl", "train"),
        ("train_gen.jsonl", "train"),
        ("train-00000-of-00001-a09b74b3ef9c3b56.jsonl", "train"),
        ("support_train.jsonl", "train"),
        ("support_validation.jsonl", "validation"),
        ("test_data.jsonl", "test"),
        ("testdata.jsonl", "test"),
        ("trainSet.jsonl", "train"),
        ("train (1).jsonl", "train"),
        ("held-out.jsonl", "test"),
        ("2026-11-01 eval.parquet", "test"),
        ("data.train.jsonl", "train"),
        ("v1.0-test.jsonl.gz", "test"),
        ("support.validation.00000-of-00001.gz.parquet", "validation"),
        ("trainv2.jsonl", "train"),
        ("held_out.jsonl", "test"),
        ("train_test.jsonl", None),
        ("train.test.jsonl", None),
        ("validation-of-train.jsonl", None),
        ("attest.jsonl", None),
        ("latest.jsonl", None),
        ("devices.jsonl", None),
        ("evaluate-contracts.jsonl", None),
        ("data.jsonl", None),
        (".jsonl", None),
    ],
)
def test_split_by_file_name(name: str, split: Split | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize("wrong", [(0.2, 0.1), (-0.1, 0.1), (0.1, 1.1)])
def test_impossible_cuts_are_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="cuts"):
        Cuts(*wrong)


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="train on"):
        Shares(0.5, 0.5)
