"""Files that people drop by mistake, or to do harm: each with the words by which its refusal can be understood.

Used on the command line (tests/cli/test_hostile.py), and in the running app (tests/e2e/test_story.py).
The name of an entry is the name of its file, and of the dataset it is dropped as.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from scripts.rule_examples import dialogue, rows

GOOD = rows(0, 30)


@dataclass(frozen=True, slots=True)
class Hostile:
    """One file."""

    name: str
    ending: str
    data: Callable[[], bytes]
    reason: str
    """Words of the refusal."""

    @property
    def file(self) -> str:
        return f"{self.name}.{self.ending}"


def _line(line: bytes) -> Callable[[], bytes]:
    """A line among good rows."""
    return lambda: GOOD + line + b"\n"


def _whole(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _turns(*turns: Any, **extra: Any) -> Callable[[], bytes]:
    return _line(json.dumps({**extra, "messages": list(turns)}).encode("utf-8", "surrogatepass"))


def _table(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def _parquet(lines: bytes = GOOD) -> bytes:
    return _table(pa.Table.from_pylist([json.loads(line) for line in lines.splitlines()]))


MESSAGES = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))


def _many_columns() -> bytes:
    return _table(pa.table({f"column {number}": ["x"] for number in range(5000)}))


def _deep_column() -> bytes:
    kind, value = pa.string(), "x"
    for _ in range(60):
        kind, value = pa.struct([("inner", kind)]), {"inner": value}  # type: ignore[assignment]
    return _table(pa.table({"messages": pa.array([value], kind)}))


def _huge_dictionary() -> bytes:
    """100,000 rows that share one answer of a megabyte: 100 GB in a file of a few kilobytes."""
    answer = "long " * 200_000
    contents = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 100_000, pa.int32()), pa.array(["Hi", answer]))
    roles = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 100_000, pa.int32()), pa.array(["user", "assistant"]))
    turns = pa.StructArray.from_arrays([contents, roles], ["content", "role"])
    lists = pa.ListArray.from_arrays(pa.array(range(0, 200_001, 2), pa.int32()), turns)
    return _table(pa.table({"messages": lists}), dictionary_pagesize_limit=2**26, compression="zstd")


def _endless_dialogue() -> bytes:
    """One dialogue of 10 million turns that are null, in a kilobyte."""
    count = 10_000_000
    turns = pa.nulls(count, MESSAGES.value_type)
    lists = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), turns)
    return _table(pa.table({"messages": lists}), compression="zstd")


def _endless_nulls() -> bytes:
    """6 million rows that are null, in a few kilobytes."""
    return _table(pa.table({"messages": pa.nulls(6_000_000, MESSAGES)}), compression="zstd")


def _huge_text() -> bytes:
    """One answer of 75 MB that compresses to almost nothing."""
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "ha " * 25_000_000}]
    return _table(pa.table({"messages": pa.array([turns], MESSAGES)}), compression="zstd", use_dictionary=False)


def _one_huge_answer() -> bytes:
    """15,000 rows that share one answer of a megabyte, in one page of so many bytes that it seems to hold them all."""
    answer = "long " * 200_000
    contents = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 15_000, pa.int32()), pa.array(["Hi", answer]))
    roles = pa.array(["user", "assistant"] * 15_000)
    turns = pa.StructArray.from_arrays([contents, roles], ["content", "role"])
    lists = pa.ListArray.from_arrays(pa.array(range(0, 30_001, 2), pa.int32()), turns)
    return _table(pa.table({"messages": lists}), dictionary_pagesize_limit=2**26, compression="zstd")


def _hidden_page() -> bytes:
    """The huge text, with a footer that says of each size that it is small."""
    data = _huge_text()
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    group = metadata.row_group(0)
    sizes = {group.total_byte_size, *(group.column(at).total_uncompressed_size for at in range(group.num_columns))}
    start = len(data) - 8 - metadata.serialized_size
    head, footer = data[:start], data[start:]
    for size in sizes:
        if size > 2**20:
            told = varint(2 * size)
            footer = footer.replace(told, b"\x82" + b"\x80" * (len(told) - 2) + b"\0")
    return head + footer


def _footer_of_unknown_fields() -> bytes:
    """A field that no parquet file has, with six million numbers of one byte, at the end of the footer."""
    data, count = _parquet(), 6_000_000
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -9] + b"\x09\xc8\x01\xf3" + varint(count) + bytes(count) + b"\0"
    return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def varint(number: int) -> bytes:
    """A number as Thrift's compact protocol writes it."""
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _gigabyte(block: bytes) -> bytes:
    """A gigabyte of the same in a gzip file of a few members."""
    return gzip.compress(block * (2**23 // len(block)), 6) * 128


ANSWER = {"role": "assistant", "content": "A cat."}

FILES: list[Hostile] = [
    # Nothing in it
    Hostile("empty", "jsonl", _whole(b""), "The file holds no row"),
    Hostile("blank-lines", "jsonl", _whole(b"\n \r\n\t\n"), "The file holds no row"),
    Hostile("empty-gzip", "jsonl.gz", _whole(b""), "The file holds no row"),
    Hostile("gzip-of-nothing", "jsonl.gz", lambda: gzip.compress(b""), "The file holds no row"),
    Hostile("empty-parquet", "parquet", _whole(b""), "damaged or cut off"),
    Hostile(
        "parquet-without-rows", "parquet", lambda: _table(pa.table({"messages": pa.array([], MESSAGES)})), "no row"
    ),
    # Something else under a wrong name
    Hostile("png-image", "jsonl", _whole(b"\x89PNG\r\n\x1a\n" + bytes(100)), "a PNG image"),
    Hostile("jpeg-image", "jsonl", _whole(b"\xff\xd8\xff\xe0" + bytes(100)), "a JPEG image"),
    Hostile("pdf-document", "jsonl", _whole(b"%PDF-1.7\n%"), "a PDF document"),
    Hostile("excel-workbook", "jsonl", _whole(b"PK\x03\x04" + bytes(100)), "a ZIP archive"),
    Hostile("sqlite-database", "jsonl", _whole(b"SQLite format 3\0" + bytes(100)), "an SQLite database"),
    Hostile("zstandard", "jsonl.gz", _whole(b"\x28\xb5\x2f\xfd" + bytes(100)), "found Zstandard; expected gzip"),
    Hostile("parquet-called-jsonl", "jsonl", _parquet, "found parquet; expected JSONL"),
    Hostile("gzip-called-jsonl", "jsonl", lambda: gzip.compress(GOOD), "found gzip; expected JSONL"),
    Hostile("jsonl-called-gzip", "jsonl.gz", _whole(GOOD), "found one JSON value a line, as in JSONL; expected gzip"),
    Hostile("jsonl-called-parquet", "parquet", _whole(GOOD), "one JSON value a line, as in JSONL; expected parquet"),
    Hostile("gzip-in-gzip", "jsonl.gz", lambda: gzip.compress(gzip.compress(GOOD)), "found gzip; expected JSONL"),
    Hostile("csv-called-jsonl", "jsonl", _whole(b"question,answer\nHi,Hello.\n"), "separated values (CSV)"),
    Hostile("web-page", "jsonl", _whole(b"<!DOCTYPE html>\n<html>404</html>\n"), "a page of HTML"),
    Hostile(
        "git-lfs-pointer",
        "jsonl",
        _whole(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "a Git LFS pointer",
    ),
    Hostile("random-bytes", "jsonl", lambda: gzip.compress(GOOD)[12:400], "not UTF-8"),
    # Damaged
    Hostile("gzip-cut-off", "jsonl.gz", lambda: gzip.compress(GOOD)[:-40], "damaged or cut off"),
    Hostile("gzip-header-only", "jsonl.gz", lambda: gzip.compress(GOOD)[:10], "damaged or cut off"),
    Hostile("gzip-with-more-behind", "jsonl.gz", lambda: gzip.compress(GOOD) + b"more", "damaged or cut off"),
    Hostile("gzip-bad-checksum", "jsonl.gz", lambda: gzip.compress(GOOD)[:-8] + bytes(8), "its checksum is wrong"),
    Hostile(
        "gzip-second-member-bad",
        "jsonl.gz",
        lambda: gzip.compress(GOOD) + gzip.compress(b"{}\n"),
        "The row has no messages",
    ),
    Hostile("parquet-cut-in-half", "parquet", lambda: _parquet()[: len(_parquet()) // 2], "damaged or cut off"),
    Hostile("parquet-magic-only", "parquet", _whole(b"PAR1PAR1"), "damaged or cut off"),
    Hostile("parquet-bad-footer", "parquet", lambda: _parquet()[:-8] + b"\xff\xff\xff\x7fPAR1", "damaged or cut off"),
    Hostile(
        "parquet-noise-in-footer",
        "parquet",
        lambda: _parquet()[:-60] + b"\x15" * 52 + _parquet()[-8:],
        "damaged or cut off",
    ),
    Hostile("parquet-encrypted", "parquet", lambda: b"PARE" + _parquet()[4:-4] + b"PARE", "an encrypted parquet file"),
    Hostile("last-line-cut-off", "jsonl", lambda: GOOD[:-20], "The line is not one JSON value"),
    # Bombs
    Hostile("gzip-bomb", "jsonl.gz", lambda: _gigabyte(b"\0"), "grows out of proportion"),
    Hostile(
        "gzip-bomb-of-rows",
        "jsonl.gz",
        lambda: _gigabyte(dialogue(("user", "a" * 5000), ("assistant", "b" * 5000))),
        "grows out of proportion",
    ),
    Hostile("nested-arrays", "jsonl", _line(b"[" * 1_000_000), "nested deeper than allowed"),
    Hostile("nested-objects", "jsonl", _line(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "nested deeper than allowed"),
    Hostile(
        "huge-number", "jsonl", _line(b'{"n": ' + b"9" * 1_000_000 + b', "messages": []}'), "too large for a number"
    ),
    Hostile("huge-key", "jsonl", _line(b'{"' + b"k" * 2_000_000 + b'": 1}'), "The row has no messages"),
    Hostile(
        "many-keys",
        "jsonl",
        _line(json.dumps({f"k{n}": n for n in range(100_000)}).encode()),
        "The row has no messages",
    ),
    Hostile("million-turns", "jsonl", _line(b'{"messages": [' + b"7," * 1_000_000 + b"7]}"), "more turns than allowed"),
    Hostile("one-long-line", "jsonl", lambda: b"x" * (16 * 2**20), "longer than a row may be"),
    Hostile("parquet-many-columns", "parquet", _many_columns, "no column named messages"),
    Hostile("parquet-deep-column", "parquet", _deep_column, "not a list of objects"),
    Hostile("parquet-huge-dictionary", "parquet", _huge_dictionary, "grows out of proportion"),
    Hostile("parquet-one-huge-answer", "parquet", _one_huge_answer, "grows out of proportion"),
    Hostile("parquet-hidden-page", "parquet", _hidden_page, "grows out of proportion"),
    Hostile("parquet-footer-of-unknown-fields", "parquet", _footer_of_unknown_fields, "far more than the rows need"),
    Hostile("parquet-endless-dialogue", "parquet", _endless_dialogue, "grows out of proportion"),
    Hostile("parquet-endless-nulls", "parquet", _endless_nulls, "more rows than allowed"),
    Hostile("parquet-huge-text", "parquet", _huge_text, "grows out of proportion"),
    Hostile("parquet-without-columns", "parquet", lambda: _table(pa.table({})), "no column named messages"),
    Hostile("parquet-other-columns", "parquet", lambda: _table(pa.table({"text": ["a"]})), "no column named messages"),
    Hostile("parquet-json-as-text", "parquet", lambda: _table(pa.table({"messages": ["[]"]})), "not a list of objects"),
    # Encodings
    Hostile("utf-16", "jsonl", lambda: GOOD.decode().encode("utf-16"), "text in UTF-16"),
    Hostile("utf-16-without-mark", "jsonl", lambda: GOOD.decode().encode("utf-16-le"), "text in UTF-16"),
    Hostile("latin-1", "jsonl", _line('{"messages": "café"}'.encode("latin-1")), "not UTF-8"),
    Hostile("two-byte-order-marks", "jsonl", lambda: b"\xef\xbb\xbf" * 2 + GOOD, "The line is not one JSON value"),
    Hostile("nul-bytes", "jsonl", _whole(bytes(4096)), "The line is not one JSON value"),
    Hostile("cr-line-ends", "jsonl", lambda: GOOD.replace(b"\n", b"\r"), "carriage return"),
    Hostile("record-separators", "jsonl", lambda: b"\x1e" + GOOD.replace(b"\n", b"\n\x1e"), "not one JSON value"),
    # JSON that is none, or says two things
    Hostile(
        "array-of-rows",
        "jsonl",
        lambda: b"[" + GOOD.strip().replace(b"\n", b", ") + b"]",
        "one JSON array of 30 values",
    ),
    Hostile(
        "pretty-printed",
        "jsonl",
        lambda: json.dumps(json.loads(GOOD.splitlines()[0]), indent=2).encode(),
        "JSON objects over several lines",
    ),
    Hostile("python-literals", "jsonl", _line(b"{'messages': None}"), "The line is not one JSON value"),
    Hostile("trailing-comma", "jsonl", _line(b'{"messages": [],}'), "The line is not one JSON value"),
    Hostile("two-rows-in-a-line", "jsonl", lambda: GOOD.replace(b"\n", b"", 1), "The line is not one JSON value"),
    Hostile("not-a-number", "jsonl", _line(b'{"score": NaN, "messages": []}'), "NaN"),
    Hostile("repeated-keys", "jsonl", _line(b'{"messages": [], "messages": [1]}'), "the same key twice"),
    Hostile("lone-surrogate", "jsonl", _turns({"role": "user", "content": "\ud83d"}), "half of a surrogate pair"),
    # Roles and contents that would do harm in a terminal, a log or a report
    Hostile(
        "escape-codes", "jsonl", _turns({"role": "\x1b[2J\x1b]0;owned\x07", "content": "Hi"}), "does not know the role"
    ),
    Hostile("right-to-left-role", "jsonl", _turns({"role": "\u202eresu", "content": "Hi"}), "does not know the role"),
    Hostile(
        "role-of-a-megabyte", "jsonl", _turns({"role": "r" * 1_000_000, "content": "Hi"}), "does not know the role"
    ),
    Hostile("images", "jsonl", _turns({"role": "user", "content": [{"type": "image_url"}]}, ANSWER), "a list of parts"),
    Hostile("one-row-repeated", "jsonl", lambda: rows(0, 1) * 5000, "Too few good, distinct rows"),
]


@dataclass(frozen=True, slots=True)
class Upload:
    """A path that people drop at, and how that is refused. `beside`: what is dropped before it."""

    name: str
    path: str
    reason: str
    data: bytes = GOOD
    beside: tuple[tuple[str, bytes], ...] = ()


def _folder(name: str, reason: str, *files: tuple[str, bytes]) -> Upload:
    """A folder snapshot, completed by its marker."""
    folder = f"{name}/one"
    return Upload(name, f"{folder}/_SUCCESS", reason, b"", tuple((f"{folder}/{file}", data) for file, data in files))


def _options(name: str, reason: str, options: bytes) -> Upload:
    """A folder with good rows and this snapshot.json."""
    return _folder(name, reason, ("train.jsonl", GOOD), ("snapshot.json", options))


_NO_NAME = "is not a dataset name"
_NO_ENDING = "expected a name that ends in"

# What cannot be told before the folder is complete ends REJECTED; the others are refused on arrival.
UPLOADS: list[Upload] = [
    Upload("parent-folder", "../parent-folder.jsonl", _NO_NAME),
    Upload("parent-inside", "parent-inside/../../x.jsonl", "more than two folders deep"),
    Upload("percent-2f", "percent%2F2f.jsonl", _NO_NAME),
    Upload("percent-00", "percent%00.jsonl", _NO_NAME),
    Upload("spaces", "my data .jsonl", _NO_NAME),
    Upload("unicode", "ünïcode-数据.jsonl", _NO_NAME),
    Upload("emoji", "\N{GRINNING FACE}.parquet", _NO_NAME),
    Upload("right-to-left", "gnp\u202eelif.jsonl", _NO_NAME),
    Upload("new-line", "new\nline.jsonl", _NO_NAME),
    Upload("quotes", 'o\'clock "now".jsonl', _NO_NAME),
    Upload("900-characters", "x" * 894 + ".jsonl", _NO_NAME),
    Upload("900-below-a-dataset", "long-name/" + "x" * 884 + ".csv", _NO_ENDING),
    Upload("upper-case-ending", "upper-case-ending.JSONL", _NO_ENDING),
    Upload("no-ending", "no-ending", _NO_ENDING),
    Upload("only-an-ending", ".jsonl", _NO_ENDING),
    Upload("double-ending", "double-ending.csv.jsonl", _NO_NAME),
    Upload("double-ending-below", "double-ending-below/rows.csv.jsonl", "two data formats"),
    Upload("gzip-twice", "gzip-twice.jsonl.gz.gz", _NO_ENDING),
    Upload("zip-ending", "zip-ending.jsonl.zip", _NO_ENDING),
    Upload("split-without-folder", "train.jsonl", "named like a split"),
    Upload("split-without-marker", "split-without-marker/test.jsonl", "belongs into a folder"),
    Upload("marker-without-folder", "marker-without-folder/_SUCCESS", "the marker belongs into a folder", b""),
    Upload("marker-alone", "_SUCCESS", _NO_ENDING, b""),
    Upload("too-deep", "too-deep/one/two/train.jsonl", "more than two folders deep"),
    Upload("upper-case-dataset", "Upper-Case/one/_SUCCESS", _NO_NAME, b""),
    Upload("empty-folder-name", "empty-folder-name//rows.jsonl", "a folder without a name"),
    _folder("nothing-but-the-marker", "holds no file"),
    _folder("readme-only", "holds no file", ("README.md", b"rows will follow")),
    _folder("folder-in-folder", "more than two folders deep", ("train.jsonl", GOOD), ("more/train.jsonl", GOOD)),
    _folder("held-out-only", "none to train on", ("test.jsonl", GOOD)),
    _folder(
        "csv-beside", "Only .jsonl, .jsonl.gz and .parquet are read", ("train.jsonl", GOOD), ("more.csv", b"a,b\n")
    ),
    _folder("upper-case-beside", "Only .jsonl", ("train.jsonl", GOOD), ("test.JSONL", rows(30, 40))),
    _folder("misspelt-split", "it may hold test rows", ("train.jsonl", GOOD), ("tset.jsonl", rows(30, 40))),
    _options("options-broken", "snapshot.json: not JSON", b"{"),
    _options("options-empty", "snapshot.json: not JSON", b""),
    _options("options-array", "snapshot.json: expected an object", b"[]"),
    _options("options-nested", "snapshot.json: not JSON", b"[" * 60_000),
    _options("options-huge", "snapshot.json: more than the 65536 bytes", b" " * 70_000),
    _options("options-twice", "the same key twice", b'{"validation": {}, "validation": {"min_rows": 3}}'),
    _options("options-nan", "NaN is no number", b'{"validation": {"max_bad_percent": NaN}}'),
    _options("options-utf-16", "snapshot.json: ", "{}".encode("utf-16-le") + b"\xff"),
    _options("options-unknown", "did you mean 'validation'?", b'{"validatoin": {}}'),
    _options("options-looser", "would loosen the operator's", b'{"validation": {"min_rows": 3}}'),
    _options("options-escape", "snapshot.json: unknown key", b'{"\\u001b[2J\\u202e": 1}'),
    _options("options-half-a-pair", "note: half of a surrogate pair", b'{"note": "\\ud83d"}'),
    _options("options-half-a-pair-model", "base_model: half of a surrogate", b'{"base_model": "\\udc00"}'),
    _options("options-half-a-pair-key", "half of a surrogate pair", b'{"hyperparameters": {"\\ud83d": 1}}'),
    _options("options-model-elsewhere", "base_model must be 1 to 100 of", b'{"base_model": "../../../x"}'),
    _options("options-model-percent", "base_model must be 1 to 100 of", b'{"base_model": "%2e%2e%2fx"}'),
    _options("options-model-query", "base_model must be 1 to 100 of", b'{"base_model": "Phi-4?x=1#y"}'),
    _options("options-model-line", "base_model must be 1 to 100 of", b'{"base_model": "Phi-4\\nERROR all is lost"}'),
    _options("options-version-slash", "base_model_version must be", b'{"base_model_version": "1/../2"}'),
    _options("options-seed-too-large", "seed: a number beyond", b'{"hyperparameters": {"seed": 1e30}}'),
    _options("options-seed-as-text", "seed = ", b'{"hyperparameters": {"seed": "999999999999999999999999"}}'),
    _options("options-infinite", "min_rows: a number beyond", b'{"validation": {"min_rows": 1e999}}'),
    _options("options-long-key", "unknown hyperparameter", b'{"hyperparameters": {"' + b"k" * 60_000 + b'": 1}}'),
    Upload("new-line-below", "new-line-below/one\ntwo.jsonl", "cannot be shown"),
    Upload("right-to-left-below", "right-to-left-below/gnp\u202eelif.jsonl", "cannot be shown"),
    Upload("new-line-folder", "new-line-folder/one\ntwo/_SUCCESS", "cannot be shown", b""),
    Upload("dots-below", "dots-below/../rows.jsonl", "which means another blob"),
    Upload("named-like-an-id", "bot-20260921141320-0123abcd.jsonl", "the form of a snapshot's id"),
    _folder("new-line-in-folder", "cannot be shown", ("train.jsonl", GOOD), ("test\n-1.jsonl", rows(30, 40))),
]
