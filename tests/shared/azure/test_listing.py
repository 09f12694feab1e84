"""A page of a listing, as Azure sends it."""

from __future__ import annotations

import pytest

from shared.azure.storage.listing import parse

PAGE = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="https://a.blob.core.windows.net/" ContainerName="snapshots"><Prefix>b</Prefix>
<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"""
BLOB = """<Blob><Name{encoded}>{name}</Name><Properties><Last-Modified>Sun, 01 Mar 2026 09:05:07 GMT</Last-Modified>
<Etag>0x8D</Etag><Content-Length>12</Content-Length><Content-Encoding /><BlobType>{kind}</BlobType>
<AccessTier>{tier}</AccessTier>{more}</Properties><Metadata>{metadata}</Metadata><OrMetadata /></Blob>"""

# Whoever uploads names the metadata, and may name it like anything.
FORGED = "<state>LIVE</state><Metadata /><Blob>y</Blob><Name>x</Name>"


def page(*blobs: str, marker: str = "") -> bytes:
    return PAGE.format(blobs="".join(blobs), marker=marker).encode()


def blob(name: str = "b/1.jsonl", encoded: str = "", metadata: str = "", **more: str) -> str:
    return BLOB.format(
        **{
            "name": name,
            "encoded": encoded,
            "metadata": metadata,
            "kind": "BlockBlob",
            "tier": "Hot",
            "more": "",
            **more,
        }
    )


def test_a_blob_is_read_with_all_that_the_app_asks_of_it() -> None:
    (found,), marker = parse(page(blob("b/ü &amp; é.jsonl", metadata=FORGED)))
    assert (found.name, found.etag, found.size, found.uploaded_at) == ("b/ü & é.jsonl", "0x8D", 12, 1772355907.0)
    assert found.metadata == {"state": "LIVE", "Metadata": "", "Blob": "y", "Name": "x"}
    assert (found.unreadable, found.copying) == ("", False)
    assert marker == ""


def test_what_one_blob_has_is_not_told_of_the_next() -> None:
    first = blob("b/1", metadata="<a>1</a>", more="<CopyStatus>pending</CopyStatus>", tier="Archive")
    found, marker = parse(page(first, blob("b/2"), marker="next!"))
    assert [one.copying for one in found] == [True, False]
    assert [bool(one.unreadable) for one in found] == [True, False]
    assert [one.metadata for one in found] == [{"a": "1"}, {}]
    assert marker == "next!"


@pytest.mark.parametrize(
    ("given", "name"), [("b/%01%EF%BF%BF", "b/\x01\uffff"), ("b/100%25", "b/100%")], ids=["control", "percent"]
)
def test_a_name_that_xml_cannot_say_comes_encoded(given: str, name: str) -> None:
    (found,), _ = parse(page(blob(given, encoded=' Encoded="true"')))
    assert found.name == name


def test_a_name_with_a_percent_sign_is_left_as_it_is() -> None:
    (found,), _ = parse(page(blob("b/100%25.jsonl")))
    assert found.name == "b/100%25.jsonl"


def test_folders_are_left_out_and_a_long_text_comes_whole() -> None:
    long = "x" * 70_000
    found, _ = parse(page(blob("b/f", metadata="<hdi_isfolder>true</hdi_isfolder>"), blob(metadata=f"<a>{long}</a>")))
    assert [one.metadata for one in found] == [{"a": long}]


def test_an_empty_listing_is_one() -> None:
    assert parse(page()) == ([], "")
