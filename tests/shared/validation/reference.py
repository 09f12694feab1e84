"""What validation has to find, written down a second time: small, obvious and slow.

Made from docs/validation-rules.md, with nothing of the engine but its `Policy` (the limits, as values): everything is
in memory, every line is looked at with `json`, and nothing is remembered, cut or hurried. The property test in
`test_reference.py` holds the engine to it.
"""

from __future__ import annotations

import io
import json
import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import xxhash

from shared.chatdata.splits import Split
from shared.validation.policy import Policy

FILE_ERRORS = {
    *("no-files", "no-train-split", "no-train-rows", "split-unknown", "double-extension", "file-extension"),
    *("file-empty", "file-format", "file-unreadable", "messages-column-missing", "messages-column-type"),
    *("too-large", "too-many-rows", "too-few-rows"),
}
WARNINGS = {"byte-order-mark", "weight-zero"}
TOOLS = {
    *("tool", "tool_call", "tool_calls", "tool_response", "tool_result", "tool_results", "tool_output", "observation"),
    *("function", "function_call", "function_response", "function_result", "ipython"),
}
MARKERS = [
    *("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|im_sep|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|tool|>"),
    *("<|tool_call|>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>"),
]
SECRETS = [
    r"-----BEGIN ([A-Z]+ )*PRIVATE KEY( BLOCK)?-----",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"AccountKey=[A-Za-z0-9+/]{80,}",
    r"\bsk-([A-Za-z]+-)*[A-Za-z0-9_-]{20,}",
    r"\bgh[opsru]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{40,}",
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    r"\bhf_[A-Za-z0-9]{30,}\b",
    r"\bAIza[A-Za-z0-9_-]{35}\b",
    r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
]
FORMATS = {
    b"PAR1": "parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg",
    b"%PDF": "pdf", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"SQLite format 3": "sqlite",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"ARROW1": "arrow",
}  # fmt: skip
DATA_ENDINGS = "jsonl ndjson json parquet csv tsv txt arrow feather orc avro xls xlsx zip gz bz2 xz zst tar tgz 7z rar"


class File(NamedTuple):
    """A file of a snapshot."""

    path: str
    split: Split | None
    data: bytes


class Finding(NamedTuple):
    """A rule that was broken, and where."""

    rule: str
    file: str | None = None
    row: int | None = None
    byte_offset: int | None = None
    path: str | None = None


class Fault(NamedTuple):
    """A rule that a row breaks: where inside of it, and how many bytes after its start."""

    rule: str
    path: str | None = None
    shift: int = 0


@dataclass
class Verdict:
    """Everything that is certain about a snapshot."""

    verdict: str = ""
    rows: int = 0
    good: int = 0
    bad: int = 0
    duplicates: int = 0
    blank: int = 0
    findings: Counter[Finding] = field(default_factory=Counter)
    bad_rows: list[tuple[str, int]] = field(default_factory=list, compare=False)
    """File and row, in reading order."""
    splits: dict[str, int] = field(default_factory=dict)


class Good(NamedTuple):
    """A row without an error."""

    file: File
    number: int
    offset: int | None
    row: dict[str, Any]

    @property
    def turns(self) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = self.row["messages"]
        return turns

    @property
    def dialogue(self) -> tuple[tuple[str, str], ...]:
        return tuple((turn["role"], turn["content"]) for turn in self.turns)

    def breaks(self, rule: str, path: str | None = None) -> Finding:
        return Finding(rule, self.file.path, self.number, self.offset, path)


def judged(files: Sequence[File], policy: Policy) -> Verdict:
    """Validate a snapshot."""
    found = Verdict()
    found.findings.update(about_names(files))
    good = read_all(files, policy, found)
    found.findings.update(about_columns(good))
    if policy.meaning:
        for row in good:
            found.findings.update(row.breaks(*fault) for fault in about_meaning(row, policy))
    firsts: dict[tuple[tuple[str, str], ...], Good] = {}
    for row in good:
        first = firsts.setdefault(row.dialogue, row)
        if first is not row:
            leaked = split_of(first.file) != split_of(row.file)
            found.findings[row.breaks("leaked-row" if leaked else "duplicate-row")] += 1
    distinct = list(firsts.values())
    found.duplicates, found.good = len(good) - len(distinct), len(distinct)
    if policy.meaning:
        found.findings.update(about_prompt_ids(distinct))
    found.splits = shares(distinct, {file.split for file in files})
    broken = {finding.rule for finding in found.findings}
    if broken & FILE_ERRORS:
        pass
    elif len(distinct) < policy.min_rows:
        found.findings[Finding("too-few-rows")] += 1
    elif found.splits["train"] == 0:
        found.findings[Finding("no-train-rows")] += 1
    answers = {row.dialogue[-1] for row in good}
    if policy.meaning and len(distinct) >= policy.min_rows and len(answers) == 1:
        found.findings[Finding("identical-answers")] += 1
    broken = {finding.rule for finding in found.findings}
    refused = broken & FILE_ERRORS or found.bad * 100 > found.rows * policy.max_bad_percent
    found.verdict = "rejected" if refused else "accepted"
    return found


def split_of(file: File) -> Split:
    """A file that names no split is trained on."""
    return file.split or "train"


# Files


def about_names(files: Sequence[File]) -> Iterator[Finding]:
    """What the names of the files tell."""
    if not files:
        yield Finding("no-files")
    elif all(file.split in ("test", "validation") for file in files):
        yield Finding("no-train-split")
    for file in files:
        if file.split is None and any(other.split for other in files):
            yield Finding("split-unknown", file.path)
        inner = re.fullmatch(r".*\.(\w+)(\.jsonl|\.jsonl\.gz|\.parquet)", file.path.lower())
        if inner and inner[1] in DATA_ENDINGS.split():
            yield Finding("double-extension", file.path)


def read_all(files: Sequence[File], policy: Policy, found: Verdict) -> list[Good]:
    """The good rows, held-out files first; rows and their faults are counted on the way."""
    good: list[Good] = []
    room = policy.max_total_bytes
    for file in sorted(files, key=lambda file: ["test", "validation", "train"].index(split_of(file))):
        rows, fault = rows_of(file, policy, room)
        before = found.rows
        for number, offset, value, faults in rows:
            if value is BLANK:
                found.blank += 1
                continue
            found.rows += 1
            found.findings.update(
                Finding(rule, file.path, number, None if offset is None else offset + shift, path)
                for rule, path, shift in faults
            )
            if any(rule not in WARNINGS for rule, *_ in faults):
                found.bad += 1
                found.bad_rows.append((file.path, number))
            else:
                good.append(Good(file, number, offset, value))
            if found.rows > policy.max_rows:
                fault = "too-many-rows"
                break
        room -= 0 if fault else len(file.data)
        if fault or found.rows == before:
            found.findings[Finding(fault or "file-empty", file.path)] += 1
        if fault in ("too-large", "too-many-rows"):
            break
    return good


BLANK = object()
type Rows = list[tuple[int, int | None, Any, list[Fault]]]
"""Number, byte offset, value and faults."""


def rows_of(file: File, policy: Policy, room: int) -> tuple[Rows, str | None]:
    """The rows of a file, and the rule that the file as a whole breaks."""
    name, data = file.path, file.data
    if not name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
        return [], "file-extension"
    if len(data) > policy.max_file_bytes:
        return [], "too-large"
    own = {"parquet": "parquet", "gz": "gzip"}.get(name.rpartition(".")[2])
    if any(data.startswith(magic) and form != own for magic, form in FORMATS.items()):
        return [], "file-format"
    if own == "parquet":
        return parquet_rows(data, policy)
    if own == "gzip":
        if not b"\x1f\x8b".startswith(data[:2]):
            return [], "file-format"
        data, fault = unzipped(data)
        if any(data.startswith(magic) for magic in FORMATS):
            return [], "file-format"
        whole = data if fault is None else data[: data.rfind(b"\n") + 1]
        return jsonl_rows(whole, policy), fault
    if len(data) > room:
        return [], "too-large"
    return jsonl_rows(data, policy), None


def unzipped(data: bytes) -> tuple[bytes, str | None]:
    """All that can be decompressed, member after member."""
    out = b""
    while data:
        member = zlib.decompressobj(31)
        try:
            out += member.decompress(data)
        except zlib.error:
            return out, "file-unreadable"
        if not member.eof:
            return out, "file-unreadable"
        data = member.unused_data.lstrip(b"\0")
    return out, None


def jsonl_rows(data: bytes, policy: Policy) -> Rows:
    """The lines of a JSONL file."""
    rows: Rows = []
    offset = 0
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for number, line in enumerate(lines, 1):
        if len(line) > policy.max_line_bytes:
            rows.append((number, offset, None, [Fault("row-too-long")]))
        elif not line.strip():
            rows.append((number, offset, BLANK, []))
        else:
            value, faults = read_line(line, policy)
            if all(fault.rule in WARNINGS for fault in faults):
                faults = faults + about_row(value, policy)
            rows.append((number, offset, value, faults))
        offset += len(line) + 1
    return rows


def parquet_rows(data: bytes, policy: Policy) -> tuple[Rows, str | None]:
    """The rows of a parquet file."""
    try:
        table = pq.read_table(io.BytesIO(data), use_threads=False)
    except (pa.ArrowException, OSError):
        return [], "file-unreadable"
    if table.schema.names.count("messages") != 1:
        return [], "messages-column-missing"
    if not re.search(r"list<.*struct<.*role: (large_)?string", str(table.schema.field("messages").type)):
        return [], "messages-column-type"
    if table.num_rows > policy.max_rows:
        return [], "too-many-rows"
    rows: Rows = []
    for at in range(table.num_rows):
        try:
            (row,) = table.slice(at, 1).to_pylist()
        except UnicodeDecodeError:
            rows.append((at + 1, None, None, [Fault("invalid-utf8")]))
            continue
        # a column has a value in every row; null means that the row has none
        row["messages"] = row["messages"] and [
            turn and {name: value for name, value in turn.items() if value is not None or name in ("role", "content")}
            for turn in row["messages"]
        ]
        said = "".join(turn["content"] or "" for turn in row["messages"] or [] if turn)
        too_long = len(said.encode()) > policy.max_line_bytes
        rows.append((at + 1, None, row, [Fault("row-too-long")] if too_long else about_row(row, policy)))
    return rows, None


# Lines


class Pairs(list[tuple[str, Any]]):
    """A JSON object with everything that was written, repeated keys too."""


def read_line(line: bytes, policy: Policy) -> tuple[Any, list[Fault]]:
    """The value of a line, and what is wrong with how it is written."""
    faults: list[Fault] = []
    skipped = 0
    if line.startswith(b"\xef\xbb\xbf"):
        faults.append(Fault("byte-order-mark"))
        line, skipped = line[3:], 3
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        return None, [*faults, Fault("invalid-utf8", None, skipped + wrong.start)]
    if depth_of(text) > policy.max_depth:
        return None, [*faults, Fault("nesting-too-deep")]
    try:
        value = json.loads(text, object_pairs_hook=Pairs, parse_int=float)
    except json.JSONDecodeError as wrong:
        shift = skipped + len(text[: wrong.pos].encode())
        return None, [*faults, Fault("invalid-json", f"column {wrong.pos + 1}", shift)]
    everything = list(walked(value, ""))
    repeats = any(len({name for name, _ in pairs}) < len(pairs) for _, pairs in everything if isinstance(pairs, Pairs))
    if repeats:
        faults.append(Fault("repeated-key"))
    numbers = [path for path, found in everything if isinstance(found, float) and not math.isfinite(found)]
    if numbers:
        faults.append(Fault("not-a-number", None if repeats else numbers[0]))
    halves = [path for path, found in everything if isinstance(found, str) and re.search("[\ud800-\udfff]", found)]
    if halves:
        faults.append(Fault("lone-surrogate", None if repeats else halves[0]))
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 400 else math.inf), faults


def depth_of(text: str) -> int:
    """How deep a text is nested, JSON or not."""
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def walked(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A value and all that is in it, keys too, each with its path."""
    yield path, value
    if isinstance(value, Pairs):
        for name, inner in value:
            yield f"{path}.a key".lstrip("."), name
            yield from walked(inner, f"{path}.{printable(name)}".lstrip("."))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from walked(inner, f"{path}[{at}]")


def printable(name: str) -> str:
    """A name as a report shows it."""
    short = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:40])
    return short if len(name) <= 40 else f"{short}…"


# Dialogues


def about_row(row: Any, policy: Policy) -> list[Fault]:
    """What is wrong with what a row holds."""
    if not isinstance(row, dict):
        return [Fault("not-an-object")]
    if "messages" not in row:
        return [Fault("messages-missing")]
    turns = row["messages"]
    if not isinstance(turns, list):
        return [Fault("messages-not-list", "messages")]
    if not turns:
        return [Fault("messages-empty", "messages")]
    if len(turns) > policy.max_messages:
        return [Fault("too-many-messages", "messages")]
    faults: list[Fault] = []
    for at, turn in enumerate(turns):
        path = f"messages[{at}]"
        if not isinstance(turn, dict):
            faults.append(Fault("message-not-object", path))
            continue
        faults += about_role(turn, path, policy)
        faults += about_content(turn, path)
        for name in ("tool_calls", "function_call"):
            if any(leaves(turn.get(name))):
                faults.append(Fault("tool-calls", f"{path}.{name}"))
        weight = turn.get("weight")
        if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
            faults.append(Fault("weight-invalid", f"{path}.weight"))
    for alone in ("role-tool", "tool-calls"):
        if any(fault.rule == alone for fault in faults):
            return [fault for fault in faults if fault.rule == alone]
    if not any(fault.rule.startswith(("role-", "system-", "message-")) for fault in faults):
        faults += about_order([turn["role"] for turn in turns])
    return faults or about_weights(turns)


def leaves(value: Any) -> Iterator[Any]:
    """All that is in a value and holds nothing itself."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


def about_weights(turns: list[dict[str, Any]]) -> list[Fault]:
    """What answers that count nothing mean to a trainer that counts all."""
    answers = {at: turn.get("weight") for at, turn in enumerate(turns) if turn["role"] == "assistant"}
    nothing = [at for at, weight in answers.items() if weight == 0]
    if nothing and len(nothing) == len(answers):
        return [Fault("no-weighted-answer", "messages")]
    return [Fault("weight-zero", f"messages[{at}].weight") for at in nothing]


def about_role(turn: dict[str, Any], path: str, policy: Policy) -> Iterator[Fault]:
    """What is wrong with who speaks."""
    role = turn.get("role")
    if "role" not in turn:
        yield Fault("role-missing", path)
    elif not isinstance(role, str):
        yield Fault("role-not-text", f"{path}.role")
    elif role == "system" and policy.system_turns == "reject":
        yield Fault("system-rejected", f"{path}.role")
    elif role in policy.roles or (role == "system" and policy.system_turns == "fold"):
        pass
    elif role == "system":
        yield Fault("system-dropped", f"{path}.role")
    elif role.strip().lower() in TOOLS:
        yield Fault("role-tool", f"{path}.role")
    else:
        yield Fault("role-unknown", f"{path}.role")


def about_content(turn: dict[str, Any], path: str) -> Iterator[Fault]:
    """What is wrong with what is said."""
    content = turn.get("content")
    if "content" not in turn:
        yield Fault("content-missing", path)
    elif content is None:
        yield Fault("content-null", f"{path}.content")
    elif isinstance(content, list):
        yield Fault("content-multimodal", f"{path}.content")
    elif not isinstance(content, str):
        yield Fault("content-not-text", f"{path}.content")
    elif content == "":
        yield Fault("content-empty", f"{path}.content")
    elif all(c.isspace() or unicodedata.category(c) == "Cf" for c in content):
        yield Fault("content-blank", f"{path}.content")
    elif "\0" in content:
        yield Fault("content-nul", f"{path}.content")


def about_order(roles: list[str]) -> Iterator[Fault]:
    """What is wrong with who speaks when."""
    for at, role in enumerate(roles):
        before = roles[at - 1] if at else None
        spoken = [other for other in roles[:at] if other != "system"]
        path = f"messages[{at}].role"
        if role == "system" and at > 0:
            yield Fault("system-not-first", path)
        if role not in ("system", "user") and not spoken:
            yield Fault("first-not-user", path)
        if role == before and role != "system" and role not in TOOLS:
            yield Fault("role-repeated", path)
        if role in TOOLS and spoken[-1:] == ["user"]:
            yield Fault("tool-misplaced", path)
    if "assistant" not in roles:
        yield Fault("no-assistant", "messages")
    elif roles[-1] not in ("assistant", "system"):
        yield Fault("last-not-assistant", f"messages[{len(roles) - 1}].role")


# Meaning


def about_meaning(row: Good, policy: Policy) -> Iterator[tuple[str, str]]:
    """What should be told about a good row."""
    contents = [turn["content"] for turn in row.turns]
    if len("\0".join(contents).encode()) // 4 + 4 * len(contents) > policy.context_tokens:
        yield "longer-than-context", "messages"
    for at, content in enumerate(contents):
        path = f"messages[{at}].content"
        if any(marker in content for marker in MARKERS):
            yield "template-marker", path
        if any((ord(c) < 32 and c not in "\t\n\r\f") or c == "\x7f" for c in content):
            yield "control-character", path
        for secret in SECRETS:
            if re.search(secret, content):
                yield "likely-secret", path
    prompt = row.row.get("prompt")
    asked = next(turn["content"] for turn in row.turns if turn["role"] == "user")
    if isinstance(prompt, str) and prompt.strip() != asked.strip():
        yield "prompt-differs", "prompt"
    answer = contents[-1].rstrip()
    times = policy.max_repeats
    for period in range(1, len(answer) // times + 1 if len(answer) >= 24 * times else 0):
        if answer[-24 - period : -period] == answer[-24:]:
            unit = answer[-period:]
            if answer.endswith(unit * times) and set(unit) - set("-=_*#.~ \n|+0"):
                yield "repetitive-answer", f"messages[{len(contents) - 1}].content"
            break


def about_columns(good: Sequence[Good]) -> Iterator[Finding]:
    """Files whose first good row has other columns than the first good row of all."""
    firsts: dict[str, Good] = {}
    for row in good:
        firsts.setdefault(row.file.path, row)
    for path, row in firsts.items():
        if set(row.row) != set(good[0].row):
            yield Finding("mixed-columns", path)


def about_prompt_ids(distinct: Sequence[Good]) -> Iterator[Finding]:
    """Different dialogues with one prompt_id."""
    seen: set[str] = set()
    for row in distinct:
        given = row.row.get("prompt_id")
        if isinstance(given, str | int) and given != "":
            if str(given) in seen:
                yield row.breaks("prompt-id-repeated", "prompt_id")
            seen.add(str(given))


# Splits


def shares(distinct: Sequence[Good], given: Set[Split | None]) -> dict[str, int]:
    """How many rows each training file gets, for a dataset of seed 0 that never held a row out."""
    counts = Counter(split_of(row.file) for row in distinct)
    held_out: list[Split] = ["test", "validation"]
    missing = [split for split in held_out if split not in given]
    places = sorted(place_of(row) for row in distinct if split_of(row.file) == "train")
    wanted = min(8, max(1, len(places) // 10)) if len(places) > 1 else 0
    for share, split in enumerate(missing, 1):
        taken = sum(counts[other] for other in missing[: share - 1])
        below = len([place for place in places if place < 0.05 * share]) - taken
        counts[split] = min(max(below, wanted, 0), counts["train"])
        counts["train"] -= counts[split]
    return {split: counts[split] for split in ("train", "validation", "test")}


def place_of(row: Good) -> float:
    """A hash of roles and contents in [0, 1), which never changes, or a row once held out would be trained on."""
    seed = xxhash.xxh3_64_intdigest("|".join(role for role, _ in row.dialogue).encode())
    digest = xxhash.xxh3_128_digest("\0".join(content for _, content in row.dialogue).encode(), seed)
    return (xxhash.xxh3_64_intdigest(digest, 0) >> 11) / 2.0**53
