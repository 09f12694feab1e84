"""Every rule: its stable id, how severe breaking it is, why it exists and how to fix it.

The one table behind reports, the command line and docs/validation-rules.md. An id, once published, keeps
its meaning. `example` is a JSONL line (or file) that breaks the rule and nothing else; tests run every one
of them.
"""

from __future__ import annotations

from shared.validation.rule import Rule
from shared.validation.rules_of_files import FILE, LINE
from shared.validation.rules_of_rows import MEANING, TURNS


def _table() -> dict[str, Rule]:
    rules = [Rule(i, "file", severity, why, fix) for i, severity, why, fix in FILE]
    rules += [Rule(i, "line", severity, why, fix, example) for i, severity, why, fix, example in LINE]
    rules += [Rule(i, "turns", severity, why, fix, example) for i, severity, why, fix, example in TURNS]
    rules += [Rule(i, "meaning", "warning", why, fix, example) for i, why, fix, example in MEANING]
    return {rule.id: rule for rule in rules}


RULES: dict[str, Rule] = _table()
