"""A blob read by nothing but a socket: what a client of blob storage takes at least."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

_PIECE = 1 << 18


def signed(client: BlobClient) -> str:
    """The address of a blob, with leave to read it for an hour."""
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas

    leave = generate_blob_sas(
        str(client.account_name),
        client.container_name,
        client.blob_name,
        account_key=client.credential.account_key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"{client.url}?{leave}"


def drain(url: str, size: int) -> None:
    """Ask for the whole blob, and read the answer into the same memory again and again."""
    to = urlsplit(url)
    request = f"GET {to.path}?{to.query} HTTP/1.1\r\nHost: {to.netloc}\r\nx-ms-range: bytes=0-{size - 1}\r\n\r\n"
    with socket.create_connection((to.hostname, to.port)) as connection:
        connection.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(_PIECE)
        if b" 206 " not in head[:20]:
            raise SystemExit(head[:200].decode())
        left, room = size - len(head.partition(b"\r\n\r\n")[2]), bytearray(_PIECE)
        while left:
            if not (given := connection.recv_into(room, min(left, _PIECE))):
                raise SystemExit(f"the answer ended {left} bytes before its end")
            left -= given
