"""Good dialogues, one by one and many at a time, whatever the format of their file.

Made by `turns` of Python values, and by `columns` of those of Arrow; whoever reads a chunk measures, hashes and
stages them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import xxhash

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Dialogue(NamedTuple):
    """A good row: who speaks, and what.

    `text` is all contents with NUL between them, which no content has. It is hashed with `seed`, which is made of the
    roles: so hashes are equal for equal dialogues only, whatever file they come from.
    """

    roles: tuple[str, ...]
    contents: list[str]
    text: str
    seed: int
    fields: tuple[str, ...] = ()
    """Names in its turns, where there are others than role and content."""

    def alone(self) -> DialogueBatch:
        """This one, as column of one."""
        return DialogueBatch([self.roles], [self.contents], [self.text], [self.seed], [self.text.encode()])


class Dialogues(Protocol):
    """Good dialogues that follow each other."""

    @property
    def whole(self) -> bytes:
        """All texts in UTF-8, maybe with others: what is not to be found here is in none of them."""
        ...

    def head(self, count: int) -> Dialogues:
        """The first ones."""
        ...

    def each(self) -> Iterator[Dialogue]:
        """One by one."""
        ...

    def digests(self) -> list[bytes]:
        """The hash of each."""
        ...

    def patterns(self) -> Counter[tuple[str, ...]]:
        """How many have which sequence of roles."""
        ...

    def lengths(self) -> NDArray[Any]:
        """The turns of each."""
        ...

    def sizes(self) -> NDArray[Any]:
        """The bytes of each text."""
        ...

    def characters(self) -> NDArray[Any]:
        """The characters of each one's contents."""
        ...

    def answers(self) -> Iterator[str]:
        """The last content of each."""
        ...

    def standing_out(self, prompts: Sequence[Any], times: int, places: NDArray[Any]) -> Iterator[tuple[int, Dialogue]]:
        """Those whose prompt may differ, whose answer may repeat its end so often, or at such places of `whole`.

        Each comes with its number, from 0 on.
        """
        ...


class DialogueBatch(NamedTuple):
    """Dialogues as Python objects, by column."""

    roles: list[tuple[str, ...]]
    contents: list[list[str]]
    texts: list[str]
    seeds: list[int]
    data: list[bytes]
    """The texts in UTF-8."""
    lines: bytes | None = None
    """The lines that they come from, where these tell as much as the texts."""

    @property
    def whole(self) -> bytes:
        """All texts in UTF-8, with NUL between; or their lines."""
        return b"\0".join(self.data) if self.lines is None else self.lines

    def head(self, count: int) -> DialogueBatch:
        """The first ones."""
        roles, contents, texts = self.roles[:count], self.contents[:count], self.texts[:count]
        return DialogueBatch(roles, contents, texts, self.seeds[:count], self.data[:count], self.lines)

    def each(self) -> Iterator[Dialogue]:
        """One by one."""
        return map(Dialogue, self.roles, self.contents, self.texts, self.seeds)

    def digests(self) -> list[bytes]:
        """The hash of each."""
        return list(map(xxhash.xxh3_128_digest, self.data, self.seeds))

    def patterns(self) -> Counter[tuple[str, ...]]:
        """How many have which sequence of roles."""
        return Counter(self.roles)

    def lengths(self) -> NDArray[Any]:
        """The turns of each."""
        return _lengths_of(self.roles)

    def sizes(self) -> NDArray[Any]:
        """The bytes of each text."""
        return _lengths_of(self.data)

    def characters(self) -> NDArray[Any]:
        """The characters of each one's contents."""
        counts: NDArray[Any] = _lengths_of(self.texts) + 1 - self.lengths()
        return counts

    def answers(self) -> Iterator[str]:
        """The last content of each."""
        return (contents[-1] for contents in self.contents)

    def standing_out(self, prompts: Sequence[Any], times: int, places: NDArray[Any]) -> Iterator[tuple[int, Dialogue]]:
        """All of them: a closer look costs no more than one that tells which."""
        return enumerate(self.each())


def _lengths_of(values: Sequence[Sequence[Any]]) -> NDArray[Any]:
    import numpy

    return numpy.array(list(map(len, values)), numpy.int64)
