"""Rules about files and about rows as they are written: the first half of the table in `rules`."""

from __future__ import annotations

from shared.validation.rule import Severity


def _turns(*turns: str) -> bytes:
    return ('{"messages": [' + ", ".join(turns) + "]}").encode()


_ASK = '{"role": "user", "content": "Hi"}'
_ANSWER = '{"role": "assistant", "content": "Hello."}'

FILE: tuple[tuple[str, Severity, str, str], ...] = (
    (
        "no-files",
        "error",
        "The snapshot holds no data file.",
        "Put at least one .jsonl, .jsonl.gz or .parquet file into it.",
    ),
    (
        "file-extension",
        "error",
        "Only .jsonl, .jsonl.gz and .parquet are read, written in lower case.",
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
        "Add rows, or repair the bad ones. MIN_ROWS sets how many are needed (--min-rows on the command line); "
        "a snapshot.json may ask for more.",
    ),
    (
        "no-train-split",
        "error",
        "The folder names validation or test files but none to train on.",
        "Add a file named train, such as train.jsonl.",
    ),
    (
        "split-unknown",
        "error",
        "Other files of the snapshot name their split, but this name means none: it may hold test rows.",
        "Let its name start with train, validation or test, such as train-2.jsonl.",
    ),
    (
        "double-extension",
        "error",
        "The file's name has two data formats; one of them is wrong.",
        "Keep the ending of the format the file is in.",
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

LINE: tuple[tuple[str, Severity, str, str, bytes | None], ...] = (
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
        "NaN, Infinity and numbers too large for a double (1e400) make other readers refuse the file.",
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
