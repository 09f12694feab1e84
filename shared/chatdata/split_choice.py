"""Which splits of a dataset are read, and what each is, told by their names. Used by `droptune prepare` and by imports.

Where that is a choice nothing is guessed: the names to choose from are said.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from shared.chatdata.splits import WORDS, Split, split_of


class Undecided(ValueError):
    """What to read, or how, is a choice; the text says which there are, and what decides."""


def chosen_splits(where: str, names: Iterable[str], wanted: Sequence[str]) -> list[tuple[Split, str]]:
    """Which of the splits with these names are read, and what each is. Raises Undecided where that is a choice."""
    known = list(names)
    if missing := [name for name in wanted if name not in known]:
        near = difflib.get_close_matches(missing[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Undecided(f"{where} has no split {', '.join(missing)}; it has {', '.join(known)}{hint}")
    if len(wanted or known) == 1:
        (only,) = wanted or known
        return [(split_of(only) or "train", only)]
    by_split: dict[Split, list[str]] = {}
    for name in wanted or known:
        split = split_of(name)
        if split is not None:
            by_split.setdefault(split, []).append(name)
        elif wanted:
            raise Undecided(f"split {name} is neither for training nor for validation nor for test")
    if not by_split:
        raise Undecided(f"{where} has the splits {', '.join(known)}; choose the one to train on with --split")
    return [(split, plainest(split, found)) for split, found in by_split.items()]


def plainest(split: Split, names: Sequence[str]) -> str:
    """Which of the splits with these names is meant: `train_sft` rather than `train_gen` or `train_prefs`."""
    plain = [name for name in names if name.removesuffix("_sft") in WORDS] if len(names) > 1 else list(names)
    if len(plain) != 1:
        raise Undecided(f"{' and '.join(names)} would each become {split}; choose one with --split")
    return plain[0]
