"""The app's settings: one typed class, read once when the app starts, passed inward as a value.

A wrong or missing setting stops the start with its name, what was found and what is allowed. Names here are the
names of the app settings (in upper case). The workspace's ids may also come from a `config.json` beside the app,
the file that Azure ML Studio offers for download.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shared.config import names
from shared.config.groups.connections import ConnectionGroup
from shared.config.groups.gate import GateGroup
from shared.config.groups.idle import IdleGroup
from shared.config.groups.imports import ImportGroup
from shared.config.groups.page import PageGroup
from shared.config.groups.rollout import RolloutGroup
from shared.config.groups.schedule import ScheduleGroup
from shared.config.groups.serving import ServingGroup
from shared.config.groups.snapshots import SnapshotGroup
from shared.config.groups.spending import SpendingGroup
from shared.config.groups.training import TrainingGroup

CONFIG = Path(__file__).parents[2] / "config.json"
# What was a setting once. One that is still set changes nothing, and is named in the log.
REMOVED = {
    "VALIDATION_MAX_DEPTH": "no dialogue needs more than 32 levels, and deeper rows only cost memory",
    "VALIDATION_MAX_REPEATS": "8 equal endings in a row are a loop in any language",
    "VALIDATION_PLACES": "20 places of a rule are enough to mend a file, and keep the report small",
    "CALL_MAX_MESSAGES": "CALL_MAX_BYTES bounds what one question costs",
    "CALL_MAX_CHARACTERS": "CALL_MAX_BYTES bounds what one question costs",
}


class SettingsError(Exception):
    """The app cannot start: the text names each wrong setting, the value found and what is allowed."""


class WorkspaceConfig(PydanticBaseSettingsSource):
    """The ids in `config.json`, under the names the settings have."""

    NAMES = (
        ("subscription_id", "azure_subscription_id"),
        ("resource_group", "azure_resource_group"),
        ("workspace_name", "azureml_workspace"),
    )

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Not used: the file is read as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The ids found, or nothing when there is no such file."""
        if not CONFIG.exists():
            return {}
        try:
            found = json.loads(CONFIG.read_text())
        except ValueError as error:
            raise SettingsError(f"{CONFIG.name} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise SettingsError(f"{CONFIG.name} must hold an object, as downloaded from Azure ML Studio")
        return {name: found[key] for key, name in self.NAMES if key in found}


class Settings(
    ConnectionGroup,
    TrainingGroup,
    SpendingGroup,
    SnapshotGroup,
    ImportGroup,
    ServingGroup,
    PageGroup,
    GateGroup,
    RolloutGroup,
    IdleGroup,
    ScheduleGroup,
    BaseSettings,
):
    """Every setting; its group has the default and the help. docs/settings.md shows the groups in this order."""

    model_config = SettingsConfigDict(
        case_sensitive=False,
        env_ignore_empty=True,
        frozen=True,
        populate_by_name=True,
        extra="ignore",
        hide_input_in_errors=True,  # an error about two settings would show all of them, secrets too
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first (tests), then the environment, then `config.json`."""
        return init_settings, env_settings, WorkspaceConfig(settings_cls)


def load() -> Settings:
    """The settings of this process. Raises SettingsError with one line per wrong setting, and per misspelt one."""
    if gone := sorted(REMOVED.keys() & {name.upper() for name in os.environ}):
        logging.getLogger(__name__).warning("no longer settings, ignored: %s (docs/settings.md)", ", ".join(gone))
    wrong = [f"  {names.in_words(*found)}" for found in names.misspelt(os.environ, [*setting_names(), *REMOVED])]
    try:
        found = Settings()
        if not wrong:
            return found
    except ValidationError as error:
        wrong += map(_line, error.errors())
    raise SettingsError("\n".join(["the settings are wrong:", *wrong]))


def setting_names() -> list[str]:
    """The names of all settings, as people write them."""
    return [setting_name(field) for field in Settings.model_fields]


def setting_name(field: str) -> str:
    """The name of a field's app setting, as people write it."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else field.upper()


def _line(error: Any) -> str:
    """One error as `NAME = found: what is allowed`; secrets are not shown."""
    field = str(error["loc"][0]) if error["loc"] else ""
    by_name = {setting_name(f).lower(): f for f in Settings.model_fields}
    name = setting_name(by_name.get(field.lower(), field)) if field else ""
    message = error["msg"].removeprefix("Value error, ")
    if not field:
        return f"  {message}"
    known = Settings.model_fields.get(by_name.get(field.lower(), field))
    secret = known is not None and SecretStr in get_args(known.annotation)
    found = "" if error["type"] == "missing" else f" = {'***' if secret else repr(error['input'])}"
    what = f" ({known.description})" if known and known.description else ""
    return f"  {name}{found}: {message}{what}"
