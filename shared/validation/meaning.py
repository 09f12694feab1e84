"""Warnings about what good rows say: nothing here refuses a row, and nothing here repeats what a turn says.

Called for every good row, so what almost no row has is first looked for in many rows at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.validation import scan
from shared.validation.dialogues import Dialogue, Dialogues
from shared.validation.policy import Policy
from shared.validation.rules import Problem, kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARKERS = (
    *("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tool_call|>", "<|end|>", "<|endoftext|>"),
    *("<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>"),
    *("<|end_header_id|>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>"),
)
_MARKER_SIGNS = ((b"<|", b"|"), (b"INST]", b"]"), (b"SYS>", b">"), (b"_of_turn>", b">"))
"""One of these is in each marker, with that of its letters which is seldom in text."""
_MARKER = re.compile("|".join(map(re.escape, MARKERS)))
_CONTROLS = bytes((*range(1, 9), 0x0B, *range(0x0E, 0x20), 0x7F))
_CONTROL = re.compile(f"[{re.escape(_CONTROLS.decode())}]")
TAIL = 24  # characters of which an answer that repeats itself ends, over and over
_PIECE, _LONGEST_SECRET = 1 << 18, 1 << 14  # characters


class _Secret(NamedTuple):
    """A kind of secret: how it is seen soon (signs, with the rare letter in them), and for certain."""

    signs: tuple[bytes, ...]
    rare: bytes
    name: str
    pattern: re.Pattern[str]


# Each pattern is linear in the text, whatever it is: of one without a fixed length, a run of letters is gone over once,
# from its start. A start at each piece of `eyJ-eyJ-eyJ...` would go over the rest once more each time. The fixed
# letters come first, and only then what must be before them: so a search jumps from one to the next, ten times as fast.
_SECRETS = (
    _Secret(
        (b"-----BEGIN",),
        b"B",
        "a private key",
        re.compile(r"-----BEGIN (?:[A-Z]{1,20} ){0,6}PRIVATE KEY(?: BLOCK)?-----"),
    ),
    _Secret((b"AKIA",), b"K", "an AWS access key id", re.compile(r"AKIA(?<=\bAKIA)[0-9A-Z]{16}\b")),
    _Secret((b"AccountKey=",), b"K", "an Azure storage key", re.compile(r"AccountKey=[A-Za-z0-9+/]{80}")),
    _Secret((b"sk-",), b"-", "an API key", re.compile(r"sk-(?<=\bsk-)[A-Za-z0-9_-]{20}")),
    _Secret(
        (b"gho_", b"ghp_", b"ghs_", b"ghr_", b"ghu_"),
        b"_",
        "a GitHub token",
        re.compile(r"gh[opsru]_(?<=\bgh._)[A-Za-z0-9]{36}"),
    ),
    _Secret((b"github_",), b"_", "a GitHub token", re.compile(r"github_pat_(?<=\bgithub_pat_)[A-Za-z0-9_]{40}")),
    _Secret(
        (b"xoxa-", b"xoxb-", b"xoxp-", b"xoxr-", b"xoxs-"),
        b"-",
        "a Slack token",
        re.compile(r"xox[abprs]-(?<=\bxox.-)[A-Za-z0-9-]{10}"),
    ),
    _Secret((b"hf_",), b"_", "a Hugging Face token", re.compile(r"hf_(?<=\bhf_)[A-Za-z0-9]{30,}+\b")),
    _Secret((b"AIza",), b"I", "a Google API key", re.compile(r"AIza(?<=\bAIza)[A-Za-z0-9_-]{35}\b")),
    _Secret(
        (b"eyJ",),
        b"J",
        "a JSON web token",
        re.compile(r"(?<![\w-])(?=[\w-]*?\beyJ[\w-]{10})[\w-]++\.eyJ[\w-]{10,}+\.[\w-]{10}"),
    ),
)
_SIGNS = (
    *_MARKER_SIGNS,
    *((bytes((code,)), bytes((code,))) for code in _CONTROLS),
    *((sign, secret.rare) for secret in _SECRETS for sign in secret.signs),
)
"""In none is a letter that JSON escapes, but for control characters: in lines they stand as in texts."""
_SEARCH = scan.SignSearch(_SIGNS)
SECRETS = tuple(dict.fromkeys(secret.name for secret in _SECRETS))


def remarks(
    dialogues: Dialogues, prompts: Sequence[Any], tokens: NDArray[Any], policy: Policy
) -> Iterator[tuple[int, Problem]]:
    """What should be told about good rows: which of them (from 0 on), and what."""
    import numpy

    for at in numpy.flatnonzero(tokens > policy.context_tokens).tolist():
        found = f"about {tokens[at]} tokens"
        yield at, Problem("longer-than-context", "messages", found, f"at most {policy.context_tokens}")
    found_signs = list(_SEARCH.places_in(dialogues.whole))
    signs = {sign for sign, _ in found_signs}
    places = numpy.concatenate([numpy.empty(0, int), *(places for _, places in found_signs)])
    may_hold_marker = any(sign in signs for sign, _ in _MARKER_SIGNS)
    may_hold_control = any(len(sign) == 1 for sign in signs)
    suspected = [secret for secret in _SECRETS if not signs.isdisjoint(secret.signs)]
    for at, dialogue in dialogues.standing_out(prompts, policy.max_repeats, places):
        if may_hold_marker:
            for problem in _each(dialogue, _MARKER, "template-marker", "text without template markers", named=True):
                yield at, problem
        if may_hold_control:
            for problem in _each(dialogue, _CONTROL, "control-character", "visible text", named=False):
                yield at, problem
        for secret in suspected:
            for turn, content in enumerate(dialogue.contents):
                if _holds(secret.pattern, content):
                    path, found = f"messages[{turn}].content", f"what looks like {secret.name}"
                    yield at, Problem("likely-secret", path, found, "no secrets")
        for remark in (_prompt(prompts[at], dialogue), _loop(dialogue, policy.max_repeats)):
            if remark is not None:
                yield at, remark


def _holds(pattern: re.Pattern[str], content: str) -> bool:
    """Whether a text holds a secret. Each search keeps all other threads waiting, so it goes over a piece at a time."""
    starts = range(0, len(content), _PIECE)
    return any(pattern.search(content, start, start + _PIECE + _LONGEST_SECRET) for start in starts)


def _each(dialogue: Dialogue, pattern: re.Pattern[str], rule: str, expected: str, *, named: bool) -> Iterator[Problem]:
    for at, content in enumerate(dialogue.contents):
        if match := pattern.search(content):
            what = match[0] if named else f"U+{ord(match[0]):04X}"
            yield Problem(rule, f"messages[{at}].content", f"{what} as character {match.start() + 1}", expected)


def _prompt(prompt: Any, dialogue: Dialogue) -> Problem | None:
    if not isinstance(prompt, str):
        return None
    first = dialogue.contents[dialogue.roles.index("user")]
    if prompt == first or prompt.strip() == first.strip():
        return None
    return Problem("prompt-differs", "prompt", kind_of(prompt), "the first user turn")


def _loop(dialogue: Dialogue, times: int) -> Problem | None:
    """An answer whose last words come over and over, right up to its end."""
    answer = dialogue.contents[-1].rstrip()
    if len(answer) < times * TAIL:
        return None
    last, longest = len(answer) - TAIL, len(answer) // times
    before = answer.rfind(answer[last:], last - longest, len(answer) - 1)
    if before < 0:
        return None
    period = last - before
    looped = period * times
    if answer[-looped:-period] != answer[-looped + period :] or set(answer[-period:]) <= set("-=_*#.~ \n|+0"):
        return None
    found = f"the last {period} characters at least {times} times"
    path = f"messages[{len(dialogue.contents) - 1}].content"
    return Problem("repetitive-answer", path, found, "an answer that ends")
