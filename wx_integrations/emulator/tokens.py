"""Tokens: who may come in. Issues, checks, expires and revokes them.

Tokens are JSON Web Tokens with `iat` and `exp`, signed so that the emulator
knows its own. Sources for the answers: watsonx.ai API reference,
"Authentication", and bodies recorded by the official SDKs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from wx_integrations.emulator.exchange import compact
from wx_integrations.emulator.refusals import Refused

DAY = 86_400


@dataclass(frozen=True)
class Token:
    """A token as issued; times in POSIX seconds."""

    text: str
    issued_at: int
    expires_at: int


class TokenOffice:
    """Issues tokens for good credentials and admits requests that carry a good one.

    Attributes:
        lifetime: seconds that a new token lives; may be changed at any time.
        api_keys: the API keys (and passwords) accepted; None accepts any that is not empty.
        tokens: static tokens accepted besides the issued ones.
        any_token: accept every token that is not known to be stale.
        exchanges: how many tokens were issued.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        lifetime: float = 3600,
        api_keys: Collection[str] | None = None,
        tokens: Collection[str] = (),
        any_token: bool = False,
        signing_key: bytes = b"wx-integrations-emulator",
    ) -> None:
        self.lifetime = lifetime
        self.api_keys = None if api_keys is None else frozenset(api_keys)
        self.tokens = frozenset(tokens)
        self.any_token = any_token
        self.exchanges = 0
        self._clock = clock
        self._key = signing_key
        self._expired_below = 0
        self._revoked: set[str] = set()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"TokenOffice(exchanges={self.exchanges}, lifetime={self.lifetime})"

    # ------------------------------------------------------------------ issue

    def knows(self, secret: str | None) -> bool:
        """Whether an API key or password is accepted."""
        return bool(secret) and (self.api_keys is None or secret in self.api_keys)

    def issue(self, subject: str = "user") -> Token:
        """Make a new token."""
        with self._lock:
            self.exchanges += 1
            number = self.exchanges
        now = self._clock()
        issued, expires = int(now), int(now + self.lifetime)
        claims = {"iam_id": f"IBMid-{subject}", "sub": subject, "iat": issued, "exp": expires, "jti": str(number)}
        text = self._sign({"alg": "HS256", "typ": "JWT"}, claims)
        return Token(text, issued, expires)

    def expire_all(self) -> None:
        """Make every token issued so far count as expired."""
        with self._lock:
            self._expired_below = self.exchanges

    def revoke(self, token: str) -> None:
        """Make one token count as not valid."""
        self._revoked.add(_digest(token))

    # ------------------------------------------------------------------ admit

    def admit(self, authorization: str | None) -> None:
        """Let a request in, or refuse it with 401.

        Raises:
            Refused: no token, a stale one, or one that is not known here.
        """
        scheme, _, credentials = (authorization or "").strip().partition(" ")
        credentials = credentials.strip()
        if not credentials:
            raise invalid_token(
                "Missing Authorization header" if not authorization else "Malformed Authorization header"
            )
        if scheme == "ZenApiKey":
            return self._admit_zen(credentials)
        if scheme in ("Bearer", "Basic"):
            return self._admit_token(credentials)
        raise invalid_token(f"Authorization scheme {scheme!r} is not supported")

    def _admit_zen(self, credentials: str) -> None:
        try:
            user, _, key = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise invalid_token("ZenApiKey is not the base64 of username:api_key") from None
        if not user or not self.knows(key):
            raise invalid_token("ZenApiKey is not known")

    def _admit_token(self, text: str) -> None:
        if _digest(text) in self._revoked:
            raise invalid_token("Failed to parse and verify token")
        claims = _claims(text)
        own = claims is not None and self._is_own(text)
        if claims is not None and self._is_stale(claims, own=own):
            raise Refused(
                401,
                "authentication_token_expired",
                "Failed to authenticate the request due to an expired token",
            )
        if not (own or self.any_token or text in self.tokens):
            raise invalid_token("Failed to parse and verify token")

    def _is_stale(self, claims: dict[str, Any], *, own: bool) -> bool:
        expires = claims.get("exp")
        if isinstance(expires, int | float) and expires <= self._clock():
            return True
        return own and int(claims.get("jti", 0)) <= self._expired_below

    # ------------------------------------------------------------------ signature

    def _sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        signed = f"{_base64(compact(header))}.{_base64(compact(claims))}"
        return f"{signed}.{_base64(hmac.digest(self._key, signed.encode(), 'sha256'))}"

    def _is_own(self, text: str) -> bool:
        signed, _, signature = text.rpartition(".")
        expected = _base64(hmac.digest(self._key, signed.encode(), "sha256"))
        return hmac.compare_digest(expected.encode(), signature.encode())


def invalid_token(why: str) -> Refused:
    """Return the refusal of a token that is no good, in the recorded words."""
    message = f"Failed to authenticate the request due to invalid token: {why}"
    return Refused(401, "authentication_token_not_valid", message)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _claims(text: str) -> dict[str, Any] | None:
    parts = text.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, UnicodeDecodeError):
        return None
    return claims if isinstance(claims, dict) else None
