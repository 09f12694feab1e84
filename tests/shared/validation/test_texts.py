"""Texts that many rows share stay one object, and come out as Arrow would give them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from shared.validation.texts import as_python, size_of

WORDS = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 1], pa.int8()), pa.array(["a", "bé", "unused"]))
ARRAYS: list[Any] = [
    WORDS,
    WORDS.slice(1, 2),
    pa.array([], WORDS.type),
    pa.array([["x"], None, [], ["y", None]], pa.list_(pa.string())),
    pa.array([[1, 2], [3, None]], pa.list_(pa.int64(), 2)),
    pa.array([[{"a": 1, "b": ["x"]}, None], None, [{"a": None, "b": None}]]),
    pa.array([[{"a": 1, "b": ["x"]}, None], None, [{"a": None, "b": None}]]).slice(1, 2),
    pa.ListArray.from_arrays(pa.array([0, 1, 4]), pa.StructArray.from_arrays([WORDS, pa.array(range(4))], ["w", "n"])),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.type))
def test_values_are_those_of_arrow(array: Any) -> None:
    assert as_python(array) == array.to_pylist()


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_bytes_that_their_writer_did_not_call_texts_are_read_as_texts(kind: Any) -> None:
    assert as_python(pa.array([b"x", None, "bé".encode()], kind)) == ["x", None, "bé"]
    with pytest.raises(UnicodeDecodeError):
        as_python(pa.array([b"caf\xe9"], kind))


def test_equal_texts_are_one_object_and_are_counted_each_time() -> None:
    text = "long " * 1000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 50, pa.int32()), pa.array([text]))
    assert len({id(found) for found in as_python(texts)}) == 1
    turns = pa.StructArray.from_arrays([texts, pa.array(range(50))], ["content", "n"])
    batch = pa.record_batch({"messages": pa.ListArray.from_arrays(pa.array([0, 20, 50]), turns), "prompt": WORDS[:2]})
    assert size_of(batch) == 50 * len(text) + len("abé".encode())
    assert size_of(batch.slice(1)) == 30 * len(text) + len("bé".encode())


def test_text_that_is_no_utf8_fails_only_where_it_is_used() -> None:
    bad = pa.array([b"fine", b"caf\xe9"]).view(pa.string())
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int8()), bad)
    assert as_python(texts.slice(0, 1)) == as_python(texts.slice(2)) == ["fine"]
    with pytest.raises(UnicodeDecodeError):
        as_python(texts)
