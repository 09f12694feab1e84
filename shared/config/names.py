"""Names that somebody meant for settings and misspelt: found, and answered with the setting that is nearest.

Called when the settings are read, with the environment, and by the command that checks settings. What is in an
environment belongs to many programs: a name counts as meant for us only if it is a setting but for a letter or two,
and not one plain word. Pure, so it may be repeated.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping

# So like a setting is what was meant to be one: one letter of nine may be another one.
_NEAR = 0.9
# To somebody who gives the name to us alone, the nearest one is told even if it is far.
_ANYTHING_LIKE = 0.6
# What others call a setting of ours.
OTHER_NAMES = {
    "DEPLOY_INSTANCE_TYPE": "SERVING_INSTANCE_TYPE",
    "DEPLOYMENT_INSTANCE_TYPE": "SERVING_INSTANCE_TYPE",
    "INFERENCE_INSTANCE_TYPE": "SERVING_INSTANCE_TYPE",
    "ENDPOINT_INSTANCE_TYPE": "SERVING_INSTANCE_TYPE",
    "FINETUNE_INSTANCE_TYPE": "TRAINING_INSTANCE_TYPE",
    "MODEL_NAME_AND_VERSION": "BASE_MODEL",
    "SWEEP_INTERVAL_SCHEDULE": "SWEEP_SCHEDULE",
}
# What the platform and the host read in the app's environment.
_OF_OTHERS = (
    "APPLICATIONINSIGHTS_", "AZUREFUNCTIONS", "AZUREWEBJOBS", "FUNCTIONS_", "PYTHON", "WEBSITE", "SCALE_",
    "AZURE_LOG", "LOGGING_",
)  # fmt: skip


def misspelt(environment: Mapping[str, str], settings: Collection[str]) -> Iterator[tuple[str, str]]:
    """What the environment has under names that are nearly settings, with the settings that were meant.

    A setting that is set itself was not misspelt: then the other name is somebody else's.
    """
    known = {name.upper(): name for name in settings}
    given = {name.upper() for name, value in environment.items() if value}
    for name in sorted(environment):
        upper = name.upper()
        if environment[name] and upper not in known and "_" in name:
            meant = _nearest(upper, known, _NEAR)
            if meant and meant.upper() not in given:
                yield name, meant


def unknown(given: Collection[str], settings: Collection[str]) -> Iterator[tuple[str, str]]:
    """Names that were given as settings and are none, each with the nearest setting, or nothing."""
    known = {name.upper(): name for name in settings}
    for name in given:
        if name.upper() not in known and not name.upper().startswith(_OF_OTHERS):
            yield name, _nearest(name.upper(), known, _ANYTHING_LIKE)


def in_words(name: str, meant: str) -> str:
    """What to say of a name that is no setting."""
    return (
        f"{name} is no setting; did you mean {meant}?" if meant else f"{name} is no setting: docs/settings.md has all"
    )


def _nearest(name: str, known: Mapping[str, str], cutoff: float) -> str:
    found = difflib.get_close_matches(name, [*known, *OTHER_NAMES], n=1, cutoff=cutoff)
    if not found:
        return ""
    return known.get(found[0], "") or OTHER_NAMES.get(found[0], "")
