"""Indexing must stay light: the platform gives an app 30 s to start, and people wait for it.

Heavy packages are imported where they are used. The list below is checked in a fresh process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {
    "azure.ai.ml", "azure.core", "azure.eventgrid", "azure.identity", "azure.monitor", "azure.storage",
    "aiohttp", "datasets", "huggingface_hub", "mlflow", "numpy", "pandas", "pyarrow", "requests",
}  # fmt: skip
SETTINGS = {
    "DATA": "UseDevelopmentStorage=true",
    "AZURE_SUBSCRIPTION_ID": "s",
    "AZURE_RESOURCE_GROUP": "g",
    "AZUREML_WORKSPACE": "w",
}
INDEX = """
import json, sys
import function_app
names = [f.get_function_name() for f in function_app.app.get_functions()]
print(json.dumps({"functions": names, "modules": sorted(sys.modules)}))
"""
# The key of an endpoint is looked up on the way to a first answer; nobody is there to give one.
ASK = """
import sys
import function_app
from azure.core.credentials import AccessToken
from shared.serving import auth, protocol, service
from shared.errors import ServiceBusy
from shared.azure.clouds import cloud_at
from shared.azure.workspace import Workspace

class Credential:
    def get_token(self, *scopes, **more):
        return AccessToken("token", 2**40)

try:
    Workspace(Credential(), "s", "g", "w", "r", cloud_at("https://127.0.0.1:9")).endpoints.key("e")
except ServiceBusy as error:
    print(type(error.__cause__).__name__, "azure.ai.ml" in sys.modules)
"""


def index(program: str = INDEX, **settings: str) -> subprocess.CompletedProcess[str]:
    """Indexes the app in a fresh process that has these settings and no others."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT)


def test_indexing_imports_nothing_heavy() -> None:
    done = index(**SETTINGS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "step_due" in found["functions"]
    assert HEAVY.intersection(found["modules"]) == set()


def test_a_question_does_not_wait_for_the_sdk_to_be_imported() -> None:
    """It takes seconds, and all that is needed of it is the key of an endpoint."""
    done = index(ASK, **SETTINGS)
    assert (done.returncode, done.stdout) == (0, "ServiceRequestError False\n"), done.stderr


@pytest.mark.parametrize("missing", ["AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE", "DATA"])
def test_a_missing_setting_stops_the_start_with_its_name(missing: str) -> None:
    done = index(**{name: value for name, value in SETTINGS.items() if name != missing})
    assert done.returncode != 0
    assert "SettingsError: the settings are wrong" in done.stderr
    assert missing in done.stderr.rpartition("the settings are wrong")[2]


def test_a_wrong_setting_stops_the_start_with_what_was_found_and_what_is_allowed() -> None:
    done = index(**SETTINGS, GATE_PROMPTS="many")
    assert done.returncode != 0
    assert "GATE_PROMPTS = 'many'" in done.stderr
    assert "integer" in done.stderr
