"""`wx chat`: from a pipe, on a terminal, with tools."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from rich.console import Console

from tests.cli.terminal import service, wx
from wx_integrations.cli.chat import HELP, answer, opened, talk, typed_lines
from wx_integrations.cli.conversation import Conversation
from wx_integrations.cli.screen import Screen
from wx_integrations.core.errors import ConfigurationError, NotFound, Unavailable
from wx_integrations.emulator.faults import Status
from wx_integrations.emulator.scripted import ScriptedBrain
from wx_integrations.emulator.testing import Reasoning, Watsonx, calling

MODEL = "ibm/granite-4-h-small"


class Paper:
    """A screen to read afterwards."""

    def __init__(self) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        plain = {"no_color": True, "highlight": False, "soft_wrap": True, "width": 200}
        self.screen = Screen(Console(file=self._out, **plain), Console(file=self._err, **plain))  # type: ignore[arg-type]

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()


@pytest.fixture
def paper() -> Paper:
    return Paper()


def begin(paper: Paper, **options: Any) -> Conversation:
    given = {"model": MODEL, "deployment": None, "system": None, "tools": False, **options}
    return opened(paper.screen, {"retry_total": 0}, {}, **given)


def interactive(paper: Paper, conversation: Conversation, *lines: str) -> None:
    talk(paper.screen, conversation, lines, interactive=True)


# --------------------------------------------------------------------------- the command


def test_one_question() -> None:
    with service() as (server, environment):
        run = wx("chat", "Hello?", "--system", "Be kind.", "--temperature", "0", "--max-tokens", "9", **environment)
        assert (run.code, run.out, run.err) == (0, "You said: Hello?\n", "")
        body = server.emulator.journal.one("text/chat_stream").body
        assert (body["temperature"], body["max_completion_tokens"], body["model_id"]) == (0, 9, MODEL)
        assert body["messages"][0] == {"role": "system", "content": "Be kind."}


def test_lines_of_a_pipe() -> None:
    with service() as (server, environment):
        run = wx(
            "chat", input="one\n\n  two  \n/reset\n/system Be brief.\nthree\n/etc/hosts\n/quit\nnever\n", **environment
        )
        assert run.code == 0
        assert run.lines == [f"You said: {text}" for text in ("one", "two", "three", "/etc/hosts")]
        assert run.err == "(forgotten)\n(told)\n"
        bodies = server.emulator.journal.bodies("text/chat_stream")
        assert [[message["role"] for message in body["messages"]] for body in bodies] == [
            ["user"],
            ["user", "assistant", "user"],
            ["system", "user"],
            ["system", "user", "assistant", "user"],
        ]


def test_nothing_to_say() -> None:
    with service() as (server, environment):
        assert wx("chat", input="", **environment).code == 0
        assert len(server.emulator.journal) == 0


def test_a_deployment_needs_no_project() -> None:
    with service() as (server, environment):
        del environment["WATSONX_PROJECT_ID"]
        assert wx("chat", "Hi", "--deployment", "mine", **environment).out == "You said: Hi\n"
        assert server.emulator.journal.one("/ml/v1/deployments/mine/text/chat_stream").status == 200
        run = wx("chat", "Hi", **environment)
        assert run.code == 1
        assert run.err.startswith("wx: neither project_id nor space_id is set. Give project_id (WATSONX_PROJECT_ID)")


def test_tools_of_the_service_and_ones_own() -> None:
    brain = ScriptedBrain().call("calculate", expression="6*7").call("Weather", location="Rome").reply("Done.")
    with service(brain=brain) as (server, environment):
        run = wx("chat", "--tools", "Go", **environment)
        assert (run.code, run.out) == (0, "Done.\n")
        first, second, third = run.err.splitlines()
        assert first.startswith("(tools: calculate, current_time, ")
        assert second == '  calculate({"expression": "6*7"}) result: 42'
        assert third.startswith('  Weather({"location": "Rome"}) result: ')
        names = [tool["function"]["name"] for tool in server.emulator.journal.bodies("text/chat_stream")[0]["tools"]]
        assert names[:2] == ["calculate", "current_time"]
        assert "Weather" in names


def test_a_service_without_tools() -> None:
    with service(tools=False) as (_, environment):
        run = wx("chat", "--tools", "Go", **environment)
    assert (run.code, run.out.splitlines()[-1][:9]) == (0, "You said:")
    assert "(without the service's tools: HTTP 403" in run.err
    assert "(tools: calculate, current_time)" in run.err


@pytest.mark.parametrize("arguments", [["Hi"], []])
def test_errors_are_one_line_and_exit_code_1(arguments: list[str]) -> None:
    with service() as (server, environment):
        run = wx("chat", "--model", "ibm/granite-4-h-smal", *arguments, input="Hi\nnever\n", **environment)
        assert (run.code, run.out.strip()) == (1, "")
        assert run.err.startswith("wx: HTTP 404 model_not_supported: Model 'ibm/granite-4-h-smal' is not supported")
        assert "Did you mean 'ibm/granite-4-h-small'" in run.err
        assert run.err.count("\n") == 1
        assert len(server.emulator.journal.find("text/chat_stream")) == 1


def test_no_service_is_named() -> None:
    run = wx("chat", "Hi")
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("wx: url is not set. Give url (WATSONX_URL)")


# --------------------------------------------------------------------------- on a terminal


def test_an_error_does_not_end_it(watsonx: Watsonx, paper: Paper) -> None:
    watsonx.fail(Status(500), times=1)
    conversation = begin(paper)
    interactive(paper, conversation, "one", "two", "/what", "/quit", "never")
    assert "You said: two" in paper.out
    assert "HTTP 500" in paper.err
    assert HELP in paper.err
    assert len(watsonx.chats) == 2
    watsonx.fail(500)
    with pytest.raises(Unavailable):
        talk(paper.screen, conversation, ["three"], interactive=False)


def test_ctrl_c_stops_the_answer_only(watsonx: Watsonx, paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = begin(paper)
    pieces = paper.screen.pieces
    interrupts = iter([True, False])

    def interrupted(text: Iterator[str]) -> str:
        if next(interrupts):
            next(text)
            raise KeyboardInterrupt
        return pieces(text)

    monkeypatch.setattr(paper.screen, "pieces", interrupted)
    interactive(paper, conversation, "one", "two")
    assert "(stopped)" in paper.err
    assert paper.out == "You said: two\n"
    monkeypatch.setattr(paper.screen, "pieces", lambda text: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        talk(paper.screen, conversation, ["three"], interactive=False)


def test_commands(watsonx: Watsonx, paper: Paper) -> None:
    conversation = begin(paper, system="one")
    interactive(paper, conversation, "/system two", "a", "/system", "b", "/reset", "c", "/exit")
    watsonx.expect_chat("a", system="two")
    watsonx.expect_chat("c", messages=[{"role": "user", "content": "c"}])
    assert paper.err.split("\n")[:3] == ["(told)", "(taken back)", "(forgotten)"]


def test_thinking_and_calls_are_shown_beside_the_answer(watsonx: Watsonx, paper: Paper) -> None:
    watsonx.reply(Reasoning("let me "), Reasoning("think"), calling("current_time"))
    watsonx.reply("Noon.")
    interactive(paper, begin(paper, tools=True), "What time is it?")
    assert paper.out == "Noon.\n"
    assert "let me think\n  current_time({}) result: " in paper.err


def test_nothing_steers_the_terminal(watsonx: Watsonx, paper: Paper) -> None:
    watsonx.reply(calling("calculate", expression="\x1b]0;owned\x07")).reply("a\x1b[2Jb\x9b1mc")
    answer(paper.screen, begin(paper, tools=True), "go")
    assert "\x1b" not in paper.out + paper.err
    assert "\x9b" not in paper.out + paper.err
    assert "a[2Jb1mc" in paper.out


def test_advice_about_the_model_survives_a_list_that_fails(watsonx: Watsonx, paper: Paper) -> None:
    watsonx.fail(500, path="foundation_model_specs", times=None)
    with pytest.raises(NotFound, match="not supported"):
        answer(paper.screen, begin(paper, model="own/none"), "go")


def test_a_project_is_needed(watsonx: Watsonx, paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATSONX_PROJECT_ID")
    with pytest.raises(ConfigurationError, match="WATSONX_PROJECT_ID"):
        begin(paper)


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_what_is_typed(end: type[BaseException]) -> None:
    typed = iter(["one", "two"])
    prompts = []

    def read(prompt: str) -> str:
        prompts.append(prompt)
        for line in typed:
            return line
        raise end

    lines: Iterable[str] = typed_lines("> ", read)
    assert list(lines) == ["one", "two"]
    assert prompts == ["> "] * 3
