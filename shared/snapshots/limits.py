"""How strict validation is for one snapshot: the operator's settings, what the pinned model can take, and what the
snapshot's own `snapshot.json` asks for, which may be stricter but never looser. Called by the validate step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.chatdata.templates import template_of
from shared.errors import BadSnapshot
from shared.validation.policy import LIMITS, Policy, setting_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.azure.workspace.registry import RegistryModel
    from shared.config.settings import Settings
    from shared.ledger.rows import Snapshot

# The tag that the registry's models carry.
CONTEXT_TAG = "textContextWindow"


def policy_of(settings: Settings, row: Snapshot, options: Mapping[str, Any], model: RegistryModel) -> Policy:
    """The policy of a snapshot. Raises BadSnapshot for what its `snapshot.json` may not ask for."""
    given = _from_settings(settings)
    given["roles"] = template_of(model.name).roles
    given["context_tokens"] = settings.validation_context_tokens or context_of(model) or Policy().context_tokens
    if "bad_rows" in row.overrides:
        given["max_bad_percent"] = 100.0
    asked = options.get("validation", {})
    try:
        return Policy(**given).tightened(**asked)
    except (TypeError, ValueError) as error:
        raise BadSnapshot(f"{row.options.path if row.options else 'snapshot.json'}: validation: {error}") from error


def _from_settings(settings: Settings) -> dict[str, Any]:
    given = {name: getattr(settings, setting_of(name).lower(), None) for name in LIMITS if setting_of(name)}
    given["max_file_bytes"] = given["max_total_bytes"] = max(1, int(settings.max_snapshot_gb * 1e9))
    return given


def context_of(model: RegistryModel) -> int:
    """The tokens a model sees at once, as its tag says; 0 where it does not say."""
    told = model.tags.get(CONTEXT_TAG, "")
    return max(1, int(told)) if told.isascii() and told.isdigit() else 0
