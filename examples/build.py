"""Writes `support-bot.parquet` from `support-bot.jsonl`: the same rows, in the same order.

Run by a person after the dialogues were edited (`python examples/build.py`); repeating it changes no row.
"""

import json
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

HERE = Path(__file__).parent
TURN = pa.struct([("role", pa.string()), ("content", pa.string())])
SCHEMA = pa.schema([("prompt", pa.string()), ("prompt_id", pa.string()), ("messages", pa.list_(TURN))])


def main() -> None:
    """Read every line, write one table."""
    lines = (HERE / "support-bot.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), HERE / "support-bot.parquet")
    print(f"{len(rows)} rows written")


if __name__ == "__main__":
    main()
