"""Whether people are told: the settings of topic and webhook fit together, and neither refuses what it is sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.config.groups.values import is_unread
from shared.operations import backlog
from shared.operations.doctor.report import CheckResult, well, wrong
from shared.runtime import Services

_PAGE = "docs/notifications.md"
_VAULT = "give the app's identity Key Vault Secrets User on the vault (infra/modules/roles.bicep), restart the app"


def notifications(services: Services) -> CheckResult:
    """Who is told, and what waits to be told. Nothing is sent: what was refused before is on record."""
    given = services.settings
    for name in ("notify_key", "notify_webhook", "notify_webhook_secret"):
        if is_unread(getattr(given, name)):
            return wrong(f"{name.upper()} is in a vault that the platform could not read", _VAULT)
    if given.notify_key and not given.notify_topic:
        return wrong("NOTIFY_KEY is set and NOTIFY_TOPIC is not: no topic is told", f"set NOTIFY_TOPIC ({_PAGE})")
    if given.notify_webhook_secret and not given.notify_webhook:
        return wrong(
            "NOTIFY_WEBHOOK_SECRET is set and NOTIFY_WEBHOOK is not: no webhook is told",
            f"set NOTIFY_WEBHOOK ({_PAGE})",
        )
    if (waiting := backlog.shown(services)) is not None and waiting["failing"]:
        failing = "; ".join(f"{name}: {one['error']}, since {one['since']}" for name, one in waiting["failing"].items())
        return wrong(f"{waiting['waiting']} notices wait: {failing}", _PAGE)
    if not services.channels:
        return well("nobody is told: neither NOTIFY_TOPIC nor NOTIFY_WEBHOOK is set")
    topic, webhook = given.notify_topic, given.notify_webhook.get_secret_value() if given.notify_webhook else ""
    names = [
        f"{name} at {urlsplit(address).hostname}"
        for name, address in (("topic", topic), ("webhook", webhook))
        if address
    ]
    return well(f"told: {', '.join(names)}")
