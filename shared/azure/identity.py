"""Who the app is in Azure: the managed identity there, the developer's own sign-in on a laptop; never a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.azure.clouds import PUBLIC

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# A token is asked for once, in bounded time: the SDK's own way of asking again may take minutes, and whoever needs the
# token comes back by himself.
_ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 3, "read_timeout": 10}


def identity(client_id: str = "", authority: str = PUBLIC.authority) -> TokenCredential:
    """The app's identity; `client_id` names a user-assigned one, `authority` who signs people in."""
    from azure.identity import DefaultAzureCredential

    assigned = {"managed_identity_client_id": client_id} if client_id else {}
    return DefaultAzureCredential(authority=authority, **_ONCE, **assigned)
