"""Ends the faults that tests have ordered from the parts. Called by `Cloud.mend`; may be repeated."""

from __future__ import annotations

import ssl

import httpx

from local.wiring import Wiring


def end_faults(wiring: Wiring) -> None:
    """Let go what is held and fail no more."""
    trusting = ssl.create_default_context(cafile=wiring.azureml_ca)
    httpx.delete(
        f"{wiring.azureml_url}/_control/faults", verify=trusting, timeout=5, trust_env=False
    ).raise_for_status()
    httpx.put(f"{wiring.eventgrid_url}/faults", json={}, timeout=5, trust_env=False).raise_for_status()
