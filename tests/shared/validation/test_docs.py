"""What the pages say about validation: every rule with a fix and an example that was run, and the report's schema."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from scripts.report_schema import schema
from scripts.rule_examples import EXAMPLES, LINES, rows
from scripts.rules_page import page
from shared.chatdata.splits import split_of
from shared.validation import Policy, Source, freeze
from shared.validation.rules import RULES

DOCS = Path(__file__).parents[3] / "docs"


def test_rules_page_is_what_the_code_says() -> None:
    assert (DOCS / "validation-rules.md").read_text() == page(), "run: make docs"


def test_published_schema_is_that_of_the_report() -> None:
    assert (DOCS / "validation-report.schema.json").read_text() == schema(), "run: make docs"


def test_stable_core_of_the_report_is_what_was_promised() -> None:
    found = json.loads(schema())
    assert {"schema_version", "verdict", "rows", "findings"} <= set(found["properties"])
    assert found["properties"]["verdict"]["enum"] == ["accepted", "rejected"]
    assert {"rule", "severity", "count", "places"} <= set(found["$defs"]["Finding"]["required"])
    place = {"split", "file", "row", "byte_offset", "path", "found", "expected"}
    assert set(found["$defs"]["Location"]["required"]) == place


def test_every_rule_has_a_sentence_a_fix_and_one_example() -> None:
    for rule in RULES.values():
        assert rule.explanation[-1] == rule.fix[-1] == ".", rule.id
        assert (rule.id in LINES) != (rule.id in EXAMPLES), rule.id
    assert {*EXAMPLES, *LINES} <= set(RULES)


@pytest.mark.parametrize("rule_id", EXAMPLES)
def test_example_of_files_breaks_that_rule_only(rule_id: str) -> None:
    example = EXAMPLES[rule_id]
    files = example.files()
    sources = [
        Source(path=name, open=lambda data=data: io.BytesIO(data), size=len(data), split=split_of(name))  # type: ignore[misc]
        for name, data in files
    ]
    report = freeze(sources, Policy(**example.limits)).report
    told = {finding.rule for finding in report.findings}
    beside = {"no-train-rows": {"leaked-row"}, "too-many-bad-rows": {"invalid-json"}}.get(rule_id, set())
    assert told == {rule_id} | beside
    assert report.verdict == ("rejected" if RULES[rule_id].severity == "error" else "accepted")


def test_rows_of_the_examples_are_good() -> None:
    data = rows(0, 30)
    report = freeze([Source(path="a.jsonl", open=lambda: io.BytesIO(data), size=len(data))], Policy()).report
    assert (report.verdict, report.findings) == ("accepted", [])
