"""Warnings about what good rows say: nothing here refuses a row, and nothing here repeats what a turn says.

Called for every good, distinct row, so each rule first asks something cheap that almost all rows answer
with no.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from shared.validation.policy import Policy
from shared.validation.problems import Problem
from shared.validation.turns import Dialogue

MARKERS = (
    *("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tool_call|>", "<|end|>", "<|endoftext|>"),
    *("<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>"),
    *("<|end_header_id|>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>"),
)
_MARKER = re.compile("|".join(map(re.escape, MARKERS)))
_CONTROL = re.compile("[\x01-\x08\x0b\x0e-\x1f\x7f]")
_CONTROL_BYTES = bytes(code for code in (*range(1, 9), 0x0B, *range(0x0E, 0x20), 0x7F))
# One character is found much faster than several: the first column is looked for before the second.
_SECRETS: tuple[tuple[str, str, str, re.Pattern[str]], ...] = (
    ("-", "-----BEGIN", "a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    ("K", "AKIA", "an AWS access key id", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    ("=", "AccountKey=", "an Azure storage key", re.compile(r"AccountKey=[A-Za-z0-9+/]{80,}={0,2}")),
    ("-", "sk-", "an API key", re.compile(r"\bsk-(?:[A-Za-z]+-)*[A-Za-z0-9_-]{20,}")),
    ("_", "gh", "a GitHub token", re.compile(r"\bgh[opsru]_[A-Za-z0-9]{36,}")),
    ("_", "github_pat_", "a GitHub token", re.compile(r"\bgithub_pat_[A-Za-z0-9_]{40,}")),
    ("-", "xox", "a Slack token", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}")),
    ("_", "hf_", "a Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    ("I", "AIza", "a Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b")),
    ("J", "eyJ", "a JSON web token", re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")),
)
SECRETS = tuple(dict.fromkeys(name for _, _, name, _ in _SECRETS))
_TAIL = 24


def remarks(row: dict[str, Any], dialogue: Dialogue, tokens: int, policy: Policy) -> Iterator[Problem]:
    """What should be told about a good row."""
    text = dialogue.text
    if tokens > policy.context_tokens:
        found = f"about {tokens} tokens"
        yield Problem("longer-than-context", "messages", found, f"at most {policy.context_tokens}")
    if _may_hold_marker(text):
        yield from _each(dialogue, _MARKER, "template-marker", "text without template markers", named=True)
    data = text.encode()
    if len(data.translate(None, _CONTROL_BYTES)) != len(data):
        yield from _each(dialogue, _CONTROL, "control-character", "visible text", named=False)
    for rare, sign, name, pattern in _SECRETS:
        if rare in text and sign in text:
            for at, content in enumerate(dialogue.contents):
                if pattern.search(content):
                    yield Problem("likely-secret", f"messages[{at}].content", f"what looks like {name}", "no secrets")
    yield from _prompt(row, dialogue)
    yield from _loop(dialogue, policy.max_repeats)


def _may_hold_marker(text: str) -> bool:
    return (
        ("|" in text and "<|" in text)
        or ("[" in text and "INST]" in text)
        or (">" in text and ("SYS>>" in text or "_of_turn>" in text))
    )


def _each(dialogue: Dialogue, pattern: re.Pattern[str], rule: str, expected: str, *, named: bool) -> Iterator[Problem]:
    for at, content in enumerate(dialogue.contents):
        if match := pattern.search(content):
            what = match[0] if named else f"U+{ord(match[0]):04X}"
            yield Problem(rule, f"messages[{at}].content", f"{what} as character {match.start() + 1}", expected)


def _prompt(row: dict[str, Any], dialogue: Dialogue) -> Iterator[Problem]:
    prompt = row.get("prompt")
    if isinstance(prompt, str):
        first = dialogue.contents[dialogue.roles.index("user")]
        if prompt != first and prompt.strip() != first.strip():
            yield Problem("prompt-differs", "prompt", f"a text of {len(prompt)} characters", "the first user turn")


def _loop(dialogue: Dialogue, times: int) -> Iterator[Problem]:
    """An answer whose last words come over and over, right up to its end."""
    answer = dialogue.contents[-1].rstrip()
    if len(answer) < times * _TAIL:
        return
    tail = answer[-_TAIL:]
    period = len(answer) - _TAIL - answer.rfind(tail, 0, len(answer) - 1)
    if period > len(answer) // times:
        return
    looped = period * times
    if answer[-looped:-period] == answer[-looped + period :] and not set(answer[-period:]) <= set("-=_*#.~ \n|+0"):
        found = f"the last {period} characters at least {times} times"
        path = f"messages[{len(dialogue.contents) - 1}].content"
        yield Problem("repetitive-answer", path, found, "an answer that ends")
