"""docs/validation-rules.md, written from the table of rules.

`python -m shared.validation.page > docs/validation-rules.md`; a test compares the two.
"""

from __future__ import annotations

import dataclasses
import sys

from shared.validation.policy import Policy
from shared.validation.rule import Rule, Scope
from shared.validation.rules import RULES

_SECTIONS: tuple[tuple[Scope, str, str], ...] = (
    ("file", "Files", "About a whole file or snapshot."),
    ("line", "Lines", "About a row as it is written. Blank lines and CRLF are harmless."),
    ("turns", "Dialogues", "About what a row holds; the same for JSONL and parquet."),
    ("meaning", "Meaning", "Warnings about good rows. They never refuse anything."),
)
_LONGEST = 160


def page() -> str:
    """Write the page."""
    parts = [_INTRODUCTION, _limits()]
    for scope, title, about in _SECTIONS:
        parts.append(f"## {title}\n\n{about}\n")
        parts += [_entry(rule) for rule in RULES.values() if rule.scope == scope]
    return "\n".join(parts)


_INTRODUCTION = """\
<!-- Written by `python -m shared.validation.page`; change shared/validation/rules.py instead. -->
# Validation rules

Every row of a snapshot is checked before anything is paid for. An **error** makes a row bad; one bad row
refuses the snapshot, unless the operator allows a share of bad rows, which are then left out and put
into quarantine. A **warning** only tells. Rows count from 1; in JSONL files a row's number is its line
number.

Try a file before you upload it: `python -m shared.validation FILE_OR_FOLDER...`

What is trained on is `messages` with `role` and `content` of each turn, and nothing else. Duplicates are
kept once. System turns are kept (`allow`), refused (`reject`) or put before the first user turn with an
empty line between (`fold`; only in the training files, never in what you uploaded): whatever the model's
template knows.
"""


_DEFAULTS = """\
The app's settings `SYSTEM_TURNS`, `VALIDATION_MAX_BAD_PERCENT`, `MIN_ROWS` and `MAX_SNAPSHOT_GB` (here
`max_total_bytes`) set four of these; left alone, they are what the command line checks by.
"""


def _limits() -> str:
    lines = ["## Limits", "", _DEFAULTS, "| limit | default |", "|---|---|"]
    lines += [f"| `{field.name}` | {getattr(Policy(), field.name)!r} |" for field in dataclasses.fields(Policy)]
    return "\n".join([*lines, ""])


def _entry(rule: Rule) -> str:
    text = f"### {rule.id}\n\n**{rule.severity}.** {rule.explanation} *Fix:* {rule.fix}\n"
    if rule.example is not None:
        shown = rule.example.decode("utf-8", "backslashreplace").replace("\ufeff", "\\ufeff")
        lines = [line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in shown.split("\n")]
        text += "\n```\n" + "\n".join(lines) + "\n```\n"
    return text


if __name__ == "__main__":
    sys.stdout.write(page())
