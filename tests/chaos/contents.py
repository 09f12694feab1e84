"""What is dropped in a history: a few small files, good and bad, some with rows in common."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.fakes import dialogues


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, and its rows that are fit to train on."""

    name: str
    data: bytes
    ending: str = ".jsonl"

    @property
    def good(self) -> frozenset[str]:
        """The good rows, in one spelling."""
        return rows_of(gzip.decompress(self.data) if self.ending.endswith("gz") else self.data)


@cache
def rows_of(data: bytes) -> frozenset[str]:
    """The rows of a JSONL file that have messages of the roles chat models know, in one spelling."""
    found = set()
    for line in data.splitlines():
        try:
            turns = json.loads(line)["messages"]
        except (ValueError, KeyError):
            continue
        if all(turn["role"] in ("user", "assistant") for turn in turns):
            found.add(json.dumps(turns, sort_keys=True))
    return frozenset(found)


_BAD_ROW = b'{"messages": [{"role": "bot", "content": "x"}]}\n'
CONTENTS = (
    Content("a", dialogues(20, "a")),
    Content("b", dialogues(20, "b")),
    Content("a and more", dialogues(30, "a")),
    Content("a, zipped", gzip.compress(dialogues(20, "a"), mtime=0), ".jsonl.gz"),
    Content("b with a bad row", dialogues(20, "b") + _BAD_ROW),
    Content("c with a bad row", dialogues(25, "c") + _BAD_ROW),
    Content("too few", dialogues(4, "d")),
    Content("nothing", b""),
    Content("no JSON", b"PAR1 or what\n" * 3),
)
# Held out by the person: a test file that goes with any of the others.
TEST_ROWS = Content("test", dialogues(6, "held"))
OPTIONS: tuple[dict[str, Any], ...] = (
    {"hyperparameters": {"num_train_epochs": 2}},
    {"note": "with a note"},
    {"hyperparametres": {}},
)
