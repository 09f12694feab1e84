"""Rows of parquet that are all plainly good, found out over Arrow's columns: no text of them becomes a Python object.

Called by `parquet` for some hundred rows at a time; loads pyarrow when called. It says nothing about rows of which one
stands out: those are looked at once more as Python values.
"""

from __future__ import annotations

from collections import Counter
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
        if dialogues is None or dialogues.sizes().max() > policy.max_line_bytes:
            return None
        prompts, prompt_ids = (_column_of(batch, name) for name in ("prompt", "prompt_id"))
    except (UnicodeDecodeError, pa.ArrowInvalid):  # which row it is, is for the closer look
        return None
    columns = [(*batch.schema.names, *extras)] * batch.num_rows
    return RowBatch(number, [None] * batch.num_rows, dialogues, columns, prompts, prompt_ids)


def _dialogues_of(messages: pyarrow.Array, turns: TurnChecker) -> DialogueColumns | None:
    spoken = messages.flatten()
    if messages.null_count or spoken.null_count or not len(spoken):
        return None
    fields = dict(zip(spoken.type.names, spoken.flatten(), strict=True))
    roles, contents = fields.pop("role"), fields.pop("content")
    if (
        contents.null_count
        or roles.null_count
        or any(field.null_count < len(field) for field in fields.values())
        or contents.nbytes > _MOST_BYTES
    ):
        return None
    strings = _strings(contents)
    if strings is None or not _say_something(strings):
        return None
    bounds = _bounds_of(messages)
    orders, order_of = _orders(roles, bounds)
    seeds = list(map(turns.seed_of, orders))
    return None if None in seeds else DialogueColumns(orders, seeds, order_of, strings, bounds)  # type: ignore[arg-type]


def _strings(array: pyarrow.Array) -> pyarrow.StringArray | None:
    """Texts as Arrow's plain strings, and valid UTF-8; None where texts are shared. Raises ArrowInvalid."""
    import pyarrow as pa

    if array.type != pa.string():
        if not texts.is_text(array.type) or pa.types.is_dictionary(array.type):
            return None
        array = array.cast(pa.string())
    array.validate(full=True)
    return array


def _bounds_of(messages: pyarrow.Array) -> NDArray[Any]:
    """Where the turns of each dialogue start among those of all, and where the last ones end."""
    import numpy
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    bounds = numpy.zeros(len(messages) + 1, numpy.int32)
    numpy.cumsum(pc.list_value_length(messages).to_numpy(), out=bounds[1:])
    return bounds


def _orders(roles: pyarrow.Array, bounds: NDArray[Any]) -> tuple[list[tuple[str | None, ...]], NDArray[Any]]:
    """The different sequences of roles, and which of them each dialogue has."""
    import numpy
    import pyarrow as pa

    coded = roles if pa.types.is_dictionary(roles.type) else roles.dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(numpy.int32)
    memory = [None, pa.py_buffer(bounds * codes.itemsize), pa.py_buffer(codes)]
    sequences = pa.Array.from_buffers(pa.binary(), len(bounds) - 1, memory).dictionary_encode()

    @cache
    def word(code: int) -> str | None:
        return texts.text_of(coded.dictionary[code].as_py())  # type: ignore[no-any-return]

    orders = [tuple(map(word, memoryview(sequence).cast("i"))) for sequence in sequences.dictionary.to_pylist()]
    return orders, sequences.indices.to_numpy()


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

    orders: list[tuple[str, ...]]
    """The different sequences of roles."""
    order_seeds: list[int]
    """Of each of them, what its dialogues are hashed with."""
    order_of: NDArray[Any]
    """Which of them each dialogue has."""
    contents: pyarrow.StringArray
    """Of all turns."""
    bounds: NDArray[Any]
    """Which of them are whose."""

    @cached_property
    def roles(self) -> list[tuple[str, ...]]:
        """Who speaks in each."""
        return [self.orders[at] for at in self.order_of.tolist()]

    @cached_property
    def seeds(self) -> list[int]:
        """What each is hashed with."""
        return [self.order_seeds[at] for at in self.order_of.tolist()]

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
        contents = self.contents[: int(bounds[-1])]
        return DialogueColumns(self.orders, self.order_seeds, self.order_of[:count], contents, bounds)

    def each(self) -> Iterator[Dialogue]:
        """One by one."""
        return iter(self._decoded)

    def digests(self) -> list[bytes]:
        """The hash of each."""
        data, ends = _memory(self._joined)
        starts = ends.tolist()
        spans = map(memoryview(data).__getitem__, map(slice, starts, starts[1:]))
        return list(map(xxhash.xxh3_128_digest, spans, self.seeds))

    def patterns(self) -> Counter[tuple[str, ...]]:
        """How many have which sequence of roles."""
        import numpy

        rows = numpy.bincount(self.order_of, minlength=len(self.orders)).tolist()
        return Counter({order: count for order, count in zip(self.orders, rows, strict=True) if count})

    def lengths(self) -> NDArray[Any]:
        """The turns of each."""
        lengths: NDArray[Any] = self.bounds[1:] - self.bounds[:-1]
        return lengths

    def sizes(self) -> NDArray[Any]:
        """The bytes of each text."""
        ends = _memory(self._joined)[1]
        sizes: NDArray[Any] = ends[1:] - ends[:-1]
        return sizes

    def characters(self) -> NDArray[Any]:
        """The characters of each one's contents."""
        import numpy
        import pyarrow.compute as pc

        data, ends = _memory(self._joined)
        is_ascii = data[ends[0] : ends[-1]].view(numpy.int8).min() >= 0
        counts: NDArray[Any] = numpy.array(self.sizes() if is_ascii else pc.utf8_length(self._joined))
        counts += 1 - self.lengths()
        return counts

    def answers(self) -> Iterator[str]:
        """The last content of each."""
        return (self.contents[end - 1].as_py() for end in self.bounds[1:].tolist())

    def standing_out(self, prompts: Sequence[Any], times: int, places: NDArray[Any]) -> Iterator[tuple[int, Dialogue]]:
        """Those whose prompt may differ, whose answer may repeat its end so often, or at such places of `whole`.

        Each comes with its number, from 0 on.
        """
        numbers = {*self._with_other_prompts(prompts), *self._with_repeated_ends(times), *self._at(places)}
        if len(numbers) > len(self.roles) // 4:
            yield from ((at, self._decoded[at]) for at in sorted(numbers))
            return
        for at in sorted(numbers):
            contents = self.contents[int(self.bounds[at]) : int(self.bounds[at + 1])].to_pylist()
            yield at, Dialogue(self.roles[at], contents, "\0".join(contents), self.seeds[at])

    def _at(self, places: NDArray[Any]) -> list[int]:
        """Which have such places of `whole` in their text."""
        import numpy

        ends = _memory(self._joined)[1]
        numbers: list[int] = numpy.unique((ends - ends[0]).searchsorted(places, side="right") - 1).tolist()
        return numbers

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
