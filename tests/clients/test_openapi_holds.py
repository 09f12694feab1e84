"""What the OpenAPI document says is true: requests made from it, right and wrong ones, get answers it describes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.serving.served import Served
from local.parts import ROOT

PROGRAM = ROOT / ".tools" / "chat-clients" / "bin" / "schemathesis"


@pytest.mark.parametrize("examples", [2, pytest.param(25, marks=pytest.mark.nightly)])
def test_no_request_that_the_document_allows_or_forbids_gets_an_answer_it_does_not_describe(
    served: Served, tmp_path: Path, examples: int
) -> None:
    assert PROGRAM.exists(), "schemathesis is missing: run `make clients`"
    where = [f"{served.app_url}/api/openapi.json", "--url", served.app_url]
    keys = ["-H", f"Authorization: Bearer {served.key}", "-H", f"x-functions-key: {served.key}"]
    # No schema can say that a conversation ends with a user turn, so a body that fits it may be refused.
    # The platform answers the method QUERY by itself.
    # An answer of minutes is not asked for again and again.
    bounds = [
        "--exclude-path",
        "/api/events",
        "--exclude-checks",
        "positive_data_acceptance,unsupported_method",
        "--seed",
        "1",
    ]
    done = subprocess.run(
        [
            PROGRAM,
            "run",
            *where,
            *keys,
            *bounds,
            "--max-examples",
            str(examples),
            "--phases",
            "coverage,fuzzing",
            "--workers",
            "2",
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
