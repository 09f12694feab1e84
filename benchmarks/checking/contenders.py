"""Programs that check the rows of a file, each run in a process of its own: `python -m benchmarks.checking.contenders`.

The peers get the structural checks that they can express: roles known, user first, the two in turn, assistant last,
contents neither missing nor blank nor with NUL, not too many turns. Imports are not part of the time. This file imports
nothing of the project at its top, so that peers run in an environment of their own (`make peers`).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Check = Callable[[str], int]
"""Checks a file and gives the number of its rows; ends the process when one of them is bad."""

_COLUMNS = "{prompt: 'VARCHAR', messages: 'STRUCT(content VARCHAR, role VARCHAR)[]', prompt_id: 'VARCHAR'}"


def droptune_structural() -> Check:
    """Rules about files, lines and turns."""
    return _droptune(meaning=False)


def droptune_all() -> Check:
    """All rules."""
    return _droptune(meaning=True)


def _droptune(*, meaning: bool) -> Check:
    import numpy  # noqa: F401  # loaded when it is first needed
    import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401

    from cli.processes import check
    from shared.validation import Policy, local_source

    def run(path: str) -> int:
        return check([local_source(path)], Policy(meaning=meaning)).rows

    return run


def droptune_in_one_process() -> Check:
    """Rules about files, lines and turns, as one worker of the app checks them."""
    import numpy  # noqa: F401
    import pyarrow.compute  # type: ignore[import-untyped]
    import pyarrow.parquet  # noqa: F401

    from shared.validation import Policy, freeze, local_source

    return lambda path: freeze([local_source(path)], Policy(meaning=False)).report.rows


def arrow() -> Check:
    """Nothing is checked: what decoding the columns takes at least, in one thread."""
    import pyarrow.parquet as pq

    def run(path: str) -> int:
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 21)
        columns = ["messages", "prompt", "prompt_id"]
        return sum(batch.num_rows for batch in file.iter_batches(700, columns=columns, use_threads=False))

    return run


def duckdb() -> Check:
    """One query over all cores."""
    import duckdb  # type: ignore[import-not-found]

    def run(path: str) -> int:
        source = (
            f"read_parquet('{path}')"
            if path.endswith("parquet")
            else f"read_json('{path}', format='newline_delimited', columns={_COLUMNS}, maximum_object_size=8388608)"
        )
        query = f"""
            SELECT count(*), count(*) FILTER (WHERE
                messages IS NULL OR len(messages) NOT BETWEEN 1 AND 1000
                OR NOT regexp_full_match(
                    array_to_string([turn.role for turn in messages], ','),
                    '(system,)?(user,assistant,)*user,assistant')
                OR len(list_filter(messages, lambda turn:
                    turn.role IS NULL OR turn.content IS NULL OR contains(turn.content, chr(0))
                    OR NOT regexp_matches(turn.content, '\\S'))) > 0)
            FROM {source}"""
        rows, bad = duckdb.connect().execute(query).fetchall()[0]
        return _good(rows, bad)

    return run


def polars() -> Check:
    """One lazy query, streaming, over all cores."""
    import polars as pl  # type: ignore[import-not-found]

    def run(path: str) -> int:
        turn = pl.Struct({"content": pl.String, "role": pl.String})
        schema = {"prompt": pl.String, "messages": pl.List(turn), "prompt_id": pl.String}
        rows = pl.scan_parquet(path) if path.endswith("parquet") else pl.scan_ndjson(path, schema=schema)
        messages = pl.col("messages")
        role, content = pl.element().struct.field("role"), pl.element().struct.field("content")
        first, last = messages.list.first().struct.field("role"), messages.list.last().struct.field("role")
        turns_bad = (
            role.is_null()
            | ~role.is_in(["user", "assistant", "system"])
            | (role == role.shift(1))
            | content.is_null()
            | (content.str.strip_chars() == "")
            | content.str.contains("\0", literal=True)
        )
        bad = (
            ~messages.list.len().is_between(1, 1000).fill_null(value=False)
            | ~first.is_in(["user", "system"])
            | (last != "assistant")
            | messages.list.eval(turns_bad).list.any()
        )
        found = rows.select(rows=pl.len(), bad=bad.sum()).collect(engine="streaming").row(0)
        return _good(*found)

    return run


def together() -> Check:
    """The checker of a fine-tuning service, as it is; it leaves roles to the server."""
    from together.lib.utils.files import check_file  # type: ignore[import-not-found]

    def run(path: str) -> int:
        report = check_file(Path(path))
        if not report["is_check_passed"]:
            raise SystemExit(str(report)[:500])
        return int(report["num_samples"])

    return run


def datasets() -> Check:
    """Load with `datasets`, cold, and look at each row."""
    from datasets import load_dataset  # type: ignore[import-untyped]

    def run(path: str) -> int:
        kind = "parquet" if path.endswith("parquet") else "json"
        with tempfile.TemporaryDirectory() as cache:
            rows = load_dataset(kind, data_files=path, split="train", cache_dir=cache)
            return _good(len(rows), sum(_is_bad(row["messages"]) for row in rows))

    return run


def json_loop() -> Check:
    """What people write first: json.loads and a look at roles and contents, in one process."""

    def run(path: str) -> int:
        with Path(path).open("rb") as lines:
            bad = [_is_bad(json.loads(line)["messages"]) for line in lines]
        return _good(len(bad), sum(bad))

    return run


def _is_bad(messages: list[dict[str, Any]]) -> bool:
    before = ""
    for turn in messages:
        role, content = turn["role"], turn["content"]
        if role not in ("user", "assistant") or role == before or not content.strip() or "\0" in content:
            return True
        before = role
    return messages[0]["role"] != "user" or before != "assistant"


def _good(rows: int, bad: int) -> int:
    if bad:
        raise SystemExit(f"{bad} of {rows} rows are bad")
    return rows


CONTENDERS: dict[str, Callable[[], Check]] = {
    "droptune, structural rules": droptune_structural,
    "droptune, all rules": droptune_all,
    "droptune, structural rules, one process": droptune_in_one_process,
    "Arrow, decoding alone": arrow,
    "DuckDB": duckdb,
    "polars": polars,
    "together": together,
    "datasets": datasets,
    "json.loads loop": json_loop,
}
PEERS = frozenset({"DuckDB", "polars", "together"})
"""Those that are not among the project's own packages."""


def main() -> None:
    """Check one file with one contender, and tell rows and seconds."""
    name, path = sys.argv[1:]
    check = CONTENDERS[name]()
    started = time.perf_counter()
    rows = check(path)
    print(json.dumps({"seconds": time.perf_counter() - started, "rows": rows}))


if __name__ == "__main__":
    main()
