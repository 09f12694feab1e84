"""What one answer is worth: flaws that make it unusable, and its likeness to the reference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.releases.gate import measures

PROSE = (
    "Upload the file to the container and wait a moment. Its rows are checked first, then a model is trained on them, "
    "and once the gate has let it pass it answers questions behind the endpoint of its dataset."
)
WORDS = " ".join(str(number) for number in range(10_000, 14_000))
LIST = "\n".join(f"- `POST /api/datasets/{name}/wake` wakes {name}" for name in ("one", "two", "three", "four", "five"))


@pytest.mark.parametrize(
    ("text", "reference", "most", "flaw"),
    [
        ("It is so.", "It is so.", 200, ""),
        ("", "It is so.", 200, "empty"),
        (" \n\t ", "It is so.", 200, "empty"),
        ("<|im_end|>", "It is so.", 200, "template marker"),
        ("It is so.</s>", "It is so.", 200, "template marker"),
        ("It is so.\n### Human: And", "It is so.", 200, "template marker"),
        ("Use `<|user|>` before it.", "Write `<|user|>` first.", 200, ""),
        ("a < b and c > d, <b>bold</b>", "It is so.", 200, ""),
        ("no, no, no", "Never.", 200, ""),
        ("I am sorry. " * 30, "It is so.", 200, "repetition"),
        ("ha" * 100, "ho" * 100, 200, ""),
        (PROSE, "It is so.", 200, ""),
        (LIST, "It is so.", 200, ""),
        (PROSE, "It is so.", 20, "cut off"),
        (PROSE, PROSE, 20, ""),
        ("word " * 3000, PROSE, 3000, "repetition"),
        (WORDS, PROSE, 3000, "cut off"),
        (WORDS, WORDS, 3000, ""),
    ],
)
def test_an_answer_nobody_can_use_is_told_by_its_flaw(text: str, reference: str, most: int, flaw: str) -> None:
    assert measures.flaw(text, reference, most) == flaw


@settings(deadline=None)
@given(st.text())
def test_what_the_reference_does_is_no_flaw(text: str) -> None:
    assert measures.flaw(text, text, 200) in ("", "empty")


@settings(deadline=None)
@given(st.text(min_size=1).filter(str.strip))
def test_likeness_to_itself_is_full_and_to_nothing_is_none(text: str) -> None:
    assert measures.likeness(text, text) == pytest.approx(100)
    assert measures.likeness("", text) == 0


def test_likeness_falls_with_what_is_different() -> None:
    reference = "Drop the file into the container `snapshots`."
    near, far = "Drop a file in the container `snapshots`.", "I cannot help with that."
    assert 100 > measures.likeness(near, reference) > 60 > 25 > measures.likeness(far, reference)


def test_of_texts_of_any_length_only_so_much_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    class Chrf:
        def sentence_score(self, text: str, references: list[str]) -> Any:
            measured.extend((len(text), len(references[0])))
            return SimpleNamespace(score=50.0)

    monkeypatch.setattr(measures, "_chrf", Chrf)
    long = "".join(str(number) for number in range(1_000_000))
    assert measures.likeness(long, long[::-1]) == 50
    assert measured == [measures.TEXT_LIMIT] * 2


@pytest.mark.parametrize("end", ["I am sorry. " * 2000, "I am sorry. " * 600_000], ids=["24 kB", "7 MB"])
def test_a_long_answer_that_ends_in_circles_is_found(end: str) -> None:
    assert measures.flaw(WORDS + end, PROSE, 2**31) == "repetition"
