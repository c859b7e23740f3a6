"""Both colours of the clients behind one face, so that a behaviour is written down once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import httpx

from wx_integrations.core.calls import Call, StreamCall
from wx_integrations.core.connection import Connection
from wx_integrations.core.retry import Waiting
from wx_integrations.core.session import Session

T = TypeVar("T")
Name = Literal["sync", "async"]


async def _next(source: AsyncGenerator[T, None]) -> T:
    return await anext(source)


class Colour:
    """Runs calls of a session synchronously or asynchronously, and waits for them either way."""

    def __init__(self, name: Name) -> None:
        self.name = name
        self._runner: asyncio.Runner | None = None
        self._sessions: list[Session] = []

    def session(self, connection: Connection, waiting: Waiting | None = None) -> Session:
        """Return a session of one's own, closed at the end of the test."""
        session = Session(connection, waiting=waiting)
        self._sessions.append(session)
        return session

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the one event loop of this test."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work)

    def run(self, session: Session, call: Call[T], **options: Any) -> T:
        if self.name == "sync":
            return session.client.run(call, **options)
        return self.wait(session.async_client.run(call, **options))

    def request_raw(self, session: Session, method: str, path: str, **options: Any) -> httpx.Response:
        if self.name == "sync":
            return session.client.request_raw(method, path, **options)
        return self.wait(session.async_client.request_raw(method, path, **options))

    def request(self, session: Session, method: str, path: str, **options: Any) -> Any:
        if self.name == "sync":
            return session.client.request(method, path, **options)
        return self.wait(session.async_client.request(method, path, **options))

    def get(self, session: Session, path: str, **options: Any) -> Any:
        if self.name == "sync":
            return session.client.get(path, **options)
        return self.wait(session.async_client.get(path, **options))

    @contextmanager
    def stream(self, session: Session, call: StreamCall[T], **options: Any) -> Iterator[Iterator[T]]:
        """Open a stream; it is closed when the block ends, as a careful consumer does."""
        if self.name == "sync":
            values = session.client.stream(call, **options)
            try:
                yield values
            finally:
                values.close()
            return
        source = session.async_client.stream(call, **options)

        def pull() -> Iterator[T]:
            while True:
                try:
                    yield self.wait(_next(source))
                except StopAsyncIteration:
                    return

        try:
            yield pull()
        finally:
            self.wait(source.aclose())

    def all(self, session: Session, call: StreamCall[T], **options: Any) -> list[T]:
        """Return everything a stream yields."""
        with self.stream(session, call, **options) as values:
            return list(values)

    def together(self, count: int, work: Callable[[], T], awork: Callable[[], Coroutine[Any, Any, T]]) -> list[Any]:
        """Do the same `count` times at once, in threads or tasks; return results and exceptions."""
        if self.name == "async":

            async def gather() -> list[Any]:
                done: list[Any] = await asyncio.gather(*(awork() for _ in range(count)), return_exceptions=True)
                return done

            return self.wait(gather())
        barrier = threading.Barrier(count)

        def one() -> Any:
            barrier.wait(10)
            try:
                return work()
            except Exception as error:
                return error

        with ThreadPoolExecutor(count) as pool:
            return [future.result(30) for future in [pool.submit(one) for _ in range(count)]]

    def run_together(self, count: int, session: Session, call: Call[T]) -> list[Any]:
        return self.together(count, lambda: session.client.run(call), lambda: session.async_client.run(call))

    def close_clients(self, session: Session) -> None:
        """Close the session's client of this colour."""
        if self.name == "sync":
            session.client.close()
        else:
            self.wait(session.async_client.aclose())

    def close(self) -> None:
        for session in self._sessions:
            session.client.close()
            if self._runner is not None:
                self._runner.run(session.async_client.aclose())
        if self._runner is not None:
            self._runner.close()
