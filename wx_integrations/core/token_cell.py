"""The current token of a session, renewed by one caller at a time, however many threads, tasks and loops ask."""

import asyncio
import contextlib
import copy
import logging
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from pydantic import SecretStr

from wx_integrations.core.errors import WatsonxError
from wx_integrations.core.token_sources import Token, bearer

logger = logging.getLogger("wx_integrations")
RETRY_PAUSE = 30.0
"""Seconds between attempts to renew a token that is still good."""


class _Held(NamedTuple):
    header: SecretStr
    renew_at: float
    expires_at: float


class Lead(NamedTuple):
    """This caller renews, for itself and those who wait."""

    future: Future[SecretStr | None]


class Wait(NamedTuple):
    """Another caller renews: a thread, or a task of a thread's event loop."""

    future: Future[SecretStr | None]
    thread: int
    loop: weakref.ref[asyncio.AbstractEventLoop] | None

    def is_gone(self) -> bool:
        """Whether the renewer can never go on: its loop was closed under it."""
        loop = self.loop() if self.loop is not None else None
        return self.loop is not None and (loop is None or loop.is_closed())

    def would_block(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether the renewer stands still as long as we wait: a task of our thread, but not of our running loop."""
        if self.thread != threading.get_ident():
            return False
        return loop is None or self.loop is None or self.loop() is not loop


class TokenCell:
    """The current token of a session, renewed ahead of its end by one caller at a time.

    Renewal starts 15 minutes before the end (lives over 30 minutes), at the
    last third (3 to 30), or one minute before (shorter; half-way, if it lives
    less than two); until the end the old token serves everybody else, and the
    renewer too if renewing fails.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Reentrant: the garbage collector may end an abandoned exchange of ours anywhere, and so call `fail`.
        self._lock = threading.RLock()
        self._held: _Held | None = None
        self._leader: Wait | None = None
        self._pause_until = 0.0

    def turn(self, rejected: SecretStr | None = None) -> SecretStr | Lead | Wait:
        """Return the header to use, or what to do to get one.

        Args:
            rejected: a header the service has just refused.
        """
        with self._lock:
            held, now = self._held, self._clock()
            if held is not None and held.header == rejected:
                held = self._held = None
            if held is not None and now < held.renew_at:
                return held.header
            leader = self._leader
            if leader is not None and leader.is_gone():
                leader.future.set_result(None)
                leader = self._leader = None
            if held is not None and now < held.expires_at and (leader is not None or now < self._pause_until):
                return held.header
            if leader is not None:
                return leader
            future: Future[SecretStr | None] = Future()
            loop = asyncio._get_running_loop()
            self._leader = Wait(future, threading.get_ident(), weakref.ref(loop) if loop is not None else None)
            return Lead(future)

    def fill(self, lead: Lead | None, token: Token) -> SecretStr:
        """Keep a new token, wake those who wait, and return its header."""
        header = bearer(token.value)
        lifetime = token.lifetime
        now = self._clock()
        if lifetime is None:
            held = _Held(header, float("inf"), float("inf"))
        else:
            early = 900.0 if lifetime > 1800 else lifetime / 3 if lifetime > 180 else min(60.0, lifetime / 2)
            held = _Held(header, now + lifetime - early, now + lifetime)
        with self._lock:
            self._held = held
        self._end(lead, None)
        return header

    def fail(self, lead: Lead | None, error: BaseException) -> SecretStr | None:
        """Pass a failure on; return the old header if it still serves.

        A caller that was cancelled, or left, just gives up the lead: those
        who wait take their turn again.
        """
        fallback = None
        if lead is not None and isinstance(error, Exception):
            with self._lock:
                held, now = self._held, self._clock()
                if held is not None and now < held.expires_at:
                    fallback, self._pause_until = held.header, now + RETRY_PAUSE
        if fallback is not None:
            logger.debug("renewing the token failed (%s); the old one still serves", type(error).__name__)
            self._end(lead, None)
        else:
            self._end(lead, error if isinstance(error, Exception) else None)
        return fallback

    def _end(self, lead: Lead | None, error: Exception | None) -> None:
        """End a lead: those who wait get the error, or take their turn again."""
        if lead is None:
            return
        with self._lock:
            if self._leader is not None and self._leader.future is lead.future:
                self._leader = None
            if lead.future.done():
                return  # taken over by another, as our loop was closed
        if error is not None:
            lead.future.set_exception(error)
        else:
            lead.future.set_result(None)

    def forget_leader(self) -> None:
        """Start afresh in a forked child, where no other thread lives on."""
        self._lock = threading.RLock()
        self._leader = None


def raise_failure(future: Future[SecretStr | None]) -> None:
    """Raise what another's exchange failed with, as a copy of one's own; without a failure, do nothing."""
    error = future.exception()
    if error is not None:
        raise (copy.copy(error) if isinstance(error, WatsonxError) else error) from None


async def ended(future: Future[SecretStr | None]) -> None:
    """Wait until another's exchange has ended, without a say in it."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # our loop was closed meanwhile
            loop.call_soon_threadsafe(lambda: None if woken.done() else woken.set_result(None))

    future.add_done_callback(wake)
    await woken
