"""Looking through many bytes at once: the same as the obvious way of each question."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from shared.validation import meaning, scan

SIGNS = [
    *((sign, rare) for rare, sign in meaning._MARKER_SIGNS),
    *((secret.sign, secret.rare) for secret in meaning._SECRETS),
]
PIECES = [b"-----BEGIN", b"sk-", b"gho_", b"gh_", b"xoxb-", b"xox-", b"|", b"<|", b"[/INST]", b"\n", b"\\u0022", b"\\"]
some_bytes = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=12).map(b"".join)


@given(some_bytes)
def test_signs_are_found_where_a_search_finds_them(data: bytes) -> None:
    signs = scan.ByteSearch(data)
    for sign, rare in SIGNS:
        pattern = re.escape(sign).replace(rb"\?", b".")
        assert signs.holds(sign, rare) == (re.search(pattern, data, re.DOTALL) is not None), sign


@given(some_bytes, st.integers(0, 255))
def test_bytes_are_counted_and_lines_found(data: bytes, code: int) -> None:
    assert scan.count(data, code) == data.count(code)
    starts = scan.line_offsets(data)
    assert [data[start:end] for start, end in zip(starts, [*(at - 1 for at in starts[1:]), None], strict=True)] == (
        data.split(b"\n")
    )


@given(some_bytes)
def test_control_characters_are_those_of_the_rule(data: bytes) -> None:
    text = data.decode("latin-1")
    assert scan.holds_control_character(data) == (meaning._CONTROL.search(text) is not None)


@given(st.text(alphabet='a"\\u02', max_size=12))
def test_a_quote_escaped_by_its_number_is_never_missed(text: str) -> None:
    data = text.encode() + b" "
    escaped = re.search(rb"(?<!\\)(?:\\\\)*\\u0022", data)
    assert not escaped or scan.holds_numbered_quote(data)


def test_each_marker_of_a_template_and_each_secret_has_a_sign() -> None:
    for marker in meaning.MARKERS:
        assert any(sign in marker.encode() for _, sign in meaning._MARKER_SIGNS), marker
    assert all(ord(secret.rare) in secret.sign for secret in meaning._SECRETS)
