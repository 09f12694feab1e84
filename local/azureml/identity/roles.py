"""Who may do what: built-in roles as data, given at a scope, checked for each request of the control plane.

Off unless the settings say which roles the app's identity has (`roles`). A role at the subscription holds for the
workspace as well. Whether `workspaces/*/read` covers `workspaces/read` is not said anywhere: here it does not, so that
an app that works with these roles works under either reading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from local.azureml.identity.exceptions import UnknownRole

Scope = Literal["subscription", "workspace"]
PROVIDER = "Microsoft.MachineLearningServices"


class Role(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One built-in role: what it allows, but for what it does not."""

    actions: list[str]
    not_actions: list[str] = []

    def allows(self, action: str) -> bool:
        """Whether the role covers an action of the control plane."""
        return _covers(self.actions, action) and not _covers(self.not_actions, action)


ROLES = msgspec.json.decode((Path(__file__).parent / "roles.json").read_bytes(), type=dict[str, Role])


def check_known(assignments: Mapping[str, Sequence[str]]) -> None:
    """Raises UnknownRole for a scope or a role that is not imitated: it would never allow anything."""
    if unknown := sorted(set(assignments) - {"subscription", "workspace"}):
        raise UnknownRole(f"roles are given at subscription or workspace; found {', '.join(unknown)}.")
    if unknown := sorted({role for roles in assignments.values() for role in roles} - set(ROLES)):
        raise UnknownRole(f"{', '.join(unknown)}: not imitated; there are {', '.join(sorted(ROLES))}.")


def allowed(assignments: Mapping[str, Sequence[str]], action: str, scope: Scope) -> bool:
    """Whether one of the roles at the scope or above allows the action."""
    at = ("subscription",) if scope == "subscription" else ("subscription", "workspace")
    return any(ROLES[role].allows(action) for where in at for role in assignments.get(where, ()))


def action_of(method: str, path: str) -> str:
    """The action that a route stands for, from its template: `.../workspaces/{workspace}/jobs/{name}` is jobs/read."""
    below = path.partition(f"{PROVIDER}/")[2]
    kinds = [part for part in below.split("/") if not part.startswith("{")]
    if method == "POST":
        return f"{PROVIDER}/{'/'.join(kinds)}/action"
    verb = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}[method]
    return f"{PROVIDER}/{'/'.join(kinds)}/{verb}"


def _covers(patterns: Sequence[str], action: str) -> bool:
    return any(_pattern(pattern).fullmatch(action) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, text.split("*"))), re.IGNORECASE)
