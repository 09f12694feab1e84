"""How an app under test tells the test what happens in it, and waits for the test's word (see harness.Witness)."""

import json
import os
import socket


def tell(**fields: object) -> None:
    """Send `fields` to the test; return when it has answered, which it may delay."""
    address = ("127.0.0.1", int(os.environ["WITNESS_PORT"]))
    with socket.create_connection(address) as connection, connection.makefile("rw") as stream:
        stream.write(json.dumps(fields) + "\n")
        stream.flush()
        stream.readline()
