"""On what the app runs."""

from __future__ import annotations

import sys
from importlib import metadata

from shared.operations.doctor.report import CheckResult, unknown, well, wrong
from shared.runtime import Services

PYTHON = (3, 13)
# What the app and the platform must agree about.
_PACKAGES = ("azure-functions", "azure-functions-runtime", "azure-ai-ml")


def versions(services: Services) -> CheckResult:
    """Python's version, and those of the packages that speak with the platform."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] != PYTHON:
        return wrong(f"Python {python}", "the app is for Python 3.13: `runtime` of infra/modules/app.bicep")
    try:
        found = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
    except metadata.PackageNotFoundError as error:
        return unknown(f"Python {python}; {error.name} is not installed")
    return well(f"Python {python}, {found}")
