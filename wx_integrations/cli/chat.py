"""`wx chat`: a conversation on a terminal, or line by line from a pipe."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO

from wx_integrations.cli.conversation import Called, Conversation, Offered, Said, Thought
from wx_integrations.cli.models import listed
from wx_integrations.cli.screen import Screen
from wx_integrations.cli.tools import LOCAL, of_service
from wx_integrations.core.advice import advice, concerns_model
from wx_integrations.core.calls import Deployment, Model, Target
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, ServiceError, WatsonxError
from wx_integrations.core.session import Session
from wx_integrations.core.wire.chat import ChatParameters

HELP = "/reset forgets the conversation, /system TEXT tells the model what it is, /quit ends (as does Ctrl-D)"
_SHOWN = 300


def opened(
    screen: Screen,
    settings: Mapping[str, Any],
    parameters: Mapping[str, Any],
    *,
    model: str,
    deployment: str | None,
    system: str | None,
    tools: bool,
) -> Conversation:
    """Return a conversation that has not begun.

    Raises:
        ConfigurationError: a setting is wrong or missing.
    """
    session = Session.of(Connection.from_env(**settings))
    connection = session.connection
    if deployment is None:
        connection.scope()
    target: Target = Deployment(deployment) if deployment else Model(model, connection.project_id, connection.space_id)
    return Conversation(
        session.client, target, system, ChatParameters(**parameters), _tools(screen, session) if tools else ()
    )


def _tools(screen: Screen, session: Session) -> list[Offered]:
    found = list(LOCAL)
    try:
        found += of_service(session)
    except WatsonxError as error:
        screen.note(f"(without the service's tools: {error.message})")
    screen.note(f"(tools: {', '.join(tool.name for tool in found)})")
    return found


def talk(screen: Screen, conversation: Conversation, lines: Iterable[str], *, interactive: bool) -> None:
    """Answer line after line.

    On a terminal an error is shown and the conversation goes on; a pipe ends
    with the first one.

    Raises:
        WatsonxError: an answer failed, and nobody is there to go on.
    """
    for line in lines:
        text = line.strip()
        if text in ("/quit", "/exit"):
            return
        if not text or _obeyed(screen, conversation, text, interactive=interactive):
            continue
        try:
            answer(screen, conversation, text)
        except KeyboardInterrupt:
            if not interactive:
                raise
            screen.note("\n(stopped)")
        except WatsonxError as error:
            if not interactive:
                raise
            screen.fail(str(error))


def answer(screen: Screen, conversation: Conversation, text: str) -> None:
    """Say something and show the answer as it arrives.

    Raises:
        WatsonxError: the service or the connection failed; a refused model comes with advice.
    """
    try:
        screen.pieces(_shown(screen, conversation, text))
    except ServiceError as error:
        _advise(error, conversation)
        raise


def _shown(screen: Screen, conversation: Conversation, text: str) -> Iterator[str]:
    """Yield the answer's text; tool calls and thinking are shown beside it."""
    thinking = False
    with contextlib.closing(conversation.say(text)) as events:
        for event in events:
            if thinking and not isinstance(event, Thought):
                screen.note("")
            thinking = isinstance(event, Thought)
            match event:
                case Said():
                    yield _harmless(event.text)
                case Thought():
                    screen.note(_harmless(event.text), end="")
                case Called():
                    mark = "failed" if event.failed else "result"
                    screen.note(f"  {_short(f'{event.name}({event.arguments})')} {mark}: {_short(event.result)}")


def _harmless(text: str) -> str:
    """Return a text that cannot steer the terminal."""
    return text.replace("\x1b", "").replace("\x9b", "")


def _short(text: str) -> str:
    line = " ".join(_harmless(text).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _advise(error: ServiceError, conversation: Conversation) -> None:
    target = conversation.target
    if isinstance(target, Model) and concerns_model(error):
        with contextlib.suppress(WatsonxError):
            error.hint = advice(target.model_id, listed(conversation.client)) or error.hint


def _obeyed(screen: Screen, conversation: Conversation, text: str, *, interactive: bool) -> bool:
    """Obey a command; returns whether it was one."""
    name, _, rest = text.partition(" ")
    if name == "/reset":
        conversation.messages.clear()
        screen.note("(forgotten)")
    elif name == "/system":
        conversation.system = rest.strip() or None
        screen.note("(told)" if conversation.system else "(taken back)")
    elif interactive and name.startswith("/"):
        screen.note(HELP)
    else:
        return False
    return True


def typed_lines(prompt: str = "you> ", read: Callable[[str], str] = input) -> Iterator[str]:
    """Yield what a person types, until the end of input; Ctrl-C at the prompt ends as well."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # line editing and history
    while True:
        try:
            yield read(prompt)
        except (EOFError, KeyboardInterrupt):
            return


def piped_lines(stream: TextIO | None) -> Iterator[str]:
    """Yield the lines of an input.

    Raises:
        ConfigurationError: there is no input, or it is no text.
    """
    if stream is None:
        raise ConfigurationError("there is no input", hint="Give a question: wx chat 'Who are you?'")
    try:
        for line in stream:
            line.encode()  # in some locales bytes that are no text come as halves of surrogate pairs
            yield line
    except UnicodeError:
        raise ConfigurationError("the input is not UTF-8 text") from None
