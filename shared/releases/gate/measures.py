"""What one answer is worth: whether it can be used at all, and how like the reference answer it is.

Pure, and of bounded cost: of texts of any length no more than TEXT_LIMIT characters are measured. The metric's library
is imported when the first answer is compared.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# So many characters of a text are measured and reported: far more than an answer usually has.
TEXT_LIMIT = 10_000
# Texts shorter than this many characters may repeat themselves; "no, no, no" is an answer.
REPETITION_FROM = 120
# A text repeats itself when more than half of its runs of so many characters occurred before. Prose has a few percent,
# a list with equal beginnings perhaps a third (the measure seq-rep-n of Welleck et al. 2019, on characters so that it
# needs no words).
REPETITION_RUN = 20
REPETITION_SHARE = 0.5
_MARKER = re.compile(
    r"<\|[A-Za-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
    r"|^#{2,3} ?(?:Instruction|Response|Human|Assistant):",
    re.MULTILINE,
)


def flaw(text: str, reference: str, most_tokens: int) -> str:
    """Why nobody can use an answer, in a word or two; empty for a usable one.

    What the reference does as well is no flaw: some people want answers with markers in them.
    """
    if not text.strip():
        return "empty"
    if _MARKER.search(text[:TEXT_LIMIT]) and not _MARKER.search(reference[:TEXT_LIMIT]):
        return "template marker"
    if repeats(text) and not repeats(reference):
        return "repetition"
    if _cut_off(text, reference, most_tokens):
        return "cut off"
    return ""


def repeats(text: str) -> bool:
    """Whether a text repeats itself, at its end at least."""
    if len(text) < REPETITION_FROM:
        return False
    text = text[-TEXT_LIMIT:]
    runs = len(text) - REPETITION_RUN + 1
    different = len({text[at : at + REPETITION_RUN] for at in range(runs)})
    return 1 - different / runs > REPETITION_SHARE


def _cut_off(text: str, reference: str, most_tokens: int) -> bool:
    """Whether an answer ran on until the limit, where the reference needed less than half of that.

    No word is less than one token: as many words as tokens were allowed is certainly the limit. How much a reference
    needed of which only the beginning is known, nobody can say.
    """
    if len(reference) >= TEXT_LIMIT or len(text) < most_tokens:
        return False
    return _words(text, most_tokens) >= most_tokens > 2 * _words(reference, most_tokens)


def _words(text: str, most: int) -> int:
    """The number of words, counted up to so many."""
    return len(text.split(None, most)[:most])


def likeness(text: str, reference: str) -> float:
    """How like the reference an answer is: chrF, 0 to 100."""
    return float(_chrf().sentence_score(text[:TEXT_LIMIT], [reference[:TEXT_LIMIT]]).score)


@cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
