"""What importing the emulator costs: httpx and pydantic, nothing else; only the server needs more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import wx_integrations.emulator as package

FOLDER = Path(package.__file__).parent
LIGHT = sorted(
    path.stem
    for path in FOLDER.glob("*.py")
    if path.stem not in ("__init__", "server", "asgi", "pytest_plugin", "local_models")
)
TRANSPORTS = ("transport", "interception")
HEAVY = ("starlette", "uvicorn", "trustme", "numpy", "xllamacpp", "langchain_core", "llama_index", "typer")


def test_everything_but_the_server_imports_lightly() -> None:
    names = ", ".join(f"wx_integrations.emulator.{name}" for name in LIGHT)
    code = f"import sys, {names}; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", LIGHT)
def test_the_emulator_shares_only_the_wire_with_core(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text()
    shared = [
        line for line in source.splitlines() if line.startswith(("from wx_integrations", "import wx_integrations"))
    ]
    allowed = ("from wx_integrations.core.wire", "from wx_integrations.emulator")
    assert [line for line in shared if not line.startswith(allowed)] == []
    assert name in TRANSPORTS or "httpx" not in {
        line.split()[1] for line in source.splitlines() if line.startswith("import ")
    }
