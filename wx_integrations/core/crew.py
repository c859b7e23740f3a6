"""The two thin drivers of a bulk job: threads, and tasks of the running event loop.

Both take a job's batches, ask the session's limiter for leave, send, and hand
the outcomes back to the job. A batch that is alone is sent without a thread.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from wx_integrations.core.batching import Batch
from wx_integrations.core.errors import WatsonxError
from wx_integrations.core.jobs import Done, Job
from wx_integrations.core.limiter import Caller, Limiter, Waiter
from wx_integrations.core.turnstile import CALLER

R = TypeVar("R")
Answered = tuple[list[R], int]
"""Results, one per text, and the tokens read."""
Message = tuple[Batch, Answered[R] | BaseException] | None
"""A batch and its outcome; None says that leave to send has come."""
Watch = Callable[[int], object]
"""Is told the number of requests under way after every batch."""

_END: Any = object()


def run(
    job: Job[R],
    texts: Iterable[str],
    send: Callable[[Batch], Answered[R]],
    limiter: Limiter,
    caller: Caller,
    watch: Watch | None = None,
) -> Generator[Done[R], None, None]:
    """Send a job's batches from threads and yield the pieces of its outcome.

    The texts are taken in the thread that takes the pieces. Closing the
    generator sends nothing more; requests under way are left to themselves.
    """
    crew = _Threads(job, limiter, caller, watch, send)
    source = iter(texts)
    try:
        while True:
            crew.fill(source)
            pieces = job.drain()
            yield from pieces
            if job.over:
                return
            if not pieces and crew.mailbox.empty():  # what was given makes room for more
                crew.settle(crew.mailbox.get())
    finally:
        crew.dismiss()


async def arun(
    job: Job[R],
    texts: Iterable[str] | AsyncIterable[str],
    send: Callable[[Batch], Awaitable[Answered[R]]],
    limiter: Limiter,
    caller: Caller,
    watch: Watch | None = None,
) -> AsyncGenerator[Done[R], None]:
    """Send a job's batches from tasks and yield the pieces of its outcome.

    Closing the generator, or cancelling what takes the pieces, cancels the
    requests under way.
    """
    crew = _Tasks(job, limiter, caller, watch, send)
    source = aiter(texts) if isinstance(texts, AsyncIterable) else iter(texts)
    try:
        while True:
            await crew.fill(source)
            pieces = job.drain()
            for piece in pieces:
                yield piece
            if job.over:
                return
            if not pieces and crew.mailbox.empty():  # what was given makes room for more
                crew.settle(await crew.mailbox.get())
    finally:
        await crew.dismiss_tasks()


class _Crew(Generic[R]):
    """What both drivers do without waiting."""

    def __init__(self, job: Job[R], limiter: Limiter, caller: Caller, watch: Watch | None) -> None:
        self.job = job
        self.limiter = limiter
        self.caller = caller
        self.in_flight = 0
        self._watch = watch
        self._leave = False
        self._waiter: Waiter | None = None

    def wake(self) -> None:
        raise NotImplementedError

    def next_batch(self) -> Batch | None:
        """Return a batch that may be sent now."""
        if not self.job.has_batch:
            self._return_leave()
            return None
        if not self._may_send():
            return None
        self.in_flight += 1
        return self.job.next()

    def _may_send(self) -> bool:
        """Take leave to send one more batch; without it, `wake` will be called."""
        if self._leave:
            self._leave = False
            return True
        if self._waiter is not None:
            return False
        waiter = Waiter(self.caller, self.wake)
        if self.limiter.take(waiter):
            return True
        self._waiter = waiter
        return False

    def _return_leave(self) -> None:
        if self._leave:
            self._leave = False
            self.limiter.give(self.caller)

    def settle(self, message: Message[R]) -> None:
        """Hand an outcome to the job; what is no error of this package is raised."""
        if message is None:
            self._waiter, self._leave = None, True
            return
        batch, outcome = message
        self.in_flight -= 1
        if isinstance(outcome, WatsonxError):
            self.job.fail(batch, outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            self.job.succeeded(batch, *outcome)
        if self._watch is not None:
            self._watch(self.in_flight)

    def dismiss(self) -> None:
        """Wait for leave no more, and give it back."""
        if self._waiter is not None:
            self.limiter.withdraw(self._waiter)
            self._waiter = None
        self._return_leave()


class _Threads(_Crew[R]):
    def __init__(
        self,
        job: Job[R],
        limiter: Limiter,
        caller: Caller,
        watch: Watch | None,
        send: Callable[[Batch], Answered[R]],
    ) -> None:
        super().__init__(job, limiter, caller, watch)
        self._send = send
        self.mailbox: queue.SimpleQueue[Message[R]] = queue.SimpleQueue()

    def wake(self) -> None:
        self.mailbox.put(None)

    def fill(self, source: Any) -> None:
        """Send as many batches as may be sent now."""
        job = self.job
        while True:
            while not self.mailbox.empty():
                self.settle(self.mailbox.get())
            while job.hungry:
                text = next(source, _END)
                job.end() if text is _END else job.push(text)
            alone = job.is_last
            batch = self.next_batch()
            if batch is None:
                return
            context = copy_context()
            if alone:
                context.run(self._report, batch)
                return
            name = "wx-integrations bulk"
            threading.Thread(target=context.run, args=(self._report, batch), name=name, daemon=True).start()

    def _report(self, batch: Batch) -> None:
        CALLER.set(self.caller)
        outcome: Answered[R] | BaseException
        try:
            outcome = self._send(batch)
        except BaseException as error:  # raised where the job's owner waits
            outcome = error
        self.mailbox.put((batch, outcome))  # before leave is given back: it may be what ends the job
        self.limiter.give(self.caller)


class _Tasks(_Crew[R]):
    def __init__(
        self,
        job: Job[R],
        limiter: Limiter,
        caller: Caller,
        watch: Watch | None,
        send: Callable[[Batch], Awaitable[Answered[R]]],
    ) -> None:
        super().__init__(job, limiter, caller, watch)
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.mailbox: asyncio.Queue[Message[R]] = asyncio.Queue()

    def wake(self) -> None:
        self._loop.call_soon_threadsafe(self.mailbox.put_nowait, None)

    async def fill(self, source: Any) -> None:
        """Send as many batches as may be sent now."""
        job, slow = self.job, hasattr(source, "__anext__")
        while True:
            while not self.mailbox.empty():
                self.settle(self.mailbox.get_nowait())
            while job.hungry:
                text = await anext(source, _END) if slow else next(source, _END)
                job.end() if text is _END else job.push(text)
            batch = self.next_batch()
            if batch is None:
                return
            task = self._loop.create_task(self._report(batch))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def _report(self, batch: Batch) -> None:
        CALLER.set(self.caller)
        outcome: Answered[R] | BaseException
        try:
            outcome = await self._send(batch)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # raised where the job's owner waits
            outcome = error
        self.mailbox.put_nowait((batch, outcome))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.limiter.give(self.caller)

    async def dismiss_tasks(self) -> None:
        """Cancel what is under way and see it end."""
        self.dismiss()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
