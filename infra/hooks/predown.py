"""Before `azd down`: removes what `azd down` leaves, or what it must not be let near.

- A workspace that was made here is deleted for good. Else its name stays taken for 14 days and a second `azd up` fails.
- `azd down` deletes every resource group in which the template made something. Where the group or the workspace was
  there before, this removes what was added, one by one, and then stops azd with exit status 1.

The endpoints go first: they cost money by the hour. A repeat finds nothing and changes nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from arm import EVENT_GRID, ML, PUBLIC, RESOURCES, WEB, Arm, Refused, TookTooLong, token
from postdeploy import needed

GONE_SECONDS = 1800.0
_INSTALLATION = "droptune.installation"
# Versions with which resources are deleted, by provider; all that the templates make in the app's group.
_VERSIONS = {
    "microsoft.web": WEB,
    "microsoft.eventgrid": EVENT_GRID,
    "microsoft.machinelearningservices": ML,
    "microsoft.storage": "2025-01-01",
    "microsoft.keyvault": "2024-11-01",
    "microsoft.managedidentity": "2024-11-30",
    "microsoft.operationalinsights": "2025-02-01",
    "microsoft.insights": "2020-02-02",
    "microsoft.insights/metricalerts": "2018-03-01",
    "microsoft.insights/scheduledqueryrules": "2023-12-01",
    "microsoft.insights/actiongroups": "2023-01-01",
    "microsoft.network": "2024-07-01",
    "microsoft.network/privatednszones": "2024-06-01",
}


def main(environment: Mapping[str, str]) -> int:
    """All of it, in order."""
    try:
        address = environment.get("DROPTUNE_RESOURCE_MANAGER") or PUBLIC
        arm = Arm(address, token(address), float(environment.get("DROPTUNE_HOOK_PAUSE", "10")))
        return take_down(arm, environment)
    except (Refused, TookTooLong) as error:
        print(f"predown: {error}; nothing more was removed, run it again", file=sys.stderr)
        return 1


def take_down(arm: Arm, environment: Mapping[str, str]) -> int:
    """What is removed depends on what was made."""
    workspace = needed(environment, "DROPTUNE_WORKSPACE_ID")
    made_workspace = environment.get("DROPTUNE_WORKSPACE_MADE", "").lower() == "true"
    made_group = environment.get("DROPTUNE_GROUP_MADE", "").lower() == "true"
    remove_endpoints(arm, workspace, everything=made_workspace)
    if made_workspace:
        purge_workspace(arm, workspace)
    else:
        remove_additions(arm, workspace, environment)
    if made_workspace and made_group:
        return 0
    group = f"{_subscription(workspace, environment)}/resourceGroups/{needed(environment, 'AZURE_RESOURCE_GROUP')}"
    if made_group:
        remove(arm, group, RESOURCES)
    else:
        remove_tagged(arm, group, needed(environment, "AZURE_ENV_NAME"))
    print(
        "predown: everything that was made here is removed. azd is stopped: it would delete the whole resource group "
        "of what was there before. Forget the environment with: azd env delete",
        file=sys.stderr,
    )
    return 1


def remove_endpoints(arm: Arm, workspace: str, *, everything: bool) -> None:
    """The online endpoints of the workspace: all, or those that carry an installation's tag."""
    for endpoint in arm.list(f"{workspace}/onlineEndpoints", ML):
        if everything or _INSTALLATION in (endpoint.get("tags") or {}):
            remove(arm, f"{workspace}/onlineEndpoints/{endpoint['name']}", ML)


def purge_workspace(arm: Arm, workspace: str) -> None:
    """Deletes a workspace for good, also one that was deleted and is kept for its 14 days."""
    if arm.delete(workspace, ML, "&forceToPurge=true"):
        arm.wait(f"{_short(workspace)} is gone", lambda: arm.get(workspace, ML) is None, GONE_SECONDS)
        print(f"{_short(workspace)}: deleted for good")


def remove_additions(arm: Arm, workspace: str, environment: Mapping[str, str]) -> None:
    """What the template added to a workspace that was there before."""
    remove(arm, f"{workspace}/computes/droptune-gpu", ML, "&underlyingResourceAction=Delete")
    remove(arm, f"{workspace}/datastores/droptune_frozen", ML)
    remove(arm, needed(environment, "DROPTUNE_WORKSPACE_TOPIC_ID"), EVENT_GRID)


def remove_tagged(arm: Arm, group: str, name: str) -> None:
    """What carries the tag of the environment in a group that was there before; in rounds, as one waits for another."""

    def left() -> list[dict[str, Any]]:
        tagged = f"&$filter=tagName%20eq%20'azd-env-name'%20and%20tagValue%20eq%20'{name}'"
        return list(arm.list(f"{group}/resources", RESOURCES, tagged))

    def round_is_last() -> bool:
        for resource in left():
            try:
                arm.delete(resource["id"], _version(resource["type"]))
            except Refused as error:
                print(f"{_short(resource['id'])}: tried again: {error}")
        return not left()

    arm.wait(f"all of {name} is gone", round_is_last, GONE_SECONDS)


def remove(arm: Arm, path: str, version: str, more: str = "") -> None:
    """Removes one resource and waits until it is gone."""
    if arm.delete(path, version, more):
        arm.wait(f"{_short(path)} is gone", lambda: arm.get(path, version) is None, GONE_SECONDS)
        print(f"{_short(path)}: removed")


def _subscription(workspace: str, environment: Mapping[str, str]) -> str:
    app = environment.get("DROPTUNE_APP_ID") or workspace
    return "/".join(app.split("/")[:3])


def _version(kind: str) -> str:
    return _VERSIONS.get(kind.lower()) or _VERSIONS.get(kind.lower().partition("/")[0], RESOURCES)


def _short(path: str) -> str:
    return "/".join(path.split("/")[-2:])


if __name__ == "__main__":
    sys.exit(main(os.environ))
