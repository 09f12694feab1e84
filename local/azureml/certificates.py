"""The local cloud's own certificate authority, made once and kept, so that clients trust it across restarts.

Called by the server at start. Repeating it reuses the files.
"""

from __future__ import annotations

from pathlib import Path

import certifi
import trustme

HOSTS = ("localhost", "127.0.0.1")


class Certificates:
    """Where the files are: the authority alone, a bundle with the public ones, and the server's own."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "ca.pem"
        self.bundle = folder / "ca-bundle.pem"
        self.server = folder / "server.pem"
        if not (self.authority.exists() and self.bundle.exists() and self.server.exists()):
            self._create()

    def _create(self) -> None:
        authority = trustme.CA()
        leaf = authority.issue_cert(*HOSTS)
        self.server.touch(mode=0o600)
        self.server.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
        authority_pem = authority.cert_pem.bytes()
        public = Path(certifi.where()).read_bytes()
        self.bundle.write_bytes(public + b"\n" + authority_pem)
        # Last and in one step: once it is there, all three are complete, and whoever waits for it reads all of it.
        partial = self.authority.with_suffix(".partial")
        partial.write_bytes(authority_pem)
        partial.replace(self.authority)
