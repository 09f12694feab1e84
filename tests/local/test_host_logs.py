"""What the host does with the standard output of the app."""

from __future__ import annotations

import io

from local.host.logs import without_dots


def test_dots_of_pollers_are_dropped_and_all_else_is_kept() -> None:
    raw = io.BytesIO()
    plain = io.TextIOWrapper(raw, encoding="utf-8")
    output = without_dots(plain)
    print(".", end="", flush=True, file=output)
    print("step ... done.", file=output)
    assert raw.getvalue() == b"step ... done.\n"
