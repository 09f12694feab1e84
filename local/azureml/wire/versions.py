"""Containers of versions: what the SDK reads to number the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def container_properties(newest_first: Sequence[str]) -> dict[str, Any]:
    """`latestVersion` and `nextVersion`; the SDK fails when one of them is missing."""
    numbers = [int(version) for version in newest_first if version.isdigit()]
    return {
        "latestVersion": newest_first[0],
        "nextVersion": str(max(numbers, default=0) + 1),
        "isArchived": False,
        "tags": {},
        "properties": {},
    }
