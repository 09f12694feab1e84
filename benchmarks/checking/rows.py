"""Seeded rows in the shape of ultrachat_200k, as JSONL and as parquet, and files in which every row is bad.

Two to ten turns, about 6 KB a row; words as frequent as in a language (Zipf), so that parquet compresses them as it
does text; one row in five is not pure ASCII; line ends and quotes inside texts, as answers with lists have them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

SEED = 20
_WORDS = 20_000
_CHUNK = 1000


def generate(folder: Path, megabytes: int, part: int = 0) -> dict[str, Path]:
    """Write the same rows as JSONL and as parquet; another `part` has other rows."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    lines, table = folder / f"rows-{part}.jsonl", folder / f"rows-{part}.parquet"
    schema = pa.schema(
        [
            ("prompt", pa.string()),
            ("messages", pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))),
            ("prompt_id", pa.string()),
        ]
    )
    with lines.open("w", encoding="utf-8") as out, pq.ParquetWriter(table, schema) as parquet:
        for chunk in _chunks(part):
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in chunk)
            parquet.write_table(pa.Table.from_pylist(chunk, schema))
            if out.tell() >= megabytes * 1_000_000:
                break
    return {"jsonl": lines, "parquet": table}


def _chunks(part: int) -> Iterator[list[dict[str, Any]]]:
    rng = random.Random(SEED + part)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(_WORDS)]
    words[50], words[120], words[200] = "well-known", '"so', "some_name"
    weights = list(accumulate(1 / rank for rank in range(1, _WORDS + 1)))
    number = 0
    while True:
        rows = []
        for _ in range(_CHUNK):
            turns = []
            for turn in range(2 * rng.randint(1, 5)):
                length = rng.randint(150, 280) if turn % 2 else rng.randint(15, 80)
                text = " ".join(rng.choices(words, cum_weights=weights, k=length)).replace(" qu", "\n- qu").capitalize()
                if number % 5 == 0:
                    text = f"Über {text}, „naïve“."
                turns.append({"content": text, "role": ("user", "assistant")[turn % 2]})
            rows.append({"prompt": turns[0]["content"], "messages": turns, "prompt_id": f"{part:02x}{number:062x}"})
            number += 1
        yield rows


def _other_role(row: dict[str, Any]) -> str:
    row["messages"][0]["role"] = "human"
    return json.dumps(row, ensure_ascii=False)


def _empty_answer(row: dict[str, Any]) -> str:
    row["messages"][-1]["content"] = ""
    return json.dumps(row, ensure_ascii=False)


def _cut_off(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)[:-3]


def _repeated_key(row: dict[str, Any]) -> str:
    return '{"prompt": "", ' + json.dumps(row, ensure_ascii=False)[1:]


BAD: dict[str, Callable[[dict[str, Any]], str]] = {
    "an unknown role": _other_role,
    "an empty answer": _empty_answer,
    "JSON cut off": _cut_off,
    "a repeated key": _repeated_key,
}
"""Ways in which every row of a file can be bad."""


def spoil(good: Path, kind: str) -> Path:
    """Write a file with the rows of a good one, each of them bad in the same way."""
    bad = good.with_name(kind.replace(" ", "-") + ".jsonl")
    with good.open(encoding="utf-8") as rows, bad.open("w", encoding="utf-8") as out:
        out.writelines(BAD[kind](json.loads(row)) + "\n" for row in rows)
    return bad
