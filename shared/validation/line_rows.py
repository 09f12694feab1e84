"""Rows of some lines: all at once if they are plainly good, else a few at once, else each by itself.

Used by `jsonl`. What one run of lines taught (columns, orders of roles) makes the next one faster, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.validation import scan
from shared.validation.decoding import decode
from shared.validation.dialogues import Dialogue
from shared.validation.lines import LineRun
from shared.validation.policy import Policy
from shared.validation.row_decoder import RowDecoder
from shared.validation.rows import FEW, CheckedRow, RowBatch, Rows, is_bad, too_long
from shared.validation.turns import TurnChecker


class LineReader:
    """Makes rows of the lines of one chunk."""

    def __init__(self, turns: TurnChecker, policy: Policy) -> None:
        self._turns, self._policy = turns, policy
        self._decoder = RowDecoder()

    def rows(self, run: LineRun) -> Iterator[Rows]:
        """The rows of a run, in their order."""
        batch = self._plain_rows(run)
        if batch is not None:
            yield batch
        elif len(run.starts) > FEW:
            for few in run.cut(FEW):
                yield from self.rows(few)
        else:
            for number, (offset, line) in enumerate(zip(run.offsets, run.lines(), strict=True), run.number):
                yield self._careful_row(number, offset, line)

    def _plain_rows(self, run: LineRun) -> RowBatch | None:
        """The rows of a run, if all are plainly good; None says nothing."""
        if len(run.whole) > self._policy.max_line_bytes and max(map(len, run.lines())) > self._policy.max_line_bytes:
            return None
        try:
            rows = self._decoder.decode(run.whole)
            strings = rows.strings(self._policy.max_depth)
        except (ValueError, RecursionError):
            return None
        if strings is None or len(rows.messages) != len(run.starts) or not run.parts_objects():
            return None
        text = scan.JsonText(run.whole)
        if text.quotes != 2 * strings:
            return None
        roles, contents = rows.turns()
        lines = run.whole if text.is_literal else None
        dialogues = self._turns.glance(roles, contents, list(map(len, rows.messages)), lines)
        if dialogues is None:
            return None
        nothing = [None] * len(rows.messages)
        prompts, prompt_ids = (rows.others.get(name, nothing) for name in ("prompt", "prompt_id"))
        return RowBatch(run.number, run.offsets, dialogues, rows.columns(), prompts, prompt_ids)

    def _careful_row(self, number: int, offset: int, line: bytes) -> CheckedRow | None:
        policy = self._policy
        if len(line) > policy.max_line_bytes:
            return CheckedRow(number, offset, None, None, [too_long(len(line), policy)], None)
        if not line.strip():
            return None
        value, problems = decode(line, policy.max_depth)
        dialogue: Dialogue | None = None
        if not is_bad(problems):
            dialogue, further = self._turns.examine(value)
            problems = problems + further
            if dialogue is not None:
                self._decoder.learn(value)
        return CheckedRow(number, offset, value, dialogue, problems, line)
