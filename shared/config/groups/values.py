"""How settings with more than one value are written: JSON objects, and keys between blanks or commas."""

from __future__ import annotations

import ipaddress
import json
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr


def json_object(example: str) -> BeforeValidator:
    """A validator that reads JSON text, and shows `example` where the text is none."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"must be a JSON object, e.g. {example}; {error}") from error

    return BeforeValidator(read)


def require_encrypted(address: str) -> None:
    """Raises ValueError for an address to which something secret may be read on its way; an empty one is none."""
    parts = urlsplit(address)
    kept = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if address and not (parts.hostname and kept):
        raise ValueError("must be an https:// address (http:// only at a loopback address)")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# How App Service writes that a value is in a vault. Where it could not be read, the app gets these words themselves.
_REFERENCE = "@microsoft.keyvault("


def keys_in(given: SecretStr | None) -> tuple[str, ...]:
    """The keys in a setting that holds several; none in a reference to a vault that was not read: that is no secret."""
    if given is None or is_unread(given):
        return ()
    return tuple(given.get_secret_value().replace(",", " ").split())


def is_unread(given: SecretStr | None) -> bool:
    """Whether a setting is a reference to a vault that the platform could not read."""
    return given is not None and _REFERENCE in given.get_secret_value().lower()
