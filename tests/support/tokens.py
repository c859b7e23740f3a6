"""Unsigned but well-formed tokens, and what token endpoints say."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Sequence

from tests.support.server import Handler, Seen, Step, answer

_numbers = itertools.count(1)


def jwt(lifetime: float = 3600, issued: float = 1_700_000_000, **claims: object) -> str:
    """Return a token of three parts; each is different."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    body = {"iat": issued, "exp": issued + lifetime, "number": next(_numbers), **claims}
    return f"{part({'alg': 'none'})}.{part(body)}.c2ln"


def iam_answer(lifetime: float = 3600, token: str | None = None) -> list[Step]:
    """Return IAM's answer (IAM documentation: times in seconds)."""
    body = {
        "access_token": token or jwt(lifetime),
        "refresh_token": "not_supported",
        "token_type": "Bearer",
        "expires_in": lifetime,
        "expiration": 1_700_000_000 + lifetime,
        "scope": "ibm openid",
    }
    return answer(200, body)


def iam(lifetime: float = 3600) -> Handler:
    """Return a token endpoint that gives a new token each time."""

    def handle(_: Seen) -> Sequence[Step]:
        return iam_answer(lifetime)

    return handle


WRONG_KEY = answer(
    400,
    {
        "errorCode": "BXNIM0415E",
        "errorMessage": "Provided API key could not be found.",
        "context": {"requestId": "bTlidjk-1", "requestType": "incoming.Identity_Token"},
    },
)
"""IAM's refusal of a key, as recorded."""
