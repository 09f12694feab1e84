"""docs/validation-report.schema.json: what a report looks like, for whoever reads one with another tool.

`python -m scripts.report_schema > docs/validation-report.schema.json`; a test compares the two.
"""

from __future__ import annotations

import json
import sys

from shared.validation.report import ValidationReport


def schema() -> str:
    """The JSON schema of a stored report."""
    found = ValidationReport.model_json_schema(mode="serialization")
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(found, indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema())
