"""docs/validation-rules.md, written from the table of rules.

`python -m scripts.rules_page > docs/validation-rules.md`; a test compares the two.
"""

from __future__ import annotations

import sys

from scripts.rule_examples import EXAMPLES, LINES
from shared.chatdata.templates import ANY, TEMPLATES
from shared.chatdata.tokens import TOKEN_ESTIMATE
from shared.validation.meaning import MARKERS, SECRETS
from shared.validation.policy import LIMITS, Policy, setting_of
from shared.validation.rules import RULES, Rule, Scope


def _looked_for() -> str:
    markers = ", ".join(f"`{marker}`" for marker in MARKERS)
    return (
        f"Template markers looked for: {markers}.\n\nSecrets looked for, and never printed: {', '.join(SECRETS)}.\n\n"
        f"Tokens are estimated: {TOKEN_ESTIMATE}."
    )


_SECTIONS: tuple[tuple[Scope, str, str], ...] = (
    ("file", "Files", "About a whole file or snapshot."),
    ("line", "Lines", "About a row as it is written. Blank lines and CRLF are harmless."),
    ("turns", "Dialogues", "About what a row holds; the same for JSONL and parquet."),
    ("meaning", "Meaning", "Warnings about good rows. They never refuse anything.\n\n" + _looked_for()),
)
_LONGEST = 160


def page() -> str:
    """Write the page."""
    parts = [_INTRODUCTION, _limits(), _roles()]
    for scope, title, about in _SECTIONS:
        parts.append(f"## {title}\n\n{about}\n")
        parts += [_entry(rule) for rule in RULES.values() if rule.scope == scope]
    return "\n".join(parts)


_INTRODUCTION = """\
<!-- Written by `python -m scripts.rules_page`; change shared/validation/rules.py instead. -->
# Validation rules

Every row of a snapshot is checked before anything is paid for. An **error** makes a row bad; one bad row
refuses the snapshot, unless the operator allows a share of bad rows, which are then left out and put
into quarantine. A **warning** only tells. Rows count from 1; in JSONL files a row's number is its line
number.

Try a file before you upload it: `droptune check FILE_OR_FOLDER...` (exit status 0: accepted, 1: rejected,
2: could not be checked, 3: no such file). The report is described by
[validation-report.schema.json](validation-report.schema.json).

What is trained on is `messages` with `role` and `content` of each turn, and nothing else. Duplicates are
kept once. Every row read is counted once: as good, bad or a duplicate.

## What is told

Everything that is wrong with a row, at once; but one mistake is told once:

- A line that is too long, not UTF-8, nested too deep or not JSON is looked at no further. Its dialogue is looked at
  only if nothing is wrong with how the line is written.
- The order of turns is judged only where all turns have roles that the model knows.
- What a row means is looked at only if the row is good.
- Whatever is wrong with a file ends the reading of that file, and a limit on bytes or rows that of the snapshot; rows
  before that are told. Then `too-few-rows` and `no-train-rows` are not looked at.
- Files are read in this order: test, validation, then the others. A dialogue (roles and contents) that was there before
  is a duplicate, or has leaked if it was in another split.
- In parquet, a field of a turn that is null counts as absent, but for `role` and `content`; a row is as long as the
  contents of its turns; and a file whose footer tells of too many rows is not read at all. Limits
  hold for what its pages really are, whatever the footer says.
"""

_DEFAULTS = """\
The command line uses the defaults. A snapshot's own `snapshot.json` may be stricter, never looser, such as
`{"validation": {"min_rows": 500}}`; where the last column says how, else not at all.
"""

_ROLES = """\
A role that the model's template does not know is dropped without a word, or stops the training after the GPU was paid
for. So the roles allowed follow the snapshot's pinned base model:

| models | roles | source |
|---|---|---|
"""

_FOLDING = """
System turns are kept (`allow`; an error where the template has none), refused (`reject`), or folded (`fold`): the
text of the system turn is put before that of the first user turn, with an empty line between. Folding rewrites the
training files only, never what you uploaded; duplicates and splits are found by what you uploaded. Try a model on the
command line: `--model Phi-3-mini-4k-instruct --system fold`.
"""


def _limits() -> str:
    lines = ["## Limits", "", _DEFAULTS, "| limit | default | setting of the app | what for | a snapshot may |"]
    lines.append("|---|---|---|---|---|")
    for name, limit in LIMITS.items():
        default = getattr(Policy(), name)
        shown = ", ".join(default) if isinstance(default, tuple) else str(default).lower()
        setting = f"`{found}`" if (found := setting_of(name)) else ""
        stricter = {"lower": "lower it", "higher": "raise it", "later": "choose a stricter one", None: ""}[
            limit.tighter
        ]
        lines.append(f"| `{name}` | `{shown}` | {setting} | {limit.help} | {stricter} |")
    return "\n".join([*lines, ""])


def _roles() -> str:
    lines = [f"| {t.family} | {', '.join(t.roles)} | {t.source} |" for t in (*TEMPLATES, ANY)]
    return "## Roles by model\n\n" + _ROLES + "\n".join(lines) + "\n" + _FOLDING


def _entry(rule: Rule) -> str:
    text = f"### {rule.id}\n\n**{rule.severity}.** {rule.explanation} *Fix:* {rule.fix}\n"
    if (example := LINES.get(rule.id)) is not None:
        shown = example.decode("utf-8", "backslashreplace").replace("\ufeff", "\\ufeff")
        lines = [line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in shown.split("\n")]
        return text + "\n```\n" + "\n".join(lines) + "\n```\n"
    return text + f"\n*Example:* {EXAMPLES[rule.id].told}.\n"


if __name__ == "__main__":
    sys.stdout.write(page())
