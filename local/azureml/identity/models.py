"""Tokens: made by the managed identity endpoint, looked at by the control plane.

The check is Azure's visible part of it (present, right audience, not expired); signatures are not verified.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt

from local.azureml.addresses import Addresses
from local.azureml.identity.exceptions import InvalidToken

LIFETIME_SECONDS = 24 * 3600
PRINCIPAL = "11111111-1111-4111-8111-111111111111"


def identity_header(folder: Path) -> str:
    """The secret that callers of the identity endpoint send: from the environment, or made once and kept."""
    if given := os.environ.get("IDENTITY_HEADER"):
        return given
    path = folder / "identity-header"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
    return path.read_text()


class Tokens:
    """Issues and checks tokens for one cloud."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._key = secrets.token_bytes(32)

    def issue(self, resource: str) -> dict[str, str]:
        """The identity endpoint's answer for a resource."""
        expires = int(time.time()) + LIFETIME_SECONDS
        claims = {
            "aud": resource.rstrip("/"),
            "iss": f"https://sts.windows.net/{self._addresses.tenant}/",
            "tid": self._addresses.tenant,
            "oid": PRINCIPAL,
            "iat": int(time.time()),
            "exp": expires,
        }
        return {
            "access_token": jwt.encode(claims, self._key, algorithm="HS256"),
            "expires_on": str(expires),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": PRINCIPAL,
        }

    def check(self, authorization: str, extra_audiences: Sequence[str] = ()) -> dict[str, Any]:
        """The claims of a fitting bearer token; InvalidToken otherwise."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise InvalidToken("The request has no bearer token.")
        audiences = [self._addresses.base, self._addresses.aml_resource, *extra_audiences]
        return self._claims(token, audiences)

    def check_aml(self, token: str) -> dict[str, Any]:
        """The claims of the second token that comes with every pipeline job."""
        if not token:
            raise InvalidToken("The request has no x-azureml-token.")
        return self._claims(token, [self._addresses.aml_resource])

    def _claims(self, token: str, audiences: list[str]) -> dict[str, Any]:
        options = {"verify_signature": False, "verify_aud": True, "verify_exp": True, "require": ["exp"]}
        try:
            claims: dict[str, Any] = jwt.decode(token, options=options, audience=audiences)  # type: ignore[arg-type]
        except jwt.PyJWTError as error:
            raise InvalidToken(f"The token does not fit ({error}); expected one of {audiences}.") from error
        return claims
