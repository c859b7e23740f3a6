"""Every Python block of the README runs as it stands, against the emulator; every command exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wx_integrations.cli.app import app
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.server import LocalServer

pytest_plugins = ["pytester"]

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [
    line for language, code in BLOCKS if language == "bash" for line in code.strip().splitlines() if line.strip()
]


@pytest.mark.filterwarnings("ignore:.*unspecified_max_token:UserWarning")  # the service's note on default lengths
@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_block_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator()
    with LocalServer(emulator) as server:
        monkeypatch.setenv("WATSONX_URL", server.url)
        monkeypatch.setenv("WATSONX_API_KEY", "any")
        monkeypatch.setenv("WATSONX_PROJECT_ID", "63dc4cf1-252f-424b-b52d-5cdd9814987f")
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_every_block_is_covered() -> None:
    assert {language for language, _ in BLOCKS} <= {"python", "bash"}
    assert len(PYTHON) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_command_exists(command: str) -> None:
    for part in re.split(r"&&|\|\|", command):
        words = part.split()
        if words[0] == "wx":
            result = CliRunner().invoke(app, [words[1], "--help"])
            assert result.exit_code == 0, result.output
        else:
            assert words[0] in {"pip", "pytest", "export"}


def test_the_fixture_example_passes(pytester: pytest.Pytester) -> None:
    example = next(code for code in PYTHON if "def test_" in code)
    pytester.makepyfile(example)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
