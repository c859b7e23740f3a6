"""IBM's own clients, unmodified, against the emulator over TLS.

They run in a process of their own, by the interpreter that has them: this one,
or the one that WX_ORACLE_PYTHON names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.journal import Journal
from wx_integrations.emulator.server import LocalServer

PYTHON = os.environ.get("WX_ORACLE_PYTHON", sys.executable)
CLIENTS = Path(__file__).with_name("ibm_clients.py")
GOOD_KEY = "good-key"


def _has_the_sdk() -> bool:
    probe = [PYTHON, "-c", "import importlib.util, sys; sys.exit(not importlib.util.find_spec('ibm_watsonx_ai'))"]
    return subprocess.run(probe, check=False, timeout=60).returncode == 0


pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not _has_the_sdk(), reason="ibm_watsonx_ai is not installed; set WX_ORACLE_PYTHON"),
]


class Witness:
    """What the clients got, and what they asked."""

    def __init__(self, *, strict: bool) -> None:
        emulator = Emulator(strict=strict, any_token=True, api_keys={GOOD_KEY})
        with LocalServer(emulator, tls=True) as server:
            command = [PYTHON, str(CLIENTS), server.url, str(server.ca_path), GOOD_KEY]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        self.results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.journal: Journal = emulator.journal


@pytest.fixture(scope="module")
def lenient() -> Witness:
    return Witness(strict=False)


def test_every_step_completes(lenient: Witness) -> None:
    failed = {name: result for name, result in lenient.results.items() if "error" in result}
    assert failed == {}
    assert len(lenient.results) >= 20


def test_the_answers_are_right(lenient: Witness) -> None:
    expected = {
        "chat": "You said: Hello",
        "chat_stream": "You said: Hello",
        "chat_json": '{"name": "Ada"}',
        "tools": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
        "generate": "You said: Once upon a time",
        "generate_stream": "You said: Once upon a time",
        "embed": 3,
        "embed_many": 1500,
        "rerank": [1, 0],
        "gateway_stream": "You said: Hello",
        "saas_chat": "You said: Hello",
        "cpd_chat": "You said: Hello",
        "wrong_key": "InvalidCredentialsError",
        "unknown_model": "WMLClientError",
    }
    assert {name: lenient.results[name].get("ok") for name in expected} == expected


def test_only_what_was_meant_to_fail_was_refused(lenient: Witness) -> None:
    refused = [(entry.path, entry.status) for entry in lenient.journal if entry.status >= 400]
    assert refused == [("/identity/token", 400)]


def test_the_strict_emulator_refuses_only_what_the_reference_does_not_know() -> None:
    witness = Witness(strict=True)
    refused = {
        (entry.path, name)
        for entry in witness.journal
        if entry.status >= 400 and entry.path != "/identity/token"
        for name in [*entry.body, *entry.body.get("parameters", {})]
    }
    known = {"model_id", "project_id", "messages", "input", "parameters", "return_tokens"}
    assert {(path, name) for path, name in refused if name not in known} <= {
        ("/ml/v1/text/chat", "stop_sequences"),
        ("/ml/v1/text/tokenization", "max_new_tokens"),
    }
