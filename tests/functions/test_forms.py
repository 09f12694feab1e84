"""The forms of the page: fields whole, files in pieces, nothing without a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from functions import forms, web
from functions.forms import BadForm, FilePiece, FormField

PLAIN = {"content-type": "application/x-www-form-urlencoded"}
MANY = {"content-type": "multipart/form-data; boundary=xx"}
BODY = (
    b'--xx\r\nContent-Disposition: form-data; name="dataset"\r\n\r\nsupport-bot\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a \xc3\xbc%22.jsonl"\r\n'
    b"Content-Type: text/plain\r\n\r\nline 1\r\n--x no end\r\n\r\n--xx--\r\n"
)


def read(chunks: list[bytes], headers: dict[str, str], most: int = 10_000) -> list[Any]:
    """The items of a form whose body comes in these chunks."""
    left = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    left.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return left.pop(0)

    raw = [(name.encode(), text.encode()) for name, text in headers.items()]
    request = Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": raw}, receive)

    async def all_of_them() -> list[Any]:
        return [item async for item in forms.items(request, most)]

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_form_with_a_file_is_the_same_however_it_is_cut(size: int) -> None:
    found = read([BODY[at : at + size] for at in range(0, len(BODY), size)], MANY)
    assert found[0] == FormField("dataset", "support-bot")
    pieces = [item for item in found[1:] if isinstance(item, FilePiece)]
    assert len(pieces) == len(found) - 1
    assert b"".join(piece.data for piece in pieces) == b"line 1\r\n--x no end\r\n"
    assert {piece.filename for piece in pieces} == {"a ü%22.jsonl"}
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_a_plain_form_has_its_fields(request_of: Callable[..., Request]) -> None:
    found = asyncio.run(forms.fields(request_of(b"by=ada&what=%C3%BC+%3Cb%3E&empty=", headers=PLAIN)))
    assert found == {"by": "ada", "what": "ü <b>", "empty": ""}


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"a=1", {"content-type": "application/json"}, "a form comes as"),
        (b"a=%ff", PLAIN, "cannot be read"),
        (b"&".join([b"a=1"] * 60), PLAIN, "cannot be read"),
        (BODY, {"content-type": "multipart/form-data"}, "boundary"),
        (BODY[:-8], MANY, "ends early"),
        (b"--yy\r\n\r\n", MANY, "cannot be read"),
        (b"--xx\r\n" + b"a" * 5000, MANY, "cannot be read"),
        (b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 200_000, MANY, "more than 100000 bytes"),
        (b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 60 + b"--xx--", MANY, "more than 50"),
    ],
)
def test_what_no_browser_sends_is_refused_and_says_why(body: bytes, headers: dict[str, str], said: str) -> None:
    with pytest.raises(BadForm, match=said):
        read([body], headers, 1_000_000)


@pytest.mark.parametrize("headers", [MANY, {**MANY, "content-length": "99999"}])
def test_a_form_is_read_no_further_than_its_bound(headers: dict[str, str]) -> None:
    with pytest.raises(web.BodyTooLarge):
        read([BODY, BODY], headers, len(BODY) - 1)


def test_a_file_where_none_belongs_is_refused(request_of: Callable[..., Request]) -> None:
    with pytest.raises(BadForm, match="no file"):
        asyncio.run(forms.fields(request_of(BODY, headers=MANY)))
