"""The app's settings: one typed class, read once when the app starts, passed inward as a value.

A wrong or missing setting stops the start with its name, what was found and what is allowed. Names here are the
names of the app settings (in upper case). The workspace's ids may also come from a `config.json` beside the app,
the file that Azure ML Studio offers for download.
"""

from __future__ import annotations

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from shared.config import hours

SHORTEST_KEY = 16
CONFIG = Path(__file__).parent.parent / "config.json"
# How the settings that hold a JSON object look.
_EXAMPLES: dict[str, str] = {
    "hyperparameters": '{"num_train_epochs": 2}',
    "prices": '{"Standard_NC6s_v3": 3.1}',
    "gate_parameters": '{"do_sample": false}',
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


class Settings(BaseSettings):
    """Every setting, its default and its help."""

    model_config = SettingsConfigDict(
        case_sensitive=False,
        env_ignore_empty=True,
        frozen=True,
        populate_by_name=True,
        extra="ignore",
        hide_input_in_errors=True,  # an error about two settings would show all of them, secrets too
    )

    # Where things are
    data: SecretStr | None = Field(
        None,
        description="Connection string of the storage account with the containers (or the two DATA__ addresses).",
    )
    data_blobs: str = Field(
        "",
        validation_alias="DATA__blobServiceUri",
        description="Blob address of the storage account, used with the app's managed identity.",
    )
    data_queues: str = Field(
        "",
        validation_alias="DATA__queueServiceUri",
        description="Queue address of the storage account, used with the app's managed identity.",
    )
    azure_subscription_id: str = Field(description="Subscription of the Azure ML workspace.")
    azure_resource_group: str = Field(description="Resource group of the Azure ML workspace.")
    azureml_workspace: str = Field(description="Name of the Azure ML workspace.")
    resource_manager: str = Field(
        "https://management.azure.com", description="Address of Azure's control plane, which national clouds have own."
    )
    azure_client_id: str = Field("", description="Client id of the user-assigned identity, if there is one.")
    metrics_endpoint: str = Field(
        "", description="Address of Azure Monitor's metrics; empty: that of the workspace's region."
    )
    training_datastore: str = Field(
        "droptune_frozen", description="Datastore of the workspace that points at the container `frozen`."
    )

    # What is trained, and on what
    registry: str = Field("azureml", description="Azure ML registry of the base model and the component.")
    base_model: str = Field("Phi-4", description="Base model that is fine-tuned.")
    base_model_version: str = Field("", description="Its version; empty: the latest, pinned per snapshot.")
    component: str = Field("chat_completion_pipeline", description="Pipeline component that trains.")
    component_version: str = Field("", description="Its version; empty: the latest, pinned per snapshot.")
    training_compute: str = Field("serverless", description="`serverless`, or the name of a compute cluster.")
    create_compute: bool = Field(False, description="Whether a missing cluster is created.")
    training_instance_type: str = Field("Standard_NC24ads_A100_v4", description="GPU size that trains.")
    training_nodes: int = Field(1, ge=1, le=64, description="Number of machines that train.")
    preparation_instance_type: str = Field(
        "Standard_E4s_v3", description="CPU size of the steps that import the model and prepare the data."
    )
    hyperparameters: Annotated[dict[str, Any], NoDecode] = Field(
        default_factory=dict, description="Training parameters as a JSON object, for every snapshot."
    )
    experiment: str = Field("droptune", description="Experiment under which jobs are listed.")
    silence_minutes: int = Field(60, ge=1, description="A job not responding for so long is canceled and has failed.")

    # What may be spent
    max_runs: int = Field(4, ge=1, description="Most training jobs at once; further snapshots wait.")
    max_runs_per_dataset: int = Field(1, ge=1, description="The same for one dataset.")
    max_runs_per_day: int = Field(20, ge=1, description="Most training jobs begun within 24 hours.")
    prices: Annotated[dict[str, float], NoDecode] = Field(
        default_factory=dict,
        description="Price of a machine's hour, as a JSON object by size; for the idle report.",
    )
    currency: str = Field("", description="What the prices are in; for the idle report.")

    # What is accepted
    min_rows: int = Field(20, ge=3, description="Fewest rows a snapshot must have.")
    max_snapshot_gb: float = Field(20.0, gt=0, description="Largest snapshot, in GB.")
    validation_max_bad_percent: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Share of bad rows that training goes on without; 0: any bad row refuses.",
    )
    validation_max_rows: int = Field(5_000_000, ge=1, description="Most rows of a snapshot.")
    validation_max_expansion: float = Field(
        200.0, ge=1, description="A file may grow so many times when decompressed; beyond, it counts as a bomb."
    )
    validation_max_line_bytes: int = Field(
        8 * 2**20, ge=64, le=256 * 2**20, description="Longest row, in bytes; it has to fit into memory a few times."
    )
    validation_max_messages: int = Field(1000, ge=2, description="Most turns of one dialogue.")
    validation_max_depth: int = Field(32, ge=3, le=512, description="Deepest nesting of a row; `messages` needs 3.")
    validation_max_repeats: int = Field(
        8, ge=3, description="An answer whose last words come so many times in a row is reported as a loop."
    )
    validation_context_tokens: int = Field(
        0, ge=0, description="Tokens the model sees of a row; 0: what the base model's tag says, else 4096."
    )
    validation_meaning: bool = Field(True, description="Whether warnings about what good rows say are looked for.")
    validation_spread_from_mb: float = Field(
        256.0,
        ge=0,
        description="Snapshots of several files, together at least so large, are checked a file at a time by as many "
        "instances as there are; in MB.",
    )
    validation_places: int = Field(20, ge=1, le=1000, description="Places listed per rule in a report.")
    system_turns: Literal["allow", "fold", "reject"] = Field(
        "allow",
        description="What is done with system turns: kept (an error where the model's template has none), "
        "folded into the first user turn, or refused.",
    )
    accept_since: datetime | None = Field(
        None,
        description="Uploads before this time are left alone; empty: what an event tells of is taken, "
        "and of the rest what came since the first start.",
    )

    # What is served
    serving_instance_type: str = Field("Standard_NC24ads_A100_v4", description="Machine size that serves.")
    serving_instances: int = Field(1, ge=1, le=100, description="Machines behind an endpoint.")
    serving_concurrency: int = Field(1, ge=1, le=1000, description="Questions one machine answers at once.")
    scoring_timeout_seconds: int = Field(90, ge=1, le=180, description="Longest wait for one answer.")
    max_new_tokens: int = Field(200, ge=1, le=16384, description="Longest answer when the caller names none.")
    scoring_keys: SecretStr | None = Field(
        None,
        description="Keys of those who may ask models, 16 characters or more each, with blanks or commas between; "
        "without one nobody can ask.",
    )
    call_seconds: float = Field(
        200.0, ge=1, le=225, description="Longest a question may take in all; the platform cuts it off at 230 s."
    )
    calls_at_once: int = Field(
        200, ge=1, description="Most questions one instance of the app works on at once; others are told to come back."
    )
    call_max_bytes: int = Field(1_000_000, ge=1000, description="Largest question, in bytes.")
    call_max_messages: int = Field(1000, ge=1, description="Most messages of one question.")
    call_max_characters: int = Field(200_000, ge=1, description="Longest message of a question.")
    deploy_limit_minutes: float = Field(90, gt=0, description="A deployment not ready by then has failed.")
    idle_hours: float = Field(24.0, gt=0, description="An endpoint nobody asked for so long is put to sleep.")
    idle_min_age_hours: float = Field(0.0, ge=0, description="An endpoint that came up less than so long ago stays.")
    idle_dry_run: bool = Field(False, description="Whether the timer only reports which endpoints are idle.")
    keep_warm: str = Field(
        "",
        description="When the timer puts nothing to sleep, e.g. `Mon-Fri 08:00-18:00 Europe/Berlin`; several: `;`.",
    )
    wake_on_request: bool = Field(True, description="Whether a question wakes a sleeping dataset.")
    wake_wait_seconds: float = Field(
        120.0, ge=0, le=220, description="Longest a question waits for a wake, if it says `Prefer: wait=`."
    )
    wake_backoff_minutes: float = Field(
        5.0,
        gt=0,
        description="After a wake that failed no question wakes for so long; it doubles each time, up to a day.",
    )

    # What may go live
    gate_prompts: int = Field(50, ge=1, le=1000, description="Held-out prompts a candidate is asked, at most.")
    gate_parameters: Annotated[dict[str, Any], NoDecode] = Field(
        default_factory=lambda: {"do_sample": False},
        description="Generation parameters of the gate's questions, as a JSON object; without sampling, "
        "two models differ by what they learned and not by luck.",
    )
    gate_tries: int = Field(
        3, ge=1, le=20, description="How often a prompt is asked that is answered with 429, 503 or not in time."
    )
    gate_limit_minutes: float = Field(
        60.0, gt=0, description="Longest time a gate takes; what live has not answered by then is not compared."
    )
    gate_max_error_percent: float = Field(2.0, ge=0, lt=100, description="Share of the prompts that may fail.")
    gate_max_unusable_percent: float = Field(
        10.0, ge=0, lt=100, description="Share of the answers that may be empty, run in circles or show markers."
    )
    gate_min_likeness: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Least mean likeness to the reference answers (chrF, of 100); 0: only recorded.",
    )
    gate_max_p95_seconds: float = Field(
        0.0, ge=0, description="Longest 95th percentile of the time to answer; 0: only recorded."
    )
    gate_margin: float = Field(
        10.0, ge=0, le=100, description="Points of likeness by which a candidate may be behind what is live."
    )
    gate_min_compared: int = Field(
        8, ge=2, le=1000, description="With fewer prompts to compare on, a candidate is `unjudged` against live."
    )
    gate_in_doubt: Literal["withhold", "release"] = Field(
        "withhold", description="What is done when the interval is too wide to tell whether the margin is kept."
    )

    # How traffic moves, and back
    rollout_stages: Annotated[tuple[int, ...], NoDecode] = Field(
        (10, 50, 100), description="Shares of the traffic, in percent, that a candidate gets one after the other."
    )
    rollout_bake_minutes: float = Field(15.0, gt=0, description="How long each stage lasts at least.")
    rollout_wait_minutes: float = Field(
        30.0, ge=0, description="How much longer a stage waits for requests; then it goes on `unjudged`."
    )
    rollout_min_requests: int = Field(
        20, ge=1, description="Requests of a stage that it takes to say that a candidate is not worse than live."
    )
    rollout_max_error_points: float = Field(
        2.0, ge=0, lt=100, description="Percentage points by which a candidate's share of errors may be above live's."
    )
    rollout_max_latency_ratio: float = Field(
        1.5, ge=1, description="How many times live's 95th percentile of the latency a candidate's may be."
    )
    rollback_keep_hours: float = Field(
        24.0, ge=0, description="How long the deployment before stays, to go back to; it costs what a live one does."
    )

    orphan_grace_hours: float = Field(
        6.0,
        gt=0,
        description="What carries this installation's tag and is in no row costs money; it is removed after so long.",
    )

    # When things happen
    look_seconds: int = Field(60, ge=1, description="Pause between looks at something that runs in Azure.")
    fault_seconds: int = Field(30, ge=1, description="First pause after a failed step; it doubles each time.")
    sweep_schedule: str = Field("0 */5 * * * *", description="When overdue rows and lost uploads are looked for.")
    sleep_schedule: str = Field("0 0 2 * * *", description="When idle endpoints are looked for (UTC).")
    keep_days: float = Field(
        30.0,
        gt=0,
        description="Files of snapshots that ended without a model are kept so long; then they cannot be retried.",
    )
    notify_topic: str = Field("", description="Event Grid topic that is told of every state change; empty: none.")
    notify_key: SecretStr | None = Field(
        None, description="Access key of that topic; empty: the app's managed identity."
    )

    @field_validator(*_EXAMPLES, mode="before")
    @classmethod
    def _json_object(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"must be a JSON object, e.g. {_EXAMPLES[str(info.field_name)]}; {error}") from error

    @field_validator("rollout_stages", mode="before")
    @classmethod
    def _stages(cls, value: object) -> object:
        """Shares that rise up to 100, e.g. from `10,50,100`."""
        shares = value.split(",") if isinstance(value, str) else value
        try:
            found = tuple(int(share) for share in shares)  # type: ignore[attr-defined]
        except (TypeError, ValueError) as error:
            raise ValueError("must be whole numbers between commas, e.g. 10,50,100") from error
        if not found or found[0] < 1 or found[-1] != 100 or any(a >= b for a, b in pairwise(found)):
            raise ValueError("must rise from 1 or more to 100, e.g. 10,50,100")
        return found

    @field_validator("scoring_keys")
    @classmethod
    def _long_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value and any(len(key) < SHORTEST_KEY for key in keys_in(value)):
            raise ValueError(f"a key has at least {SHORTEST_KEY} characters")
        return value

    @field_validator("keep_warm")
    @classmethod
    def _hours(cls, value: str) -> str:
        hours.parse(value)
        return value

    @model_validator(mode="after")
    def _one_storage(self) -> Settings:
        if not self.data and not (self.data_blobs and self.data_queues):
            raise ValueError(
                "DATA is missing: give the connection string as DATA, "
                "or both DATA__blobServiceUri and DATA__queueServiceUri"
            )
        return self

    @model_validator(mode="after")
    def _patient(self) -> Settings:
        longest = max(self.deploy_limit_minutes, self.rollout_bake_minutes + self.rollout_wait_minutes)
        if self.orphan_grace_hours * 60 <= longest:
            raise ValueError(
                f"ORPHAN_GRACE_HOURS = {self.orphan_grace_hours:g}: must be longer than any step, so more than "
                f"{longest / 60:g} h (DEPLOY_LIMIT_MINUTES, ROLLOUT_BAKE_MINUTES + ROLLOUT_WAIT_MINUTES)"
            )
        return self

    @model_validator(mode="after")
    def _known_hyperparameters(self) -> Settings:
        from shared.config.hyperparameters import merged
        from shared.errors import BadSnapshot

        try:
            merged(("HYPERPARAMETERS", self.hyperparameters))
        except BadSnapshot as error:
            raise ValueError(str(error)) from error
        return self

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


def keys_in(given: SecretStr | None) -> tuple[str, ...]:
    """The keys in a setting that holds several."""
    return tuple(given.get_secret_value().replace(",", " ").split()) if given else ()


def load() -> Settings:
    """The settings of this process. Raises SettingsError with one line per wrong setting."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(["the settings are wrong:", *map(_line, error.errors())])) from None


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
