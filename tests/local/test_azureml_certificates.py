"""The local authority's files: complete as soon as they are there, and kept."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from local.azureml.certificates import Certificates


def test_the_authority_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the file reads it at once: it must never be seen empty or half written."""
    seen: list[Path] = []
    write = Path.write_bytes

    def watched(path: Path, data: bytes) -> int:
        path.touch()
        if (tmp_path / "ca.pem").exists():
            seen.append(path)
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", watched)
    files = Certificates(tmp_path)
    assert seen == []
    for file in (files.authority, files.bundle):
        assert ssl.create_default_context(cafile=file).get_ca_certs()


def test_a_restart_keeps_them_and_one_cut_off_makes_all_anew(tmp_path: Path) -> None:
    first = Certificates(tmp_path)
    authority = first.authority.read_bytes()
    assert Certificates(tmp_path).authority.read_bytes() == authority
    first.authority.unlink()
    anew = Certificates(tmp_path)
    assert anew.authority.read_bytes() != authority
    assert anew.authority.read_bytes() in anew.bundle.read_bytes()
