"""How strict validation is for one snapshot: the operator's settings, what the pinned model can take, and what the
snapshot's own `snapshot.json` asks for, which may be stricter but never looser. Called by the validate step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.chatdata.formats import printable
from shared.chatdata.templates import system_policy, template_of
from shared.errors import BadSnapshot
from shared.validation.policy import FEWEST_TO_TRAIN_ON, LIMITS, Policy, setting_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.azure.workspace.registry import RegistryModel
    from shared.config.settings import Settings
    from shared.ledger.rows import Snapshot

# The tag that the registry's models carry.
CONTEXT_TAG = "textContextWindow"
_LONGEST_REASON = 500


def policy_of(settings: Settings, row: Snapshot, options: Mapping[str, Any], model: RegistryModel) -> Policy:
    """The policy of a snapshot. Raises BadSnapshot for what its `snapshot.json` may not ask for."""
    limits = _from_settings(settings)
    limits["roles"] = template_of(model.name).roles
    limits["system_turns"] = system_policy(settings.system_turns, limits["roles"])
    limits["context_tokens"] = settings.validation_context_tokens or context_of(model) or Policy().context_tokens
    limits["min_train_rows"] = FEWEST_TO_TRAIN_ON
    if "bad_rows" in row.overrides:
        limits["max_bad_percent"] = 100.0
    stricter = options.get("validation", {})
    try:
        return Policy(**limits).tightened(**stricter)
    except (TypeError, ValueError) as error:
        path = row.options.path if row.options else "snapshot.json"
        raise BadSnapshot(f"{path}: validation: {printable(str(error), _LONGEST_REASON)}") from error


def _from_settings(settings: Settings) -> dict[str, Any]:
    limits = {name: getattr(settings, setting_of(name).lower(), None) for name in LIMITS if setting_of(name)}
    limits["max_file_bytes"] = limits["max_total_bytes"] = max(1, int(settings.max_snapshot_gb * 1e9))
    return limits


def context_of(model: RegistryModel) -> int:
    """The tokens a model sees at once, as its tag says; 0 where it does not say."""
    tokens = model.tags.get(CONTEXT_TAG, "")
    return max(1, int(tokens)) if tokens.isascii() and tokens.isdigit() else 0
