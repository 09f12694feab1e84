"""What is wrong with a snapshot before any file is opened: which files it has, and what their names say."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shared.chatdata.formats import inner_ending
from shared.chatdata.splits import WORDS, split_of
from shared.validation.sources import Source


class Shape(NamedTuple):
    """One thing that is wrong; `source` is None where it is about the snapshot as a whole."""

    rule: str
    source: Source | None
    found: str
    expected: str


def shape_of(sources: Sequence[Source]) -> Iterator[Shape]:
    """Everything that names and number of the files tell."""
    if not sources:
        yield Shape("no-files", None, "no file", "at least one")
    elif all(source.split in ("test", "validation") for source in sources):
        yield Shape("no-train-split", None, "only held-out files", "a file to train on")
    told = any(source.split for source in sources)
    for source in sources:
        if told and source.split is None:
            yield Shape("split-unknown", source, _name(source)[-40:], _likely(source))
        if ending := inner_ending(_name(source)):
            yield Shape("double-extension", source, f"{ending} inside {_name(source)[-40:]}", "one format in the name")


def _name(source: Source) -> str:
    return source.path.rsplit("/", 1)[-1]


def _likely(source: Source) -> str:
    word = _name(source).split(".", 1)[0].lower()
    near = difflib.get_close_matches(word, WORDS, n=1, cutoff=0.6)
    likely = f"{split_of(near[0])} (probably), " if near else ""
    return f"{likely}a name that starts with train, validation or test"
