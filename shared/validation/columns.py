"""Rows of parquet that are all plainly good, found out over Arrow's columns: no text of them becomes a Python object.

Called by `parquet` for some hundred rows at a time; loads pyarrow when called. It says nothing about rows of which one
stands out: those are looked at once more as Python values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, overload

import xxhash

from shared.validation import texts
from shared.validation.dialogues import Dialogue
from shared.validation.meaning import TAIL
from shared.validation.policy import Policy
from shared.validation.rows import RowBatch
from shared.validation.turns import INVISIBLE, TurnChecker

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]
    from numpy.typing import NDArray

_MOST_BYTES = 64 * 2**20  # of a piece that is looked at as a whole


def plain_rows(
    batch: pyarrow.RecordBatch, number: int, extras: Sequence[str], turns: TurnChecker, policy: Policy
) -> RowBatch | None:
    """The rows, if all are plainly good; None says nothing."""
    import pyarrow as pa

    try:
        dialogues = _dialogues_of(batch.column("messages"), turns)
        if dialogues is None or max(dialogues.sizes()) > policy.max_line_bytes:
            return None
        prompts, prompt_ids = (_column_of(batch, name) for name in ("prompt", "prompt_id"))
    except (UnicodeDecodeError, pa.ArrowInvalid):  # which row it is, is for the closer look
        return None
    columns = [(*batch.schema.names, *extras)] * batch.num_rows
    return RowBatch(number, [None] * batch.num_rows, dialogues, columns, prompts, prompt_ids)


def _dialogues_of(messages: pyarrow.Array, turns: TurnChecker) -> DialogueColumns | None:
    import numpy
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    spoken = messages.flatten()
    if messages.null_count or spoken.null_count or not len(spoken) or messages.nbytes > _MOST_BYTES:
        return None
    fields = dict(zip(spoken.type.names, spoken.flatten(), strict=True))
    roles, contents = fields.pop("role"), _strings(fields.pop("content"))
    if (
        contents is None
        or contents.null_count
        or roles.null_count
        or any(field.null_count < len(field) for field in fields.values())
    ):
        return None
    bounds = numpy.zeros(len(messages) + 1, numpy.int32)
    numpy.cumsum(pc.list_value_length(messages).to_numpy(), out=bounds[1:])
    patterns = _patterns(roles, bounds)
    known = {pattern: turns.seed_of(pattern) for pattern in set(patterns)}
    if None in known.values() or not _say_something(contents):
        return None
    return DialogueColumns(patterns, [known[pattern] for pattern in patterns], contents, bounds)  # type: ignore


def _strings(array: pyarrow.Array) -> pyarrow.StringArray | None:
    """Texts as Arrow's plain strings, and valid UTF-8; None where texts are shared. Raises ArrowInvalid."""
    import pyarrow as pa

    if array.type != pa.string():
        if not texts.is_text(array.type) or pa.types.is_dictionary(array.type):
            return None
        array = array.cast(pa.string())
    array.validate(full=True)
    return array


def _patterns(roles: pyarrow.Array, bounds: NDArray[Any]) -> list[tuple[str | None, ...]]:
    """Who speaks in each dialogue. Equal ones are one object."""
    import numpy
    import pyarrow.types as types  # type: ignore[import-untyped]

    coded = roles if types.is_dictionary(roles.type) else roles.dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(numpy.int32)
    whole, width = codes.tobytes(), codes.itemsize
    keys = [whole[start:end] for start, end in pairwise((bounds * width).tolist())]

    @cache
    def word(code: int) -> str | None:
        return texts.text_of(coded.dictionary[code].as_py())  # type: ignore[no-any-return]

    patterns = {key: tuple(map(word, numpy.frombuffer(key, numpy.int32).tolist())) for key in set(keys)}
    return [patterns[key] for key in keys]


def _say_something(contents: pyarrow.StringArray) -> bool:
    """Whether no text is empty, blank or invisible, or has a NUL."""
    import numpy

    data, ends = _memory(contents)
    starts, ends = ends[:-1], ends[1:]
    if (starts == ends).any() or not data[starts[0] : ends[-1]].min():
        return False
    odd = numpy.flatnonzero(~_begins_visibly()[data[starts]])
    odd = odd[(data[ends[odd] - 1] >= 0x80) | ~_begins_visibly()[data[ends[odd] - 1]]]
    return all(contents[at].as_py().strip(INVISIBLE) for at in odd.tolist())


@cache
def _begins_visibly() -> NDArray[Any]:
    """Of each byte, whether it begins a character, and none of those that nobody can see."""
    import numpy

    visible = numpy.ones(256, bool)
    visible[0x80:0xC0] = False
    visible[[character.encode()[0] for character in INVISIBLE]] = False
    return visible


def _memory(strings: pyarrow.StringArray) -> tuple[NDArray[Any], NDArray[Any]]:
    """The bytes that texts are in, and where each starts and the last one ends. There is one that is not empty."""
    import numpy

    _, offsets, data = strings.buffers()
    bounds = numpy.frombuffer(offsets, numpy.int32)[strings.offset : strings.offset + len(strings) + 1]
    return numpy.frombuffer(data or b"\0", numpy.uint8), bounds


def _column_of(batch: pyarrow.RecordBatch, name: str) -> Sequence[Any]:
    """What a column besides the messages has for each row. Raises UnicodeDecodeError or ArrowInvalid."""
    if name not in batch.schema.names:
        return [None] * batch.num_rows
    strings = _strings(batch.column(name))
    return texts.as_python(batch.column(name)) if strings is None else TextColumn(strings)


@dataclass(frozen=True, slots=True, eq=False)
class TextColumn(Sequence[Any]):
    """Texts that become Python objects when somebody asks for them."""

    strings: pyarrow.StringArray

    def __len__(self) -> int:
        return len(self.strings)

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.strings.to_pylist())

    @overload
    def __getitem__(self, at: int) -> str | None: ...
    @overload
    def __getitem__(self, at: slice) -> TextColumn: ...
    def __getitem__(self, at: int | slice) -> Any:
        return TextColumn(self.strings[at]) if isinstance(at, slice) else self.strings[at].as_py()


@dataclass(frozen=True, eq=False)
class DialogueColumns:
    """Dialogues whose texts stay in Arrow's memory until somebody asks for them."""

    roles: list[tuple[str, ...]]
    seeds: list[int]
    contents: pyarrow.StringArray
    """Of all turns."""
    bounds: NDArray[Any]
    """Which of them are whose."""

    @cached_property
    def _joined(self) -> pyarrow.StringArray:
        """The text of each: its contents with NUL between."""
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.binary_join(pa.ListArray.from_arrays(self.bounds, self.contents), "\0")

    @cached_property
    def _decoded(self) -> list[Dialogue]:
        contents = self.contents.to_pylist()
        parted = [contents[start:end] for start, end in pairwise(self.bounds.tolist())]
        return list(map(Dialogue, self.roles, parted, map("\0".join, parted), self.seeds))

    @cached_property
    def whole(self) -> bytes:
        """All texts in UTF-8, end to end."""
        data, ends = _memory(self._joined)
        return data[ends[0] : ends[-1]].tobytes()

    def head(self, count: int) -> DialogueColumns:
        """The first ones."""
        bounds = self.bounds[: count + 1]
        return DialogueColumns(self.roles[:count], self.seeds[:count], self.contents[: int(bounds[-1])], bounds)

    def each(self) -> Iterator[Dialogue]:
        """One by one."""
        return iter(self._decoded)

    def digests(self) -> list[bytes]:
        """The hash of each."""
        data, ends = _memory(self._joined)
        memory = memoryview(data)
        spans = pairwise(ends.tolist())
        return [
            xxhash.xxh3_128_digest(memory[start:end], seed)
            for (start, end), seed in zip(spans, self.seeds, strict=True)
        ]

    def sizes(self) -> list[int]:
        """The bytes of each text."""
        ends = _memory(self._joined)[1]
        sizes: list[int] = (ends[1:] - ends[:-1]).tolist()
        return sizes

    def characters(self) -> list[int]:
        """The characters of each one's contents."""
        import numpy

        data, ends = _memory(self._joined)
        counts: list[int] = (ends[1:] - ends[:-1] + 1 - numpy.diff(self.bounds)).tolist()
        # Most texts are ASCII: one pass shows which are not.
        for at in numpy.flatnonzero(numpy.minimum.reduceat(data.view(numpy.int8), ends[:-1]) < 0).tolist():
            text = data[ends[at] : ends[at + 1]].tobytes()
            counts[at] -= len(text) - len(text.decode())
        return counts

    def answers(self) -> Iterator[str]:
        """The last content of each."""
        return (self.contents[end - 1].as_py() for end in self.bounds[1:].tolist())

    def standing_out(self, prompts: Sequence[Any], times: int) -> Iterator[tuple[int, Dialogue]]:
        """Those, with their places, whose prompt may differ or whose answer may repeat its end so often."""
        places = {*self._with_other_prompts(prompts), *self._with_repeated_ends(times)}
        if len(places) > len(self.roles) // 4:
            yield from ((at, self._decoded[at]) for at in sorted(places))
            return
        for at in sorted(places):
            contents = self.contents[int(self.bounds[at]) : int(self.bounds[at + 1])].to_pylist()
            yield at, Dialogue(self.roles[at], contents, "\0".join(contents), self.seeds[at])

    def _with_other_prompts(self, prompts: Sequence[Any]) -> list[int]:
        import numpy
        import pyarrow.compute as pc

        if not isinstance(prompts, TextColumn):
            return [at for at, prompt in enumerate(prompts) if isinstance(prompt, str)]
        questions = [
            start + roles.index("user") for start, roles in zip(self.bounds.tolist(), self.roles, strict=False)
        ]
        same = pc.equal(prompts.strings, self.contents.take(numpy.array(questions, numpy.int32)))
        places: list[int] = numpy.flatnonzero(~same.fill_null(fill_value=True).to_numpy(zero_copy_only=False)).tolist()
        return places

    def _with_repeated_ends(self, times: int) -> Iterator[int]:
        """The last bytes of an answer that ends in a loop come earlier in it, too. What ends in a blank may be one."""
        data, ends = _memory(self.contents)
        memory, last = memoryview(data), self.bounds[1:] - 1
        for at, (start, end) in enumerate(zip(ends[last].tolist(), ends[last + 1].tolist(), strict=True)):
            if end - start < times * TAIL:
                continue
            answer = bytes(memory[start:end])
            if not 0x20 < answer[-1] < 0x7F or answer.rfind(answer[-TAIL:], 0, len(answer) - 1) >= 0:
                yield at
