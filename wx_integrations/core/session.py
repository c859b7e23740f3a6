"""A Session: a Connection's live clients, shared by every adapter of equal settings."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Self

from wx_integrations.core.client import AsyncClient, Client, Shared
from wx_integrations.core.connection import Connection
from wx_integrations.core.retry import Waiting

_sessions: weakref.WeakValueDictionary[tuple[Any, ...], Session] = weakref.WeakValueDictionary()
_lock = threading.Lock()


class Session:
    """One token, one limiter, one TLS setting, one synchronous client and one asynchronous client per event loop.

    `Session.of` gives everyone with an equal connection (the project or space
    aside, which goes with each call) the same session for as long as somebody
    holds it. Pickled or copied, it becomes its
    connection's session again.
    """

    def __init__(self, connection: Connection, *, waiting: Waiting | None = None) -> None:
        shared = Shared(connection, waiting)
        self.connection = connection
        self.limiter = shared.limiter
        self.client = Client(shared=shared)
        self.async_client = AsyncClient(shared=shared)

    @classmethod
    def of(cls, connection: Connection) -> Session:
        """Return the session of a connection, opening none of its sockets."""
        with _lock:
            session = _sessions.get(connection.login_key)
            if session is None:
                session = _sessions[connection.login_key] = cls(connection)
            return session

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (Session.of, (self.connection,))

    def __repr__(self) -> str:
        return f"Session({self.connection.hosts.ml})"
