"""A hostile service on real sockets: tokens that are canaries, and answers that repeat everything it was sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.server import CLOSE, HANG, RESET, Seen, Step, answer, head, stream
from tests.support.tokens import jwt

GOLDEN = Path(__file__).parents[1] / "golden"
Reply = Callable[[Seen], Sequence[Step]]
TOKEN_PATH = "/identity/token"

_ANSWERS = {
    "/ml/v1/text/chat": "answers/chat.json",
    "/ml/v1/text/generation": "answers/generation.json",
    "/ml/v1/text/tokenization": "answers/tokenization.json",
    "/ml/v1/foundation_model_specs": "others/specs.json",
    "/wx/v1-beta/utility_agent_tools": "utility_tools/list.json",
    "/wx/v1-beta/utility_agent_tools/run": "utility_tools/run_answer_googlesearch.json",
}
_STREAMS = {
    "/ml/v1/text/chat_stream": "streams/chat_text.sse",
    "/ml/v1/text/generation_stream": "streams/generation.sse",
}


class Hostile:
    """Answers as the service does, until it is told otherwise.

    Args:
        token: what the token endpoint answers.
        call: what every other request gets; the recorded answers by default.
    """

    def __init__(self, token: Reply | None = None, call: Reply | None = None) -> None:
        self.token = token or granting
        self.call = call or recorded

    def __call__(self, seen: Seen) -> Sequence[Step]:
        return self.token(seen) if seen.path == TOKEN_PATH else self.call(seen)


def granting(_: Seen) -> Sequence[Step]:
    """Give a token; `refresh_token` is to show that further fields of the answer are not shown either."""
    return answer(200, {"access_token": jwt(sub="canary"), "refresh_token": "canary-refresh", "expires_in": 3600})


def recorded(seen: Seen) -> Sequence[Step]:
    """Answer as the service was recorded."""
    if seen.path in _STREAMS:
        return stream(recorded_stream(seen.path))
    if seen.path == "/ml/v1/text/rerank":
        places = [{"index": index, "score": float(index)} for index, _ in enumerate(seen.json["inputs"])]
        return answer(200, {"model_id": "m", "results": places, "input_token_count": 5})
    if seen.path == "/ml/v1/text/embeddings":
        rows = [{"embedding": [0.5, float(index)]} for index, _ in enumerate(seen.json["inputs"])]
        return answer(200, {"model_id": "m", "results": rows, "input_token_count": 5})
    return answer(200, (GOLDEN / _ANSWERS[seen.path]).read_bytes())


def recorded_stream(path: str) -> bytes:
    """Return a recorded stream's events."""
    return (GOLDEN / _STREAMS[path]).read_bytes()


def echoed(seen: Seen) -> str:
    """Return all that a request said."""
    return f"{seen.target} {dict(seen.headers)} {seen.body.decode()}"


def refusing(status: int) -> Reply:
    """Refuse and repeat, in the service's words or in no words of its own."""

    def refuse(seen: Seen) -> Sequence[Step]:
        body = {"errors": [{"code": "c", "message": echoed(seen)}], "errorMessage": echoed(seen)}
        return answer(status, body if status % 2 else echoed(seen))

    return refuse


TROUBLES: dict[str, Reply] = {
    "400 echo": refusing(400),
    "401 echo": refusing(401),
    "403 echo": refusing(403),
    "500 echo": refusing(500),
    "503 echo": refusing(503),
    "200 echo": lambda seen: answer(200, echoed(seen)),
    "200 html": lambda seen: answer(200, f"<html>{echoed(seen)}</html>", content_type="text/html"),
    "200 other": lambda seen: answer(200, {"token": 5, "access_token": None, "echo": echoed(seen)}),
    "200 unsendable": lambda seen: answer(200, {"access_token": "unsendable\n", "echo": echoed(seen)}),
    "reset": lambda seen: [RESET],
    "cut": lambda seen: [head(200, {"Content-Length": "9"}), b"{", CLOSE],
    "hang": lambda seen: [HANG],
    "redirect": lambda seen: answer(302, b"", {"Location": "https://elsewhere.example.com/" + "x"}),
    "stream error": lambda seen: stream(b"event: error\ndata: " + echoed(seen).encode() + b"\n\n"),
    "stream cut": lambda seen: stream(b'data: "a"\n\n', RESET, end=False),
}
"""Every way to fail; those with a stream do so for others as well."""
