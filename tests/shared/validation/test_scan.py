"""Looking through many bytes at once: the same as the obvious way of each question."""

from __future__ import annotations

import json
import unicodedata
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.validation import meaning, scan
from shared.validation.decoding import measure
from shared.validation.lines import LineRun

PIECES = [
    *(sign for sign, _ in meaning._SIGNS if len(sign) > 1),
    *(sign[:-1] for sign, _ in meaning._SIGNS if len(sign) > 1),
    *(b"|", b"[/INST]", b"\n", b"\\u0022", b"\\", b"\x01"),
]
some_bytes = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=12).map(b"".join)


@settings(deadline=None)  # numpy is loaded
@given(some_bytes, st.integers(1, 40))
def test_signs_are_found_where_a_search_finds_them(data: bytes, window: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scan, "_WINDOW", window)
        found = {(sign, at) for sign, places in meaning._SEARCH.places_in(data) for at in places.tolist()}
    assert found == {
        (sign, at) for sign, _ in meaning._SIGNS for at in range(len(data)) if data[at : at + len(sign)] == sign
    }


@given(some_bytes, st.integers(0, 255))
def test_bytes_are_counted_and_lines_found(data: bytes, code: int) -> None:
    assert scan.count(data, code) == data.count(code)
    starts = LineRun.of(1, 0, data).starts
    assert [data[start:end] for start, end in zip(starts, [*(at - 1 for at in starts[1:]), None], strict=True)] == (
        data.split(b"\n")
    )


def test_signs_are_told_apart_by_two_letters_and_stand_in_lines_as_in_texts() -> None:
    two = [sign[max(0, sign.rindex(rare) - 1) : sign.rindex(rare) + 1] for sign, rare in meaning._SIGNS]
    assert len(set(two)) == len(two)
    assert all(json.dumps(sign.decode())[1:-1].encode() == sign for sign, _ in meaning._SIGNS if len(sign) > 1)


@given(st.characters(max_codepoint=0x7F, exclude_characters="\0\t\n\f\r"))
def test_control_characters_are_those_of_the_rule(letter: str) -> None:
    found = {sign for sign, _ in meaning._SEARCH.places_in(letter.encode())}
    assert (letter.encode() in found) == (unicodedata.category(letter) == "Cc")
    assert (meaning._CONTROL.search(letter) is not None) == (unicodedata.category(letter) == "Cc")


strings = st.text(st.sampled_from('a"\\/\n\b\f<é\u007f\0'), max_size=6)
values = st.recursive(strings, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3))


@given(values, st.randoms(use_true_random=False))
def test_quotes_around_strings_are_told_from_those_inside(value: Any, random: Random) -> None:
    data = _written(value, random).encode()
    strings, _ = measure(value)
    assert json.loads(data) == value
    assert scan.JsonText(data).quotes == 2 * strings


@given(strings, st.randoms(use_true_random=False))
def test_ascii_that_is_escaped_is_never_missed(text: str, random: Random) -> None:
    written = _written(text, random)
    hidden = [letter for letter in text if letter.isascii() and letter not in '"\\/\n\f' and letter not in written]
    assert not hidden or not scan.JsonText(written.encode()).is_literal


def _written(value: Any, random: Random) -> str:
    """JSON in which some characters are escaped that need not be, by number too."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{_written(name, random)}:{_written(inner, random)}' for name, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(_written(inner, random) for inner in value)}]"
    ways = [(json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1], f"\\u{ord(one):04x}") for one in value]
    return f'"{"".join(map(random.choice, ways))}"'


def test_each_marker_of_a_template_has_a_sign() -> None:
    for marker in meaning.MARKERS:
        assert any(sign in marker.encode() for sign, _ in meaning._MARKER_SIGNS), marker
