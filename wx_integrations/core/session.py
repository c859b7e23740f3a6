"""A Session: a Connection's live clients, shared by every adapter of equal settings."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from wx_integrations.core.client import AsyncClient, Client, Shared
from wx_integrations.core.connection import Connection
from wx_integrations.core.exchange import Timeout
from wx_integrations.core.retry import RetryPolicy, Waiting


class _Registry:
    """The sessions somebody holds."""

    def __init__(self) -> None:
        self.sessions: weakref.WeakValueDictionary[tuple[Any, ...], Session] = weakref.WeakValueDictionary()
        self.lock = threading.Lock()


_registry = _Registry()


def _after_fork() -> None:
    _registry.lock = threading.Lock()  # another thread of the parent may have held the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Session:
    """One token, one limiter, one TLS setting, one synchronous client and one asynchronous client per event loop.

    `Session.of` gives everyone with an equal connection (the project or space
    aside, which goes with each call) the same session for as long as somebody
    holds it. Pickled or copied, it becomes its connection's session again.

    Args:
        connection: whose.
        waiting: time and chance of its own, for tests.

    Attributes:
        client: for calls that wait.
        async_client: for coroutines, in any number of event loops.
        limiter: how fast requests follow each other, of everybody with the same account.
    """

    _root: Session | None = None
    """Kept open by a session with other options."""
    _options: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, connection: Connection, *, waiting: Waiting | None = None) -> None:
        shared = Shared(connection, waiting)
        self.connection = connection
        self.limiter = shared.limiter
        self.client = Client(shared=shared)
        self.async_client = AsyncClient(shared=shared)

    def with_options(self, *, timeout: Timeout = None, retry: RetryPolicy | None = None) -> Session:
        """Return this session with another timeout or retry policy; token, limiter and connections are the same ones.

        Args:
            timeout: seconds (or httpx.Timeout) for calls that bring none.
            retry: the policy of calls that bring none.

        Raises:
            ConfigurationError: the timeout is none.
        """
        if timeout is None and retry is None:
            return self
        other = object.__new__(Session)
        other.connection, other.limiter = self.connection, self.limiter
        other.client = self.client.with_options(timeout=timeout, retry=retry)
        other.async_client = self.async_client.with_options(timeout=timeout, retry=retry)
        other._root = self._root or self
        own = {"timeout": timeout, "retry": retry}
        other._options = {**self._options, **{name: value for name, value in own.items() if value is not None}}
        return other

    @classmethod
    def of(cls, connection: Connection) -> Session:
        """Return the session of a connection, opening none of its sockets."""
        with _registry.lock:
            session = _registry.sessions.get(connection.login_key)
            if session is None:
                session = _registry.sessions[connection.login_key] = cls(connection)
            return session

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_again, (self.connection, dict(self._options)))

    def __repr__(self) -> str:
        connection = getattr(self, "connection", None)  # none yet in a traceback out of __init__
        return f"Session({connection.hosts.ml if connection else ''})"


def _again(connection: Connection, options: Mapping[str, Any]) -> Session:
    return Session.of(connection).with_options(**options)
