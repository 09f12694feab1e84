"""The functions of the app as this host serves them: triggers and outputs with every setting resolved.

`__main__` builds them once from the runtime's metadata. Whatever this host cannot serve (a trigger or binding
it does not imitate, a missing setting) is found here, before anything has started: an app runs whole or not
at all.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from local.host import settings
from local.host.errors import CannotStart

log = logging.getLogger("host.functions")

Kind = Literal["httpTrigger", "queueTrigger", "timerTrigger", "eventGridTrigger"]
_OUTPUTS = ("http", "queue")


@dataclass(frozen=True)
class QueueAddress:
    """One queue: its account's connection string and its name."""

    connection: str
    name: str


@dataclass(frozen=True)
class Function:
    """One function: who it is, what triggers it, and which queues its outputs go to (by binding name)."""

    id: str
    name: str
    kind: Kind
    trigger: Mapping[str, Any]
    queue_outputs: Mapping[str, QueueAddress]

    @property
    def parameter(self) -> str:
        """The parameter that receives the trigger's value."""
        return str(self.trigger["name"])


def read(indexed: Iterable[Any], environment: Mapping[str, str]) -> list[Function]:
    """The enabled functions among the runtime's metadata; CannotStart if one cannot be served."""
    found = [_function(metadata, environment) for metadata in indexed]
    if not found:
        raise CannotStart("no functions found: is there a function_app.py with decorated functions in the folder?")
    enabled = [function for function in found if not settings.is_disabled(function.name, environment)]
    for function in found:
        if function not in enabled:
            log.warning("%s is disabled by an app setting", function.name)
    return enabled


def _function(metadata: Any, environment: Mapping[str, str]) -> Function:
    name = metadata.name
    try:
        bindings = [json.loads(raw) for raw in metadata.raw_bindings]
        triggers = [binding for binding in bindings if binding["type"].lower().endswith("trigger")]
        if len(triggers) != 1:
            raise CannotStart(f"has {len(triggers)} triggers, not one")
        trigger = _trigger(triggers[0], environment)
        outputs = [binding for binding in bindings if binding is not triggers[0]]
        if metadata.retry_options is not None:
            log.warning("%s: the retry policy is not imitated by the local host", name)
        return Function(metadata.function_id, name, trigger["type"], trigger, _queues(outputs, environment))
    except CannotStart as wrong:
        raise CannotStart(f"function {name}: {wrong}") from wrong


def _trigger(binding: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    if binding["type"] not in get_args(Kind):
        raise CannotStart(f"the trigger {binding['type']} is not imitated by the local host")
    resolvable = ("queueName", "schedule", "route")
    resolved = {key: settings.resolve(binding[key], environment) for key in resolvable if binding.get(key)}
    trigger = {**binding, **resolved}
    if trigger["type"] == "queueTrigger":
        trigger["queue"] = _queue(binding, environment)
    return trigger


def _queues(bindings: list[dict[str, Any]], environment: Mapping[str, str]) -> dict[str, QueueAddress]:
    for binding in bindings:
        if binding["direction"] != "OUT" or binding["type"] not in _OUTPUTS:
            raise CannotStart(f"the binding {binding['type']} ({binding['name']}) is not imitated by the local host")
    return {each["name"]: _queue(each, environment) for each in bindings if each["type"] == "queue"}


def _queue(binding: dict[str, Any], environment: Mapping[str, str]) -> QueueAddress:
    connection = cast(str, binding.get("connection") or settings.DEFAULT_CONNECTION)
    name = settings.resolve(binding["queueName"], environment).lower()
    return QueueAddress(settings.connection_string(connection, environment), name)
