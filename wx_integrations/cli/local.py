"""The local service: real models, or the deterministic brain, behind the emulator's socket."""

from __future__ import annotations

import contextlib
import errno
import secrets
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from wx_integrations.cli.screen import Screen
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Brain
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.local_models import FetchError, LocalBrain, MissingExtra
from wx_integrations.emulator.server import LocalServer, NotLoopback

USER_ERRORS = (FetchError, MissingExtra, NotLoopback, OSError)
"""Errors that a user can do something about; their text says what."""
_ENDING = ("SIGTERM", "SIGHUP")
_CURES = {
    errno.EADDRINUSE: "Give another --port, or --port 0 for a free one",
    errno.EACCES: "Ports below 1024 may be kept for administrators: give another --port, or --port 0 for a free one",
}


@dataclass(frozen=True)
class LocalService:
    """A running local service.

    Attributes:
        url: its base URL.
        settings: what a Connection needs to reach it.
        chat_model: the id of the model that answers.
    """

    url: str
    settings: dict[str, Any]
    chat_model: str


@contextlib.contextmanager
def local_service(screen: Screen, *, small: bool, gguf: Path | None, threads: int) -> Iterator[LocalService]:
    """Fetch the models if needed, serve them on a free port, and stop afterwards."""
    with contextlib.ExitStack() as stack:
        brain = _local_brain(screen, small=small, gguf=gguf, threads=threads)
        stack.callback(brain.close)
        key = secrets.token_urlsafe(16)
        server = stack.enter_context(LocalServer(Emulator(brain, api_keys={key})))
        settings = {"url": server.url, "api_key": key, "project_id": str(uuid.uuid4())}
        yield LocalService(server.url, settings, chat_model_of(brain))


def serve_forever(
    screen: Screen,
    *,
    host: str,
    port: int,
    deterministic: bool,
    small: bool,
    gguf: Path | None,
    threads: int,
    tls: bool,
    strict: bool,
    public: bool,
    make: Callable[..., Emulator] = Emulator,
) -> None:
    """Serve until interrupted, after printing what to export; `make` gets the brain and `strict`.

    Raises:
        ConfigurationError: it cannot, or should not, listen there.
        SystemExit: a signal ended it; everything is cleaned up.
    """
    _check_place(host, port, public=public)  # before a gigabyte of models is fetched for nothing
    with contextlib.ExitStack() as stack:
        stack.enter_context(_cleaned_up_at_signals())
        brain: Brain = (
            DeterministicBrain() if deterministic else _local_brain(screen, small=small, gguf=gguf, threads=threads)
        )
        stack.callback(brain.close)
        emulator = make(brain, strict=strict)
        server = stack.enter_context(LocalServer(emulator, host=host, port=port, tls=tls, allow_remote=public))
        name = "the deterministic brain (no model)" if deterministic else chat_model_of(brain)
        screen.say(f"Serving {name} at {server.url} (stop with Ctrl-C). For other programs:")
        for line in exports(server):
            screen.say(line)
        server.wait()


def _check_place(host: str, port: int, *, public: bool) -> None:
    """Refuse a place that others can reach, and one that cannot be had."""
    try:
        LocalServer(Emulator(), host=host, port=port, allow_remote=public)
    except NotLoopback:
        raise ConfigurationError(
            f"--host: {host} can be reached by others", hint="Give --public as well if that is meant"
        ) from None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        hint = _CURES.get(error.errno or 0, "Give an address of this machine as --host")
        raise ConfigurationError(f"cannot listen at {host}:{port}: {error.strerror}", hint=hint) from None


@contextlib.contextmanager
def _cleaned_up_at_signals() -> Iterator[None]:
    """Turn the signals that end a process into an exit (128 + the signal, as usual), so that temporary files go.

    A signal that is ignored, as under `nohup`, stays so.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # Python lets the main thread alone handle signals
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exports(server: LocalServer) -> list[str]:
    """Return the shell lines that point a client at a server."""
    lines = [
        f"export WATSONX_URL={server.url}",
        "export WATSONX_API_KEY=local",
        f"export WATSONX_PROJECT_ID={uuid.UUID(int=0)}",
    ]
    if server.ca_path:
        lines.append(f"export SSL_CERT_FILE={server.ca_path}")
    return lines


def chat_model_of(brain: Brain) -> str:
    """Return the id of the model that chats."""
    return next(card.model_id for card in brain.cards if "text_chat" in card.functions)


def _local_brain(screen: Screen, *, small: bool, gguf: Path | None, threads: int) -> LocalBrain:
    brain = LocalBrain("small" if small else "default", chat_model=gguf, threads=threads)
    with screen.downloads() as report:
        brain.prepare(report)
    return brain
