"""An httpx transport of both colours that gives one answer again and again, and counts what it lends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx

from tests.fuzz.seeds import Answer

TOKEN_PATHS = frozenset({"/identity/token", "/icp4d-api/v1/authorize"})
_GOOD_TOKEN = b'{"access_token": "good-token", "token": "good-token", "expires_in": 3600}'


class Playback(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers every request with `answer`, token requests with `token_answer`.

    Attributes:
        authorization: the header of the latest request that was not for a token.
        lent: bodies that were handed out and not closed yet.
        sent: how many requests came.
    """

    def __init__(self) -> None:
        self.answer = Answer(b"")
        self.token_answer = Answer(_GOOD_TOKEN)
        self.authorization: str | None = None
        self.lent = 0
        self.sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._respond(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._respond(request)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        answer = self.answer
        if request.url.path in TOKEN_PATHS:
            answer = self.token_answer
        else:
            self.authorization = request.headers.get("authorization")
        self.lent += 1
        named = {"content-type": answer.content_type, **answer.headers}
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        return httpx.Response(answer.status, headers=headers, stream=_Body(self, answer), request=request)


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, playback: Playback, answer: Answer) -> None:
        self._playback = playback
        self._answer = answer
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.pieces()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._answer.pieces():
            yield piece

    def close(self) -> None:
        if self._open:
            self._open = False
            self._playback.lent -= 1

    async def aclose(self) -> None:
        self.close()
