"""Where an answer ends: at the stop that is complete first, whatever pieces it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.serving.stops import StopFilter


def cut(pieces: list[str], stops: list[str]) -> list[str]:
    """What is passed on, piece by piece."""
    answer = StopFilter(stops)
    return [*map(answer.feed, pieces), answer.rest()]


@pytest.mark.parametrize(
    ("text", "stops", "kept"),
    [
        (" because \n", [], "because"),
        ("one, two", [","], "one"),
        ("one. two, three", [",", "."], "one"),
        ("xabcx", ["abc", "b"], "xa"),
        ("xabcx", ["bc", "abc"], "x"),
        ("\n\nanswer\nmore", ["\n"], "answer"),
        ("stop", ["stop"], ""),
        ("sto", ["stop"], "sto"),
        ("", ["stop"], ""),
        ("a  b", ["c"], "a  b"),
        ("a <|end|", ["<|end|>"], "a <|end|"),
    ],
)
def test_an_answer_ends_before_the_first_stop(text: str, stops: list[str], kept: str) -> None:
    assert "".join(cut([text], stops)) == kept


@given(
    st.lists(st.text("ab \n", max_size=4), max_size=12),
    st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=3),
)
def test_pieces_add_up_to_what_the_whole_text_gives(pieces: list[str], stops: list[str]) -> None:
    assert "".join(cut(pieces, stops)) == "".join(cut(["".join(pieces)], stops))


@given(st.text("ab ", max_size=30), st.lists(st.text("ab", min_size=1, max_size=3), max_size=3))
def test_no_stop_is_ever_passed_on(text: str, stops: list[str]) -> None:
    kept = "".join(cut(list(text), stops))
    assert not any(stop in kept for stop in stops)
    assert text.lstrip().startswith(kept)


def test_no_more_is_held_back_than_may_be_part_of_a_stop() -> None:
    assert cut(["one t", "wo ", "three s", "even"], ["ten"]) == ["one", " two", " three s", "even", ""]


def test_nothing_is_passed_on_after_a_stop() -> None:
    answer = StopFilter(["."])
    assert (answer.feed("one. "), answer.done) == ("one", True)
    assert (answer.feed("two"), answer.rest()) == ("", "")
