"""Every rule: its stable id, how severe breaking it is, why it exists and how to fix it.

The one table behind reports, the command line and docs/validation-rules.md. An id, once published, keeps
its meaning. `example` is a JSONL line (or file) that breaks the rule and nothing else; tests run every one
of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
Scope = Literal["file", "line", "turns", "meaning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. An error makes the row (or the snapshot, for scope `file`) bad; a warning only tells."""

    id: str
    scope: Scope
    severity: Severity
    explanation: str
    fix: str
    example: bytes | None = None


def _turns(*turns: str) -> bytes:
    return ('{"messages": [' + ", ".join(turns) + "]}").encode()


_ASK = '{"role": "user", "content": "Hi"}'
_ANSWER = '{"role": "assistant", "content": "Hello."}'
_LONG = " ".join(f"Word {number}." for number in range(1800))

_FILE: tuple[tuple[str, Severity, str, str], ...] = (
    (
        "no-files",
        "error",
        "The snapshot holds no data file.",
        "Put at least one .jsonl, .jsonl.gz or .parquet file into it.",
    ),
    (
        "file-extension",
        "error",
        "Only .jsonl, .jsonl.gz and .parquet are read.",
        "Convert the file, or correct its name.",
    ),
    (
        "file-empty",
        "error",
        "The file holds no row.",
        "Upload the file again, or leave it out.",
    ),
    (
        "file-format",
        "error",
        "The file's first bytes belong to another format than its name says.",
        "Rename the file, or write it in the format of its name (JSONL in UTF-8).",
    ),
    (
        "file-unreadable",
        "error",
        "The gzip or parquet file is damaged or cut off; rows after the damage could not be checked.",
        "Write and upload the file again.",
    ),
    (
        "file-expands",
        "error",
        "The file grows out of proportion when decompressed; reading stopped.",
        "Upload the file less compressed, or look for runaway repetition in it.",
    ),
    (
        "too-large",
        "error",
        "The snapshot has more bytes than allowed; reading stopped.",
        "Drop a smaller sample, or ask the operator to raise the limit.",
    ),
    (
        "too-many-rows",
        "error",
        "The snapshot has more rows than allowed; reading stopped.",
        "Drop a smaller sample, or ask the operator to raise the limit.",
    ),
    (
        "too-few-rows",
        "error",
        "Too few good, distinct rows are left to learn from.",
        "Add rows, or repair the bad ones.",
    ),
    (
        "no-train-split",
        "error",
        "The folder names validation or test files but none to train on.",
        "Add a file named train, such as train.jsonl.",
    ),
    (
        "no-train-rows",
        "error",
        "No row is left to train on: all are held out, or repeated in a held-out file.",
        "Add rows to the training file that are not in the other ones.",
    ),
    (
        "messages-column-missing",
        "error",
        "The parquet file has no column named messages.",
        "Rename the column of dialogues to messages.",
    ),
    (
        "messages-column-type",
        "error",
        "The column messages is not a list of objects with the texts role and content.",
        "Write it as list<struct<role: string, content: string>>, not as JSON text.",
    ),
    (
        "mixed-columns",
        "warning",
        "Files of the snapshot have different columns; only messages is trained on.",
        "Check that all files come from the same export.",
    ),
)

_LINE: tuple[tuple[str, Severity, str, str, bytes | None], ...] = (
    (
        "invalid-json",
        "error",
        "The line is not one JSON value; the column is counted in characters from 1.",
        "Write one JSON object per line, with a JSON library.",
        b'{"messages": [],}',
    ),
    (
        "invalid-utf8",
        "error",
        "The line holds bytes that are not UTF-8; the offset is that of the first one.",
        "Save the file as UTF-8.",
        b'{"messages": [{"role": "user", "content": "caf\xe9"}]}',
    ),
    (
        "byte-order-mark",
        "warning",
        "The line starts with a byte order mark, which was skipped.",
        "Save the file as UTF-8 without signature.",
        b'\xef\xbb\xbf{"messages": [' + _ASK.encode() + b", " + _ANSWER.encode() + b"]}",
    ),
    (
        "not-a-number",
        "error",
        "NaN and Infinity are not JSON, and other readers refuse the file for them.",
        "Write null, or leave the field out.",
        b'{"score": NaN, "messages": [' + _ASK.encode() + b", " + _ANSWER.encode() + b"]}",
    ),
    (
        "repeated-key",
        "error",
        "An object has the same key twice; readers silently keep one of the values.",
        "Keep one of them.",
        _turns('{"role": "user", "content": "Hi", "content": "Ho"}', _ANSWER),
    ),
    (
        "lone-surrogate",
        "error",
        "A text holds half of a surrogate pair, which is not a character.",
        "Escape characters beyond the basic plane as pairs, or write them as UTF-8.",
        _turns('{"role": "user", "content": "\\ud83d"}', _ANSWER),
    ),
    (
        "not-an-object",
        "error",
        "The row is JSON but not an object.",
        'Write {"messages": [...]}; a JSON array of rows has to become one row per line.',
        b'["Hi", "Hello."]',
    ),
    (
        "row-too-long",
        "error",
        "The row is longer than a row may be; it was skipped unread.",
        "Split the dialogue, or check that every row ends with a line feed.",
        None,
    ),
    (
        "nesting-too-deep",
        "error",
        "The row is nested deeper than allowed.",
        "Leave out the nested column.",
        b'{"extra": ' + b"[" * 40 + b"]" * 40 + b', "messages": []}',
    ),
)

_TURNS: tuple[tuple[str, Severity, str, str, bytes | None], ...] = (
    (
        "messages-missing",
        "error",
        "The row has no messages.",
        "Put the dialogue into a field named messages.",
        b'{"prompt": "Hi"}',
    ),
    (
        "messages-not-list",
        "error",
        "The field messages is not a list.",
        "Write a list of objects with role and content.",
        b'{"messages": "Hi"}',
    ),
    ("messages-empty", "error", "The dialogue has no turn.", "Leave the row out.", b'{"messages": []}'),
    (
        "too-many-messages",
        "error",
        "The dialogue has more turns than allowed.",
        "Split the dialogue.",
        None,
    ),
    (
        "message-not-object",
        "error",
        "A turn is not an object.",
        'Write {"role": ..., "content": ...}.',
        _turns('"Hi"', _ANSWER),
    ),
    (
        "role-missing",
        "error",
        "A turn has no role.",
        "Name who speaks: user or assistant.",
        _turns('{"content": "Hi"}', _ANSWER),
    ),
    (
        "role-not-text",
        "error",
        "A role is not a text.",
        "Write user or assistant as text.",
        _turns('{"role": 7, "content": "Hi"}', _ANSWER),
    ),
    (
        "role-unknown",
        "error",
        "The model's template does not know the role and would drop the turn without a word.",
        "Use user and assistant (and system where allowed), in lower case.",
        _turns('{"role": "human", "content": "Hi"}', _ANSWER),
    ),
    (
        "role-tool",
        "error",
        "The model's template has no tool or function turns and would drop them without a word.",
        "Leave tool dialogues out, or put what the tool said into a user turn.",
        _turns(_ASK, '{"role": "tool", "content": "42"}', _ANSWER),
    ),
    (
        "tool-calls",
        "error",
        "A turn calls a tool; the template would drop the call and train on the rest.",
        "Leave tool dialogues out.",
        _turns(_ASK, '{"role": "assistant", "content": "Wait.", "tool_calls": [{"id": "1"}]}'),
    ),
    (
        "system-rejected",
        "error",
        "The model's template has no system turn, and the policy says to refuse them.",
        "Move the text into the first user turn, or set the policy to fold.",
        None,
    ),
    (
        "system-not-first",
        "error",
        "A system turn comes after another turn.",
        "Keep one system turn, at the start.",
        _turns(_ASK, '{"role": "system", "content": "Be kind."}', _ANSWER),
    ),
    (
        "first-not-user",
        "error",
        "The dialogue does not start with the user (after an optional system turn).",
        "Drop the leading assistant turn.",
        _turns(_ANSWER, _ASK, _ANSWER),
    ),
    (
        "role-repeated",
        "error",
        "The same role speaks twice in a row; most templates refuse or garble that.",
        "Join the two turns.",
        _turns(_ASK, _ASK, _ANSWER),
    ),
    (
        "last-not-assistant",
        "error",
        "The dialogue does not end with an answer, so its end teaches nothing.",
        "Drop the last turn, or add the answer.",
        _turns(_ASK, _ANSWER, _ASK),
    ),
    (
        "no-assistant",
        "error",
        "Nothing in the dialogue is an answer to learn from.",
        "Add the answer, or leave the row out.",
        _turns(_ASK),
    ),
    (
        "content-missing",
        "error",
        "A turn has no content.",
        "Add the text, or drop the turn.",
        _turns('{"role": "user"}', _ANSWER),
    ),
    (
        "content-null",
        "error",
        "A turn's content is null.",
        "Add the text, or drop the turn.",
        _turns('{"role": "user", "content": null}', _ANSWER),
    ),
    (
        "content-multimodal",
        "error",
        "A turn's content is a list of parts (text, image, audio); this model reads text only.",
        "Write the text parts as one text, and leave dialogues about images out.",
        _turns('{"role": "user", "content": [{"type": "text", "text": "Hi"}]}', _ANSWER),
    ),
    (
        "content-not-text",
        "error",
        "A turn's content is not a text.",
        "Write the content as text.",
        _turns('{"role": "user", "content": 42}', _ANSWER),
    ),
    (
        "content-empty",
        "error",
        "A turn's content is empty.",
        "Add the text, or drop the turn.",
        _turns('{"role": "user", "content": ""}', _ANSWER),
    ),
    (
        "content-blank",
        "error",
        "A turn's content is only white space.",
        "Add the text, or drop the turn.",
        _turns('{"role": "user", "content": " \\n"}', _ANSWER),
    ),
    (
        "content-nul",
        "error",
        "A turn holds the character NUL, at which many programs stop reading.",
        "Remove it; it mostly comes from a broken export.",
        _turns('{"role": "user", "content": "Hi\\u0000"}', _ANSWER),
    ),
    (
        "weight-invalid",
        "error",
        "A turn's weight is neither 0 nor 1.",
        "Write 0 or 1, or leave weights out: this trainer learns from every answer.",
        _turns(_ASK, '{"role": "assistant", "content": "Hello.", "weight": 0.5}'),
    ),
)

_MEANING: tuple[tuple[str, str, str, bytes | None], ...] = (
    (
        "duplicate-row",
        "The row repeats the dialogue of an earlier one; it is kept once.",
        "Remove the repetition, unless it is meant.",
        _turns(_ASK, _ANSWER) + b"\n" + _turns(_ASK, _ANSWER),
    ),
    (
        "leaked-row",
        "The dialogue is also in a held-out file; it is not trained on, so that it can be tested fairly.",
        "Keep each dialogue in one split.",
        None,
    ),
    (
        "prompt-differs",
        "The field prompt is not the first user turn; only messages is trained on.",
        "Check which of the two is right.",
        b'{"prompt": "Ho", "messages": [' + _ASK.encode() + b", " + _ANSWER.encode() + b"]}",
    ),
    (
        "prompt-id-repeated",
        "Two different dialogues have the same prompt_id.",
        "Check the export: one of them may be a leftover.",
        b'{"prompt_id": "a", "messages": ['
        + _ASK.encode()
        + b", "
        + _ANSWER.encode()
        + b']}\n{"prompt_id": "a", "messages": ['
        + _ASK.encode()
        + b', {"role": "assistant", "content": "Ho."}]}',
    ),
    (
        "longer-than-context",
        "By estimate the dialogue has more tokens than the model sees; the trainer cuts its end off.",
        "Split or shorten the dialogue.",
        _turns(_ASK, '{"role": "assistant", "content": "' + _LONG + '"}'),
    ),
    (
        "template-marker",
        "A turn holds a marker of a chat template, which the model may take for the end of a turn.",
        "Remove the marker; the trainer adds its own.",
        _turns(_ASK, '{"role": "assistant", "content": "Hello.<|end|>"}'),
    ),
    (
        "control-character",
        "A turn holds control characters that nobody can see.",
        "Remove them.",
        _turns('{"role": "user", "content": "Hi\\u001b[0m"}', _ANSWER),
    ),
    (
        "likely-secret",
        "A turn holds what looks like a key, token or password; a model can repeat it to anybody.",
        "Remove it from the data, and revoke it.",
        _turns(_ASK, '{"role": "assistant", "content": "Use AKIA' + "IOSFODNN7EXAMPLE" + '."}'),
    ),
    (
        "repetitive-answer",
        "An answer ends in a loop of the same words, and teaches the model to do so.",
        "Cut the repetition, or leave the row out.",
        _turns(_ASK, '{"role": "assistant", "content": "Well. ' + "and so on and on " * 40 + '"}'),
    ),
    (
        "identical-answers",
        "All rows end with the same answer, so the model will learn to say just that.",
        "Check the export: the answers may come from a default value.",
        None,
    ),
)


def _table() -> dict[str, Rule]:
    rules = [Rule(i, "file", severity, why, fix) for i, severity, why, fix in _FILE]
    rules += [Rule(i, "line", severity, why, fix, example) for i, severity, why, fix, example in _LINE]
    rules += [Rule(i, "turns", severity, why, fix, example) for i, severity, why, fix, example in _TURNS]
    rules += [Rule(i, "meaning", "warning", why, fix, example) for i, why, fix, example in _MEANING]
    return {rule.id: rule for rule in rules}


RULES: dict[str, Rule] = _table()
