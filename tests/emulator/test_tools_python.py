"""PythonInterpreter: what code can do, what it cannot, and where it ends."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.lab import PLATFORM, Lab
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.tools.card import Bench, ToolFailed
from wx_integrations.emulator.tools.python_interpreter import PythonInterpreter
from wx_integrations.emulator.tools.runner import ERROR

Run = Callable[..., str]


def body_of(reply: Reply) -> Any:
    """Return the JSON of a reply, whatever its status."""
    assert isinstance(reply.body, bytes)
    return json.loads(reply.body)


@pytest.fixture
def pictures() -> list[tuple[str, bytes]]:
    return []


@pytest.fixture
def run(pictures: list[tuple[str, bytes]]) -> Run:
    def keep(ending: str, data: bytes) -> str:
        pictures.append((ending, data))
        return f"https://host/{len(pictures)}{ending}"

    def run(code: str, **limits: float) -> str:
        return PythonInterpreter(**limits).run(code, {}, Bench(DeterministicBrain(), keep))  # type: ignore[arg-type]

    return run


def test_console_output(run: Run) -> None:
    assert run("print(4 * 5)") == "20\n"
    assert run("print('é', end='')") == "é"
    assert run("x = 1") == ""
    assert run("import statistics; print(statistics.mean([1, 2, 3]))") == "2\n"
    assert run("if __name__ == '__main__':\n    print('main')") == "main\n"


def test_objects_with_code_are_inputs_too() -> None:
    bench = Bench(DeterministicBrain(), lambda ending, data: ending)
    assert PythonInterpreter().run({"code": "print(1)"}, {"deploymentId": "d"}, bench) == "1\n"
    with pytest.raises(ToolFailed, match="code or input"):
        PythonInterpreter().run({"program": "print(1)"}, {}, bench)


def test_errors_are_part_of_the_output(run: Run) -> None:
    text = run("print('before')\n1 / 0")
    assert text.startswith(f"before\n{ERROR}Traceback")
    assert text.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "runner.py" not in text
    assert "SyntaxError" in run("def f(:")
    assert "EOFError" in run("input()")
    assert run("import sys; print('out'); sys.exit(3)") == "out\n"
    chained = run("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('why') from error")
    assert "direct cause" in chained
    assert "ValueError: why" in chained


def test_no_secret_is_inherited(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_API_KEY", "very-secret")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    seen = run("import os; print(sorted(os.environ.items()))")
    assert "very-secret" not in seen
    assert "WATSONX" not in seen
    assert "PYTHON" not in seen
    assert "PermissionError" in run("print(open('/proc/self/environ').read())")
    assert "PermissionError" in run(f"print(open('/proc/{os.getpid()}/environ').read())")


def test_it_is_isolated(run: Run) -> None:
    assert run("import sys; print(sys.flags.isolated, sys.flags.no_user_site)") == "1 1\n"
    folder = run("import os; print(os.getcwd())").strip()
    assert folder != str(Path.cwd())
    assert not Path(folder).exists()


def test_its_folder_is_its_own(run: Run, tmp_path: Path) -> None:
    assert run("open('a.txt', 'w').write('x'); print(open('a.txt').read())") == "x\n"
    assert "FileNotFoundError" in run("open('a.txt')")
    victim = tmp_path / "victim.txt"
    victim.write_text("keep")
    for code in (
        f"open({str(victim)!r}).read()",
        f"open({str(victim)!r}, 'w')",
        f"import os; os.remove({str(victim)!r})",
        f"import os; os.listdir({str(tmp_path)!r})",
        f"import os; os.rename({str(victim)!r}, 'mine.txt')",
        f"import sqlite3; sqlite3.connect({str(tmp_path / 'new.db')!r})",
        f"import os; os.symlink('x', {str(tmp_path / 'link')!r}); open({str(tmp_path / 'link')!r})",
    ):
        assert "PermissionError" in run(code), code
    assert victim.read_text() == "keep"
    assert [path.name for path in tmp_path.iterdir()] == ["victim.txt"]


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; s = socket.socket(); s.connect(('127.0.0.1', 9))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1)'])",
        "import os; os.system('echo 1')",
        "import os; os.fork()",
        "import os; os.kill(1, 0)",
    ],
)
def test_no_network_and_no_programs(run: Run, code: str) -> None:
    text = run(code)
    assert "not possible here" in text
    assert text.startswith(ERROR)


def test_time_is_limited(run: Run) -> None:
    text = run("print('begun', flush=True)\nwhile True: pass", seconds=1)
    assert text == f"begun\n\n{ERROR}it ran longer than 1 s and was stopped"


def test_closing_its_output_does_not_buy_time(run: Run) -> None:
    assert "was stopped" in run("import os, time\nos.close(1); os.close(2)\ntime.sleep(60)", seconds=1)


def test_output_is_limited(run: Run) -> None:
    text = run("while True: print('x' * 1000)", output=5000)
    assert text.endswith(f"{ERROR}it wrote more than 5000 bytes and was stopped")
    assert len(text) < 5200


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_memory_is_limited(run: Run) -> None:
    assert "MemoryError" in run("x = bytearray(2 << 30)", memory=512 << 20)


def test_files_are_limited(run: Run) -> None:
    text = run("with open('big', 'wb') as file:\n    for _ in range(64): file.write(bytes(1 << 20))")
    assert ERROR in text


def test_a_process_that_dies_says_so(run: Run) -> None:
    assert "stopped by SIGABRT" in run("import os; os.abort()")


def test_pictures_come_first(run: Run, pictures: list[tuple[str, bytes]]) -> None:
    text = run("open('b.png', 'wb').write(b'picture'); open('a.SVG', 'wb').write(b'<svg/>'); print('drawn')")
    assert text == "IMAGE(https://host/1.SVG)\nIMAGE(https://host/2.png)\n\ndrawn"
    assert pictures == [(".SVG", b"<svg/>"), (".png", b"picture")]


def test_links_are_no_pictures(run: Run, pictures: list[tuple[str, bytes]], tmp_path: Path) -> None:
    run(f"import os; os.symlink({str(tmp_path / 'secret')!r}, 'a.png')")
    assert pictures == []


def test_charts_are_pictures_without_being_saved(run: Run, pictures: list[tuple[str, bytes]]) -> None:
    code = """
import sys, types
pyplot = types.ModuleType("matplotlib.pyplot")
class Figure:
    def savefig(self, name): open(name, "wb").write(b"chart")
pyplot.get_fignums = lambda: [1]
pyplot.figure = lambda number: Figure()
sys.modules["matplotlib.pyplot"] = pyplot
"""
    assert run(code) == "IMAGE(https://host/1.png)"
    assert pictures == [(".png", b"chart")]


def test_pictures_can_be_fetched() -> None:
    lab = Lab()
    body = {"tool_name": "PythonInterpreter", "input": "open('a.png', 'wb').write(b'picture')"}
    reply = lab.post("/wx/v1-beta/utility_agent_tools/run", body, host=PLATFORM)
    text = body_of(reply)["output"]
    assert text == f"IMAGE({PLATFORM}/wx/v1-beta/utility_agent_tools/resources/image-1.png)"
    fetched = lab.send("GET", "/wx/v1-beta/utility_agent_tools/resources/image-1.png", host=PLATFORM)
    assert (fetched.status, fetched.headers["content-type"], fetched.body) == (200, "image/png", b"picture")
    assert lab.send("GET", "/wx/v1-beta/utility_agent_tools/resources/image-2.png", host=PLATFORM).status == 404
