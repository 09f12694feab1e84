"""One chunk of a snapshot, read once: checked, measured, hashed, staged in the app. What is left is a `ChunkResult`.

Called once a chunk, by `freezing` in one process, by `processes` in several, by the app in several instances. It knows
nothing of other chunks: what only a look at all of them tells is told by `fold`. So the same chunk gives the same
result, wherever and however often it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xxhash

from shared.chatdata.formats import is_convertible
from shared.chatdata.splits import Split
from shared.chatdata.tokens import estimated_tokens
from shared.validation import meaning
from shared.validation.chunks import Allowance, ChunkResult, FindingCounter, StopReason
from shared.validation.digests import DigestEntries
from shared.validation.jsonl import jsonl_rows, zipped_rows
from shared.validation.lines import BlankRun
from shared.validation.policy import Policy
from shared.validation.row_shapes import prepare_command
from shared.validation.rows import ByteMeter, CheckedRow, FileRefused, RowBatch, Rows, is_bad
from shared.validation.rules import RULES, TOO_MANY_BAD
from shared.validation.sources import Chunk, WatchedFile
from shared.validation.stage import Stager
from shared.validation.turns import TurnChecker
from shared.validation.zipped import ZippedText

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT_A_TIME = 1 << 8  # batches
_LONGEST_NAMES = 4096


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is left out of training, for the quarantine."""

    split: Split | None
    file: str
    row: int
    byte_offset: int | None
    rule: str
    message: str
    content: bytes | None
    """The line as it is in the file; None for parquet, and for a line that was too long to be kept."""


def inspect_chunk(
    chunk: Chunk,
    policy: Policy,
    *,
    stager: Stager | None = None,
    quarantine: Callable[[BadRow], None] | None = None,
    heartbeat: Callable[[], None] = lambda: None,
    room: Allowance | None = None,
    text: ZippedText | None = None,
) -> ChunkResult:
    """Read a chunk to its end, or to where its file (or the room) is known to be too much.

    `text`: the gzip file that the chunk is of, as the chunk before left it; it stays open. Errors of the chunk's
    opener, of the heartbeat and of the staging come through unchanged.
    """
    inspection = _Inspection(chunk, policy, stager, quarantine, text)
    whole = Allowance(policy.max_rows, policy.max_total_bytes, policy.bad_rows_of(chunk.source.size))
    return inspection.run(heartbeat, room or whole)


class _Inspection:
    """The state of reading one chunk."""

    def __init__(
        self,
        chunk: Chunk,
        policy: Policy,
        stager: Stager | None,
        quarantine: Callable[[BadRow], None] | None,
        text: ZippedText | None,
    ) -> None:
        self._chunk, self._source, self._policy, self._text = chunk, chunk.source, policy, text
        self._stager, self._quarantine = stager, quarantine
        self._turns = TurnChecker(policy)
        self._tally = FindingCounter(policy.places)
        self._result = ChunkResult()
        self._digests, self._prompts = DigestEntries(), DigestEntries()
        self._counted: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        """Turns, characters and tokens of the rows of some batches."""

    def run(self, heartbeat: Callable[[], None], room: Allowance) -> ChunkResult:
        result = self._result
        try:
            self._check_before()
            self._read(heartbeat, room)
        except FileRefused as fault:
            result.fault = StopReason(fault.rule, fault.found, fault.expected)
        self._flush()
        result.findings = self._tally.findings
        result.digests, result.prompts = self._digests.packed(), self._prompts.packed()
        return result

    def _check_before(self) -> None:
        source, most = self._source, self._policy.max_file_bytes
        if source.known_format is None:
            name = source.path.rsplit("/", 1)[-1]
            how = f"; {prepare_command(name)} makes a snapshot of it" if is_convertible(name) else ""
            raise FileRefused("file-extension", name[-40:], f".jsonl, .jsonl.gz or .parquet{how}")
        if source.size > most:
            raise FileRefused("too-large", f"{source.size} bytes", f"at most {most} bytes")

    def _read(self, heartbeat: Callable[[], None], room: Allowance) -> None:
        chunk, turns, policy = self._chunk, self._turns, self._policy
        meter = ByteMeter(policy, room.size)
        try:
            if self._source.known_format == "jsonl.gz":
                with (
                    closing(ZippedText(self._source.open())) if self._text is None else nullcontext(self._text) as text
                ):
                    text.heartbeat = heartbeat
                    self._take(zipped_rows(chunk, text, turns, policy, meter), room)
                    if chunk.end is not None and chunk.text[1] is None and not text.is_over():
                        self._result.text_end = text.at
                return
            with closing(WatchedFile(self._source.open(), heartbeat)) as file:
                self._take(_read_rows(chunk, file, turns, policy, meter), room)
        finally:
            self._result.bytes_out = meter.bytes_out

    # -- rows

    def _take(self, read: Iterable[Rows], room: Allowance) -> None:
        result = self._result
        for rows in read:
            if rows is None:
                result.blank += 1
                continue
            if isinstance(rows, BlankRun):
                result.blank += rows.lines
                continue
            left = room.rows - result.rows
            if isinstance(rows, RowBatch):
                batch = rows if len(rows) <= left else rows.head(left + 1)
                result.rows += len(batch)
                self._take_batch(batch)
            else:
                result.rows += 1
                self._take_row(rows)
            if result.rows > room.rows:
                most = self._policy.max_rows
                raise FileRefused("too-many-rows", "more rows than allowed", f"at most {most}")
            if result.bad > room.bad:
                raise FileRefused(TOO_MANY_BAD, "", f"at most {self._policy.bad_rows_of(self._source.size)}")

    def _take_row(self, row: CheckedRow) -> None:
        for problem in row.problems:
            self._tally.add(problem, row.number, row.offset)
        if row.dialogue is None:
            self._leave_out(row)
            return
        if row.dialogue.fields:
            self._result.measures.fields.add("\0".join(row.dialogue.fields)[:_LONGEST_NAMES])
        self._take_batch(row.as_batch())

    def _take_batch(self, batch: RowBatch) -> None:
        dialogues, offsets = batch.dialogues, batch.offsets
        numbers = range(batch.number, batch.number + len(batch))
        digests = dialogues.digests()
        self._digests.extend(digests, numbers, offsets)
        tokens = self._measure(batch)
        if self._policy.meaning:
            for at, problem in meaning.remarks(dialogues, batch.prompts, tokens, self._policy):
                self._tally.add(problem, numbers[at], offsets[at])
            self._remember(batch, numbers)
        if self._stager is not None:
            for digest, dialogue, number in zip(digests, dialogues.each(), numbers, strict=True):
                self._stager.add(digest, dialogue, self._source.split, number)

    def _measure(self, batch: RowBatch) -> NDArray[Any]:
        """Count what the statistics tell; the estimated tokens of each row."""
        dialogues, measures = batch.dialogues, self._result.measures
        turns = dialogues.lengths()
        tokens = estimated_tokens(dialogues.sizes(), turns)
        self._counted.append((turns, dialogues.characters(), tokens))
        measures.rows += len(batch)
        if len(self._counted) >= _AT_A_TIME:
            self._flush()
        for roles, rows in dialogues.patterns().items():
            measures.patterns.add("\0".join(roles), rows)
        for columns, rows in Counter(batch.columns).items():
            measures.columns.add("\0".join(sorted(columns))[:_LONGEST_NAMES], rows)  # a row's own order tells nothing
        if self._result.columns is None:
            self._result.columns = list(batch.columns[0])
        return tokens

    def _remember(self, batch: RowBatch, numbers: Sequence[int]) -> None:
        """What the fold compares with other rows."""
        identities = list(batch.prompt_ids)
        kept = [at for at, identity in enumerate(identities) if _tells_rows_apart(identity)]
        names = [str(identities[at]).encode("utf-8", "surrogatepass") for at in kept]
        places = [numbers[at] for at in kept], [batch.offsets[at] for at in kept]
        self._prompts.extend(list(map(xxhash.xxh3_128_digest, names)), *places)
        result = self._result
        if result.answers_differ:
            return
        for text in batch.dialogues.answers():
            answer = xxhash.xxh3_128_digest(text.encode())
            result.answers_differ = result.answer is not None and answer != result.answer
            result.answer = answer
            if result.answers_differ:
                return

    def _flush(self) -> None:
        import numpy

        if not self._counted:
            return
        measures = self._result.measures
        turns, characters, tokens = map(numpy.concatenate, zip(*self._counted, strict=True))
        measures.too_long += int((tokens > self._policy.context_tokens).sum())
        measures.turns.add(turns)
        measures.characters.add(characters)
        measures.tokens.add(tokens)
        self._counted = []

    def _leave_out(self, row: CheckedRow) -> None:
        self._result.bad += 1
        if self._policy.max_bad_percent == 0:
            if self._stager is not None:
                self._stager.stop()
        elif self._quarantine is not None:
            self._quarantine(_bad_row(self._chunk, row))


def _tells_rows_apart(identity: Any) -> bool:
    """Whether this is an id of a prompt. A number of more than 64 bits is a rounded one to some decoders."""
    if isinstance(identity, int):
        return -(1 << 63) <= identity < 1 << 64
    return isinstance(identity, str) and identity != ""


def _bad_row(chunk: Chunk, row: CheckedRow) -> BadRow:
    problem = next(problem for problem in row.problems if is_bad([problem]))
    where = f" at {problem.path}" if problem.path and problem.path not in problem.found else ""
    message = f"{RULES[problem.rule].explanation} Found {problem.found}{where}; expected {problem.expected}."
    source = chunk.source
    return BadRow(source.split, source.path, row.number, row.offset, problem.rule, message, row.content)


def _read_rows(chunk: Chunk, file: WatchedFile, turns: TurnChecker, policy: Policy, meter: ByteMeter) -> Iterator[Rows]:
    if chunk.source.known_format == "parquet":
        from shared.validation.parquet import parquet_rows

        return parquet_rows(chunk, file, turns, policy, meter)
    return jsonl_rows(chunk, file, turns, policy, meter)
