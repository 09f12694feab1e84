"""What the app asks of its host: host.json, app settings (the environment), `%SETTING%` and connections.

Read once at start by `__main__` and `functions`; every mistake is a CannotStart that names the key. Keys of
host.json that this host does not know are left alone, as Azure does.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.host.errors import CannotStart

DEFAULT_CONNECTION = "AzureWebJobsStorage"
_TIME_SPAN = re.compile(r"(?:(?P<d>\d+)\.)?(?P<h>\d+):(?P<m>\d+)(?::(?P<s>\d+(?:\.\d+)?))?")
_PERCENT = re.compile(r"%([^%\s]+)%")


@dataclass(frozen=True)
class QueueSettings:
    """`extensions.queues` of host.json, times in seconds.

    The longest pause between two looks at an empty queue is two seconds unless host.json says otherwise (a
    minute in Azure).
    """

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_polling_interval: float = 2.0
    base64: bool = True


@dataclass(frozen=True)
class HostSettings:
    """The part of host.json that is honoured; `function_timeout` None means no limit."""

    route_prefix: str = "api"
    function_timeout: float | None = 30 * 60.0
    queues: QueueSettings = field(default_factory=QueueSettings)


def seconds(span: object) -> float:
    """A .NET time span (`hh:mm:ss`, `d.hh:mm:ss`; hours above 23 are read as days, as .NET does) in seconds.

    >>> seconds("00:01:30"), seconds("2.00:00:00"), seconds("36:00:00")
    (90.0, 172800.0, 3110400.0)
    """
    found = _TIME_SPAN.fullmatch(span) if isinstance(span, str) else None
    if not found:
        raise ValueError(f"{span!r} is not a time span like 00:00:30")
    days, hours, minutes = (int(found[part] or 0) for part in "dhm")
    rest = float(found["s"] or 0)
    if hours > 23 and not found["d"]:
        days, hours, minutes, rest = hours, minutes, int(rest), 0.0
    return days * 86400 + hours * 3600 + minutes * 60 + rest


def read_host_json(app: Path) -> HostSettings:
    """The settings in the app's host.json; defaults where it is absent."""
    path = app / "host.json"
    try:
        content = json.loads(path.read_text()) if path.exists() else {}
        extensions = content.get("extensions", {})
        queues = _queue_settings(extensions.get("queues", {}))
        prefix = str(extensions.get("http", {}).get("routePrefix", "api")).strip("/")
        return HostSettings(prefix, _function_timeout(content), queues)
    except (ValueError, AttributeError) as wrong:
        raise CannotStart(f"host.json: {wrong}") from wrong


def _function_timeout(content: dict[str, Any]) -> float | None:
    span = content.get("functionTimeout", "00:30:00")
    return None if span == "-1" else seconds(span)


def _queue_settings(given: dict[str, Any]) -> QueueSettings:
    batch = _number(given, "batchSize", 16, range(1, 33))
    encoding = given.get("messageEncoding", "base64")
    if encoding not in ("base64", "none"):
        raise ValueError(f"queues.messageEncoding is {encoding!r}; base64 or none is possible")
    return QueueSettings(
        batch_size=batch,
        new_batch_threshold=_number(given, "newBatchThreshold", batch // 2, range(1000)),
        max_dequeue_count=_number(given, "maxDequeueCount", 5, range(1, 1000)),
        visibility_timeout=seconds(given.get("visibilityTimeout", "00:00:00")),
        max_polling_interval=max(0.1, seconds(given.get("maxPollingInterval", "00:00:02"))),
        base64=encoding == "base64",
    )


def _number(given: dict[str, Any], key: str, default: int, allowed: range) -> int:
    value = given.get(key, default)
    if not isinstance(value, int) or value not in allowed:
        raise ValueError(f"queues.{key} is {value!r}; a number from {allowed[0]} to {allowed[-1]} is possible")
    return value


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """`text` with every `%SETTING%` replaced by the app setting of that name.

    >>> resolve("%A%-poison", {"A": "due"})
    'due-poison'
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in environment:
            raise CannotStart(f"the app setting {found[1]}, used as {found[0]}, is missing")
        return environment[found[1]]

    return _PERCENT.sub(value, text)


def connection_string(name: str, environment: Mapping[str, str]) -> str:
    """The storage connection string that the connection `name` stands for (also as `AzureWebJobs<name>`)."""
    for setting in (name, f"AzureWebJobs{name}"):
        if value := environment.get(setting):
            return value
    if identity := sorted(key for key in environment if key.startswith(f"{name}__")):
        raise CannotStart(
            f"the connection {name} is given by identity ({', '.join(identity)}); "
            f"this local host needs a connection string in the app setting {name}"
        )
    raise CannotStart(f"the connection {name} needs a connection string in the app setting {name}, which is missing")


def cors_origins(environment: Mapping[str, str]) -> list[str]:
    """The origins whose pages may call, in the app setting in which Azure's host is told them (a JSON list)."""
    text = environment.get("WEBSITE_CORS_ALLOWED_ORIGINS", "")
    try:
        origins = json.loads(text) if text else []
        if not isinstance(origins, list) or not all(isinstance(origin, str) for origin in origins):
            raise ValueError("no list of texts")
    except ValueError as wrong:
        raise CannotStart(
            f"the app setting WEBSITE_CORS_ALLOWED_ORIGINS is not a JSON list of origins: {wrong}"
        ) from wrong
    return origins


def is_disabled(function: str, environment: Mapping[str, str]) -> bool:
    """Whether the app settings switch the function off, in either of Azure's spellings."""
    names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs__{function}__Disabled")
    return any(environment.get(name, "").lower() in ("1", "true") for name in names)
