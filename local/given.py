"""What a person gives the local cloud by `--set`, checked by the app's own command before anything is started.

The app is a program of its own: it is asked, and not imported. Called by the command line; a repeat asks again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from local.parts import CONTAINER, ROOT, SETTINGS, base_environment

# What the cloud will give the app by itself.
_LATER = dict.fromkeys(("DATA", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE"), "local")


def complaint(settings: Mapping[str, str]) -> str:
    """What is wrong with these settings, in the app's words; nothing where they are right."""
    given = {name: value for name, value in settings.items() if name != CONTAINER}
    done = subprocess.run(
        [sys.executable, "-m", "cli.settings", *given],
        env={**base_environment(), **_LATER, **SETTINGS, **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip() if done.returncode else ""
