"""The command on a real (pseudo) terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.terminal import service
from tests.cli.test_app import HEEDED, MAIN, environment
from wx_integrations.emulator.scripted import ScriptedBrain

PATIENCE = 60.0
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>][A-Z0-9]?|\r")


class Terminal:
    """A person at a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self.process = process
        self._end = end
        self.shown = ""
        self._read = 0

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def interrupt(self) -> int:
        """Press Ctrl-C until the process ends, and return its exit code.

        The pseudo terminal is not the process's own, so the signal is sent by hand. Python's `input` does not notice
        one that comes between its prompt and its read; a person reads first, and presses again.
        """
        for _ in range(6):
            time.sleep(0.2)
            self.process.send_signal(signal.SIGINT)
            try:
                return self.process.wait(PATIENCE / 6)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError(f"it went on after Ctrl-C: {self.shown!r}")

    def wait_for(self, text: str) -> None:
        """Read until a text is shown after what was waited for before."""
        until = time.monotonic() + PATIENCE
        while text not in self.shown[self._read :]:
            assert time.monotonic() < until, f"{text!r} never came: {self.shown!r}"
            if select.select([self._end], [], [], 1)[0]:
                try:
                    piece = os.read(self._end, 65536)
                except OSError:  # the other side is gone
                    raise AssertionError(f"{text!r} never came: {self.shown!r}") from None
                self.shown += _STEERING.sub("", piece.decode())
        self._read = self.shown.index(text, self._read) + len(text)


@contextmanager
def terminal(*arguments: str, **variables: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", f"import sys; sys.argv[0] = 'wx'\n{HEEDED}{MAIN}", *arguments]
    given = environment(TERM="xterm", **variables)
    process = subprocess.Popen(command, env=given, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        yield Terminal(process, ours)
        assert process.wait(PATIENCE) is not None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


def test_a_conversation() -> None:
    brain = ScriptedBrain().reply("Hello ", "you.").reply("Fine.")
    with service(brain=brain) as (server, variables), terminal("chat", "--system", "Be kind.", **variables) as person:
        person.wait_for("ibm/granite-4-h-small; /help lists the commands")
        person.wait_for("you> ")
        person.type("Hi\n")
        person.wait_for("Hello you.")
        person.wait_for("you> ")
        person.type("/help\n")
        person.wait_for("/reset forgets the conversation")
        person.wait_for("you> ")
        person.type("Again\n")
        person.wait_for("Fine.")
        person.wait_for("you> ")
        person.type("\x04")
        assert person.process.wait(PATIENCE) == 0
        bodies = server.emulator.journal.bodies("text/chat_stream")
    assert [message["content"] for message in bodies[-1]["messages"]] == ["Be kind.", "Hi", "Hello you.", "Again"]


def test_the_models_as_a_table() -> None:
    with service() as (_, variables), terminal("models", "--search", "slate", **variables) as person:
        person.wait_for("lifecycle")
        person.wait_for("ibm/slate-30m-english-rtrvr")
        assert person.process.wait(PATIENCE) == 0
        assert "capabilities" in person.shown


def test_the_models_on_a_narrow_terminal() -> None:
    with service() as (_, variables), terminal("models", "--search", "slate-30m", COLUMNS="50", **variables) as person:
        person.wait_for("ibm/slate-30m-english-rtrvr")
        person.wait_for("embedding, similarity · 512 context · available")
        assert person.process.wait(PATIENCE) == 0


def test_ctrl_c_at_a_prompt(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Buns.")
    with terminal("demo", "--docs", str(tmp_path)) as person:
        person.wait_for("Question:")
        assert person.interrupt() == 130
