"""The `wx` command itself: help, usage errors, exit codes, missing extras, programs at both ends of a pipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import wx_integrations
from tests.cli.terminal import service, wx
from wx_integrations.cli import local
from wx_integrations.emulator.scripted import ScriptedBrain

COMMANDS = ("demo", "serve", "doctor", "models", "chat")
ROOT = Path(wx_integrations.__file__).parents[1]
MAIN = "from wx_integrations.cli import main; main()"
HEEDED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""What is started in the background by a shell has Ctrl-C ignored, and so have its children."""


def environment(**variables: str) -> dict[str, str]:
    """Return an environment of its own for a process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WATSONX_", "SSL_CERT"))}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables}


def process(*arguments: str, before: str = "", input: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; bytes of the input that are no text are written as `open` does."""
    command = [sys.executable, "-c", f"{before}\nimport sys; sys.argv[0] = 'wx'\n{MAIN}", *arguments]
    fed = input.encode("utf-8", "surrogateescape")
    done = subprocess.run(
        command, env=environment(**variables), capture_output=True, check=False, timeout=100, input=fed
    )
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


# --------------------------------------------------------------------------- help and usage


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_has_help(command: str) -> None:
    run = wx(command, "--help")
    assert run.code == 0
    assert run.err == ""
    options = [line for line in run.lines if line.startswith("│ --")]
    assert options
    # An option without help ends after its name and its kind.
    assert all(len(line.strip("│ ").split()) > 3 for line in options), options


def test_help_names_every_command_and_the_exit_codes() -> None:
    run = wx("--help")
    assert run.code == 0
    assert all(f"│ {command} " in run.out for command in COMMANDS)
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped." in " ".join(run.out.split())
    assert wx("--version").out == f"wx-integrations {wx_integrations.__version__}\n"
    assert wx("-h").out == run.out
    assert wx("chat", "-h").out == wx("chat", "--help").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["doctor", "--nothing"],
        ["doctor", "--timeout", "soon"],
        ["chat", "--temperature", "3"],
        ["serve", "--port", "70000"],
        ["serve", "--brain", "big"],
        ["serve", "--first-token", "-1"],
        ["chat", ""],
        ["chat", " \n"],
        ["chat", "\udcff"],
        ["chat", "--model", "", "Hi"],
        ["chat", "--deployment", "", "Hi"],
        ["doctor", "--deployment", ""],
        ["doctor", "--embedding-model", ""],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    run = wx(*arguments)
    assert run.code == 2
    assert "Error" in run.err
    assert "Traceback" not in run.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--fault", "505050"], "--fault: '505050' is not understood. Give WHAT"),
        (["--limit", "many"], "--limit: 'many' is not a rate. Give 8 (a second) or 120/60 (in 60 seconds)"),
        (["--host", "192.0.2.1"], "--host: 192.0.2.1 can be reached by others. Give --public as well if that is meant"),
        (["--host", "0.0.0.0"], "--host: 0.0.0.0 can be reached by others. Give --public as well if that is meant"),
        (["--host", "192.0.2.1", "--public"], "cannot listen at 192.0.2.1:0: "),
    ],
)
def test_users_errors_of_serve(options: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LocalBrain", None)  # no model is fetched for nothing
    run = wx("serve", "--port", "0", *options)
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith(f"wx: {told}")
    assert run.err.count("\n") == 1


def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    run = wx("serve", "--brain", "deterministic", "--port", "0", "--journal", str(tmp_path / "no" / "file"))
    assert (run.code, run.out) == (1, "")
    assert "No such file or directory" in run.err


def test_a_port_that_is_taken() -> None:
    with service() as (server, _):
        run = wx("serve", "--brain", "deterministic", "--port", str(server.port))
        assert run.code == 1
        assert run.err == (
            f"wx: cannot listen at 127.0.0.1:{server.port}: Address already in use. "
            "Give another --port, or --port 0 for a free one\n"
        )


# --------------------------------------------------------------------------- processes


def test_no_traceback_and_no_secret_in_a_process_of_its_own() -> None:
    done = process("doctor", WATSONX_URL="https://us-south.ml.cloud.ibm.example", WATSONX_API_KEY="canary-key ")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert "white space" in done.stdout


def test_a_reader_that_has_enough() -> None:
    with service() as (server, _):
        command = [sys.executable, "-c", f"import sys; sys.argv[0] = 'wx'\n{MAIN}", "models", "--url", server.url]
        given = environment(PYTHONUNBUFFERED="1")
        running = subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        errors = running.stderr.read()
        running.stderr.close()
        assert running.wait(60) == 1
    assert errors == ""


INTERRUPTED = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "rich.console":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
"""


def test_ctrl_c_while_it_starts() -> None:
    done = process("models", before=INTERRUPTED)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_terminal_that_knows_few_characters() -> None:
    brain = ScriptedBrain().reply("A café ☃.")
    with service(brain=brain) as (_, variables):
        done = process("chat", "Where?", **variables, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "A caf\\xe9 \\u2603.\n", "")


def test_no_input_and_input_that_is_no_text() -> None:
    with service() as (_, variables):
        done = process("chat", before="import sys; sys.stdin = None", **variables)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "wx: there is no input. Give a question: wx chat 'Who are you?'\n"
        for handling in ("strict", "surrogateescape"):
            given = {**variables, "PYTHONIOENCODING": f"utf-8:{handling}"}
            done = process("chat", input="Ä\n\udcff\n", **given)
            assert (done.returncode, done.stderr) == (1, "wx: the input is not UTF-8 text\n")
        done = process("demo", "--docs", str(ROOT), before="import sys; sys.stdin = None", **variables)
        assert done.returncode == 2
        assert "give --question as well" in done.stderr


def test_what_is_missing_is_named() -> None:
    done = process("doctor", before="import sys; sys.modules['typer'] = None")
    assert (done.returncode, done.stderr) == (1, "wx needs typer: pip install 'wx-integrations[cli]'\n")
    done = process("serve", "--brain", "deterministic", before="import sys; sys.modules['uvicorn'] = None")
    assert (done.returncode, done.stderr) == (
        1,
        "wx: this command needs uvicorn: pip install 'wx-integrations[local]'\n",
    )


LOADED = """
import sys, typer
from wx_integrations.cli.app import app
try:
    app({arguments!r}, standalone_mode=False)
except (typer.Exit, SystemExit):
    pass
print("LOADED", [name for name in {names!r} if name in sys.modules])
"""
HEAVY = ("langchain_core", "langchain", "llama_index", "uvicorn", "starlette", "trustme", "numpy", "xllamacpp")


@pytest.mark.parametrize("arguments", [["doctor"], ["models"], ["chat", "Hi"]])
def test_looking_at_a_service_needs_the_small_extra_only(arguments: list[str]) -> None:
    with service() as (_, variables):
        code = LOADED.format(arguments=arguments, names=HEAVY)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(**variables),
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_serve_until_stopped(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    options = ["--fault", "503@text/chat:x1", "--limit", "2/60", "--per-token", "0.001", "--journal", str(journal)]
    command = [sys.executable, "-c", HEEDED + MAIN, "serve", "--brain", "deterministic", "--port", "0", *options]
    given = environment(PYTHONUNBUFFERED="1")
    running = subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(4)]
        assert lines[0].startswith("Serving the deterministic brain (no model) at http://127.0.0.1:")
        exports = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines[1:])
        assert set(exports) == {"WATSONX_URL", "WATSONX_API_KEY", "WATSONX_PROJECT_ID"}
        statuses = [chat(exports).status_code for _ in range(4)]
        assert statuses == [503, 200, 200, 429]
        written = [json.loads(line) for line in journal.read_text().splitlines()]
        assert [(entry["status"], entry["fault"]) for entry in written] == [
            (503, "Status"),
            (200, None),
            (200, None),
            (429, "Limit"),
        ]
    finally:
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=30)
    assert (running.returncode, out, errors) == (130, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_serve_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    heeded = f"import signal; signal.signal({int(number)}, signal.SIG_DFL); "  # nohup has SIGHUP ignored
    command = [sys.executable, "-c", heeded + MAIN, "serve", "--brain", "deterministic", "--port", "0", "--tls"]
    given = environment(PYTHONUNBUFFERED="1", TMPDIR=str(tmp_path))
    running = subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(5)]
        authority = Path(lines[-1].strip().removeprefix("export SSL_CERT_FILE="))
        assert authority.is_relative_to(tmp_path)
        assert authority.is_file()
    finally:
        running.send_signal(number)
        out, errors = running.communicate(timeout=30)
    assert (running.returncode, out, errors) == (128 + number, "", "")
    assert list(tmp_path.iterdir()) == []


def chat(exports: dict[str, str]) -> httpx.Response:
    body: dict[str, Any] = {
        "model_id": "ibm/granite-4-h-small",
        "project_id": exports["WATSONX_PROJECT_ID"],
        "messages": [{"role": "user", "content": "Hello"}],
    }
    headers = {"authorization": "Bearer any"}
    url = f"{exports['WATSONX_URL']}/ml/v1/text/chat"
    return httpx.post(url, params={"version": "2024-03-14"}, json=body, headers=headers, trust_env=False)
