"""How the forms of the page are read: small fields whole, files piece by piece, all of it in bounded memory.

Called by the page's functions. A form is read once, in the order in which the browser sends its fields.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from functions import web

if TYPE_CHECKING:
    from functions.web import Request

# A field that is no file: the longest is a question to a model.
LONGEST_FIELD = 100_000
_MOST_FIELDS = 50


class BadForm(Exception):
    """The body is no form that a browser would send; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class FormField:
    """A field with its whole text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class FilePiece:
    """Some bytes of a file, in their order; the `last` piece may have none. `filename` is what the browser says."""

    filename: str
    data: bytes
    last: bool = False


type FormItem = FormField | FilePiece


async def fields(req: Request) -> dict[str, str]:
    """All fields of a form without files; of several of one name the last. Raises BadForm, BodyTooLarge."""
    found: dict[str, str] = {}
    async for item in items(req, LONGEST_FIELD):
        if isinstance(item, FilePiece):
            raise BadForm("this form takes no file")
        found[item.name] = item.text
    return found


async def items(req: Request, most: int) -> AsyncGenerator[FormItem]:
    """The fields of a form, and its files in pieces, as they arrive; of so many bytes in all at most.

    Raises BadForm for what is no form or ends early, BodyTooLarge as soon as that is known.
    """
    kind = req.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        for name, text in _pairs(await _body(req), kind):
            yield FormField(name, text)
        return
    reader = _MultipartReader(kind)
    async for chunk in web.chunks(req, most):
        for item in reader.feed(chunk):
            yield item
    if not reader.ended:
        raise BadForm("the form ends early")


async def _body(req: Request) -> bytes:
    from shared.serving.protocol import ApiError

    try:
        return await web.body(req, LONGEST_FIELD)
    except ApiError as error:  # compressed in a way that is not taken; no browser does that
        raise BadForm(str(error)) from error


def _pairs(body: bytes, kind: str) -> list[tuple[str, str]]:
    if body and kind.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise BadForm("a form comes as application/x-www-form-urlencoded or multipart/form-data")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:  # no UTF-8, or too many fields
        raise BadForm("the form cannot be read") from error


@dataclass
class _Part:
    """The part of a multipart body that is being read."""

    headers: dict[str, bytes] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    text: bytearray = field(default_factory=bytearray)


class _MultipartReader:
    """What a multipart body says, piece by piece. The parser bounds the headers of a field."""

    def __init__(self, content_type: str) -> None:
        from python_multipart.multipart import MultipartParser, parse_options_header

        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not 1 <= len(boundary) <= 200:
            raise BadForm("the form's Content-Type names no boundary")
        names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end",
                 "headers_finished", "end")  # fmt: skip
        callbacks: Any = {f"on_{name}": getattr(self, f"_{name}") for name in names}
        self._parser = MultipartParser(boundary, callbacks)
        self._part, self._items, self._count = _Part(), [], 0  # type: tuple[_Part, list[FormItem], int]
        self._header, self._value = bytearray(), bytearray()
        self.ended = False

    def feed(self, data: bytes) -> list[FormItem]:
        """What so many more bytes of the body complete. Raises BadForm."""
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadForm("the form cannot be read") from error
        found, self._items = self._items, []
        return found

    def _part_begin(self) -> None:
        self._part, self._count = _Part(), self._count + 1
        if self._count > _MOST_FIELDS:
            raise BadForm(f"the form has more than {_MOST_FIELDS} fields")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._part.headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        from python_multipart.multipart import parse_options_header

        options = parse_options_header(self._part.headers.get("content-disposition", b""))[1]
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            self._part.filename = options[b"filename"].decode("utf-8", "replace")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.filename is not None:
            self._items.append(FilePiece(part.filename, data[start:end]))
            return
        part.text += data[start:end]
        if len(part.text) > LONGEST_FIELD:
            raise BadForm(f"a field has more than {LONGEST_FIELD} bytes")

    def _part_end(self) -> None:
        part = self._part
        if part.filename is not None:
            self._items.append(FilePiece(part.filename, b"", last=True))
            return
        self._items.append(FormField(part.name, part.text.decode("utf-8", "replace")))

    def _end(self) -> None:
        self.ended = True
