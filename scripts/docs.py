"""Rewrites the generated parts of README.md: the two life cycles and the table of settings. Run by a person.

`python -m scripts.docs` after changing the life cycles or the settings; tests/test_docs.py fails until it
was run. Generated parts stand between `<!-- generated: NAME -->` and `<!-- end -->`; running it twice changes nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from shared.config.settings import Settings, setting_name
from shared.ledger.states import DATASET, SNAPSHOT

README = Path(__file__).parent.parent / "README.md"
_PART = re.compile(r"(?<=<!-- generated: )(?P<name>[a-z-]+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def parts() -> dict[str, str]:
    """Every generated part by its name."""
    return {
        "snapshot-diagram": f"```mermaid\n{SNAPSHOT.diagram()}\n```",
        "dataset-diagram": f"```mermaid\n{DATASET.diagram()}\n```",
        "settings": settings_table(),
    }


def settings_table() -> str:
    """Name, default and help of every setting, in the order of the class."""
    rows = [
        f"| `{setting_name(name)}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| setting | default | what it says |", "|---|---|---|", *rows])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == "" or isinstance(value, SecretStr):
        return ""
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"`{json.dumps(value) if isinstance(value, bool | dict) else value}`"


def written(text: str) -> str:
    """The text with every generated part as it has to be; KeyError for a marker nobody knows."""
    known = parts()
    return _PART.sub(lambda found: f"{found['name']} -->\n{known[found['name']]}\n", text)


if __name__ == "__main__":
    README.write_text(written(README.read_text("utf-8")), "utf-8")
