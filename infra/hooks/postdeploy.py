"""After `azd deploy`: makes the event subscriptions, now that the functions are there, and asks the app's doctor.

Run by azd with the outputs of the template in the environment; by hand: `azd env get-values`, or docs/deploy.md. A
repeat finds what it made and changes nothing. Exit status: 0 all is well, 1 something is not, and says what helps.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from arm import EVENT_GRID, PUBLIC, WEB, Arm, Refused, TookTooLong, token
from subscriptions import SUBSCRIPTIONS, holds, properties

# A fresh app's functions are listed after a minute or two, a new role counts after five or ten.
FUNCTIONS_SECONDS, SUBSCRIPTION_SECONDS, DOCTOR_SECONDS = 600.0, 600.0, 600.0
_TOPICS = {"snapshot_uploaded": "DROPTUNE_STORAGE_TOPIC_ID", "run_changed": "DROPTUNE_WORKSPACE_TOPIC_ID"}


def main(environment: Mapping[str, str]) -> int:
    """All of it, in order."""
    try:
        address = environment.get("DROPTUNE_RESOURCE_MANAGER") or PUBLIC
        arm = Arm(address, token(address), float(environment.get("DROPTUNE_HOOK_PAUSE", "10")))
        app = needed(environment, "DROPTUNE_APP_ID")
        await_functions(arm, app)
        for function in SUBSCRIPTIONS:
            print(subscribe(arm, function, environment))
        return ask_doctor(arm, app, needed(environment, "DROPTUNE_APP_URL"))
    except (Refused, TookTooLong) as error:
        print(f"postdeploy: {error}", file=sys.stderr)
        return 1


def needed(environment: Mapping[str, str], name: str) -> str:
    """An output of the template. Raises Refused when it is missing."""
    if not (found := environment.get(name, "")):
        raise Refused("environment", 0, f"{name} is missing: run `azd provision` first")
    return found


def await_functions(arm: Arm, app: str) -> None:
    """Returns once Azure lists the functions that are told of events."""

    def listed() -> bool:
        names = {str(one.get("name", "")).rpartition("/")[2] for one in arm.list(f"{app}/functions", WEB)}
        return names >= set(SUBSCRIPTIONS)

    arm.wait("the functions are listed (does the app start? see its log stream)", listed, FUNCTIONS_SECONDS)


def subscribe(arm: Arm, function: str, environment: Mapping[str, str]) -> str:
    """Makes the subscription of a function, unless it is there as it should be; what was done, in words."""
    name = SUBSCRIPTIONS[function][0]
    path = f"{needed(environment, _TOPICS[function])}/eventSubscriptions/{name}"
    app, account = needed(environment, "DROPTUNE_APP_ID"), needed(environment, "DROPTUNE_DATA_ACCOUNT_ID")
    wanted = properties(function, app, account)

    def is_there() -> bool:
        found = (arm.get(path, EVENT_GRID) or {}).get("properties", {})
        return holds(wanted, found) and found.get("provisioningState", "Succeeded") == "Succeeded"

    def made() -> bool:
        state = (arm.get(path, EVENT_GRID) or {}).get("properties", {}).get("provisioningState", "")
        if state not in ("Creating", "Updating"):
            arm.put(path, EVENT_GRID, {"properties": wanted})
        return is_there()

    if is_there():
        return f"{name}: is there"
    arm.wait(f"the event subscription {name}", made, SUBSCRIPTION_SECONDS)
    return f"{name}: made"


def ask_doctor(arm: Arm, app: str, url: str) -> int:
    """Prints what the app's doctor says; asked again for a while, since new roles take minutes to count."""
    key = str(arm.post(f"{app}/host/default/listKeys", WEB).get("masterKey", ""))
    end = time.monotonic() + min(DOCTOR_SECONDS, 60 * arm.pause)
    while True:
        found = doctor_says(url, key)
        wrong = [check for check in found if check["result"] == "wrong"]
        if not wrong or time.monotonic() > end:
            break
        print(f"doctor: {len(wrong)} wrong ({', '.join(check['check'] for check in wrong)}); asked again")
        time.sleep(arm.pause)
    for check in found:
        print(f"{check['result']:>7}  {check['check']}: {check['found']}")
        if check.get("mend"):
            print(f"         {check['mend']}")
    return 1 if wrong else 0


def doctor_says(url: str, key: str) -> list[dict[str, Any]]:
    """The checks of GET /api/doctor; one that is wrong when it does not answer."""
    request = urllib.request.Request(f"{url}/api/doctor", headers={"x-functions-key": key})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())["checks"]
            return found
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        return [{"check": "app", "result": "wrong", "found": f"GET /api/doctor: {error}", "mend": "see its log stream"}]


if __name__ == "__main__":
    sys.exit(main(os.environ))
