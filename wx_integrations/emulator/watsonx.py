"""The service of one test: what it shall answer, what goes wrong, what it was asked."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from wx_integrations.emulator import token_routes
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Piece
from wx_integrations.emulator.exchange import Trouble
from wx_integrations.emulator.expectations import difference, distance, fits, unsaid
from wx_integrations.emulator.faults import Broken, Fault, Faults, RateLimited, Rule, Status
from wx_integrations.emulator.hosts import place_of
from wx_integrations.emulator.journal import Entry, Journal
from wx_integrations.emulator.scripted import ScriptedBrain, To, calling
from wx_integrations.emulator.service import Visit

URL = "https://us-south.ml.cloud.ibm.com"
PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
CHATS = ("text/chat", "text/chat_stream", "chat/completions")
EMBEDDINGS = ("text/embeddings", "gateway/v1/embeddings")
Said = str | re.Pattern[str]
_TOKEN_PATHS = frozenset(route.path for route in token_routes.ROUTES)
_TROUBLES: tuple[Trouble, ...] = ("refuse", "reset", "close", "timeout", "garbage")
_numbers = itertools.count(1)


class Watsonx:
    """The service of one test.

    Attributes:
        url, api_key, project_id: what a client needs; also in the environment as WATSONX_*.
        emulator: the service itself, with its token office.
        script: what it shall answer; without a script it answers by rule.
        ca_path: the file with the certificate authority, when served over TLS.
    """

    def __init__(
        self, emulator: Emulator, script: ScriptedBrain, url: str, project_id: str, ca_path: str | None = None
    ) -> None:
        self.emulator = emulator
        self.script = script
        self.url = url
        self.api_key = f"emulated-api-key-{next(_numbers)}"
        """Never the same twice, so that no two tests share a session, its token or its pace."""
        self.project_id = project_id
        self.ca_path = ca_path

    def __repr__(self) -> str:
        return f"Watsonx({self.url}, {len(self.journal)} requests, {self.script.remaining} answers left)"

    @property
    def settings(self) -> dict[str, Any]:
        """What to give to a `Connection` or an adapter that shall not read the environment."""
        own: dict[str, Any] = {"url": self.url, "api_key": self.api_key, "project_id": self.project_id}
        if self.ca_path is not None:
            own["verify"] = self.ca_path
        return own | ({"username": "emulated"} if is_software(self.url) else {})

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that lead a client here."""
        found = {f"WATSONX_{name.upper()}": value for name, value in self.settings.items() if name != "verify"}
        return found | ({"SSL_CERT_FILE": self.ca_path} if self.ca_path is not None else {})

    # ------------------------------------------------------------------ what it shall answer

    def reply(
        self,
        *pieces: str | Piece | Exception,
        to: To = "chat",
        model: str | None = None,
        finish: str | None = None,
        usage: tuple[int, int] | None = None,
    ) -> Self:
        """Queue an answer: text, calls and reasoning, each piece a frame when streamed.

        Args:
            *pieces: an exception among them breaks the answer off there.
            to: what kind of request gets it: "chat" or "generation".
            model: only requests to this model get it.
            finish: the finish reason, if not the natural one.
            usage: prompt and completion tokens, if not the counted ones.
        """
        self.script.reply(*pieces, to=to, model=model, finish=finish, usage=usage)
        return self

    def call(self, name: str, /, **arguments: Any) -> Self:
        """Queue an answer that calls one tool; for several at once, `reply(calling(...), calling(...))`.

        Args:
            name: the tool's.
            **arguments: the tool's.
        """
        self.script.reply(calling(name, **arguments))
        return self

    def refuse(
        self, status: int, code: str, message: str = "scripted", *, to: To = "chat", model: str | None = None
    ) -> Self:
        """Queue an error of the service in its own words.

        Args:
            status: the HTTP status.
            code: the service's own code, such as "model_not_supported".
            message: what it says about it.
            to: what kind of request gets it, as of `reply`; also "embeddings", "rerank" and "tokenization".
            model: only requests to this model get it.
        """
        self.script.refuse(status, code, message, to=to, model=model)
        return self

    def replay(self, body: bytes | str | dict[str, Any], *, to: To = "chat", model: str | None = None) -> Self:
        """Queue a recorded answer that goes out as it is.

        Args:
            body: an event stream or JSON as it came, or data to write as JSON.
            to: what kind of request gets it, as of `refuse`.
            model: only requests to this model get it.
        """
        self.script.replay(body, to=to, model=model)
        return self

    # ------------------------------------------------------------------ what goes wrong

    @property
    def faults(self) -> Faults:
        """The trouble plan, for what `fail` does not say."""
        return self.emulator.faults

    def fail(
        self,
        trouble: int | Trouble | Fault,
        *,
        path: str | None = None,
        times: int | None = 1,
        retry_after: float | None = 0,
    ) -> Self:
        """Let the next requests fail.

        Args:
            trouble: a status; "refuse", "reset", "close", "timeout" or "garbage" for a broken connection;
                or one of `wx_integrations.emulator.faults`.
            path: a path or its end, such as "text/chat"; everything but the token exchange by default.
            times: how many requests, None for all.
            retry_after: seconds that a status announces, so that clients that repeat do not wait.
        """
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        fault: Fault
        if isinstance(trouble, int):
            fault = RateLimited(retry_after) if trouble == 429 else Status(trouble, headers=headers)
        elif isinstance(trouble, str):
            if trouble not in _TROUBLES:
                raise ValueError(f"{trouble!r} is not one of {', '.join(_TROUBLES)}")
            fault = Broken(trouble)
        else:
            fault = trouble
        self.faults.rules.append((Rule if path else LoggedIn)(fault, path, times=times))
        return self

    def expire_tokens(self) -> Self:
        """Let every token issued so far be refused as expired."""
        self.emulator.office.expire_all()
        return self

    # ------------------------------------------------------------------ what it was asked

    @property
    def journal(self) -> Journal:
        """Every request in order, without secrets."""
        return self.emulator.journal

    @property
    def requests(self) -> list[Entry]:
        """Every request but token exchanges; an entry's `body` is the JSON that was sent."""
        return [entry for entry in self.journal if entry.path not in _TOKEN_PATHS]

    @property
    def chats(self) -> list[Any]:
        """The bodies of all chat requests, streamed or not."""
        return [entry.body for entry in self._asked(*CHATS)]

    def expect(self, path: str, *, times: int | None = None, **body: Any) -> Entry:
        """Check that there was a request with these fields and return the last one.

        Args:
            path: a path or its end, such as "text/embeddings".
            times: how many such requests there must be; one or more by default.
            **body: fields of the body; dictionaries may have further keys, compiled patterns are searched for.

        Raises:
            AssertionError: no such request, or another number; shows how the nearest one differs.
        """
        __tracebackhide__ = True
        return self._expect((path,), times, body, {}, None)

    def expect_chat(
        self,
        said: Said | None = None,
        *,
        system: Said | None = None,
        tool_result: Said | None = None,
        tools: Sequence[str] | None = None,
        times: int | None = None,
        **body: Any,
    ) -> Entry:
        """Check that there was such a chat request, streamed or not, and return the last one.

        Args:
            said: what a user message holds.
            system: what the system message holds.
            tool_result: what the result of a tool holds.
            tools: the names of exactly the tools offered.
            times: how many such requests there must be; one or more by default.
            **body: further fields of the body, as of `expect`.

        Raises:
            AssertionError: no such request, or another number; shows how the nearest one differs.
        """
        __tracebackhide__ = True
        return self._expect(CHATS, times, body, {"user": said, "system": system, "tool": tool_result}, tools)

    def expect_embedded(self, *texts: str) -> list[str]:
        """Check that these texts were embedded, in any number of requests; returns all that were."""
        __tracebackhide__ = True
        bodies = [entry.body for entry in self._asked(*EMBEDDINGS)]
        sent = [text for body in bodies for text in body.get("inputs") or body.get("input") or []]
        lacking = [text for text in texts if text not in sent]
        if lacking or not sent:
            raise AssertionError(f"never embedded: {lacking or 'anything'}\nembedded: {sent or 'nothing'}")
        return sent

    def expect_nothing(self, path: str | None = None) -> None:
        """Check that nothing was asked for, or nothing of one path; token exchanges do not count."""
        __tracebackhide__ = True
        asked = self.requests if path is None else self._asked(path)
        if asked:
            raise AssertionError(f"expected no request{f' to {path}' if path else ''}:\n{_listed(asked)}")

    def verify(self) -> None:
        """Check that every scripted answer was asked for; the fixtures do so after a test that passed."""
        self.script.expect_done()

    def _asked(self, *paths: str) -> list[Entry]:
        found = {id(entry): entry for path in paths for entry in self.journal.find(path)}
        return sorted(found.values(), key=lambda entry: entry.index)

    def _expect(
        self,
        paths: tuple[str, ...],
        times: int | None,
        body: dict[str, Any],
        said: Mapping[str, Said | None],
        tools: Sequence[str] | None,
    ) -> Entry:
        __tracebackhide__ = True
        if times == 0:
            raise ValueError("times must be 1 or more; expect_nothing checks that there was no request")
        asked = self._asked(*paths)
        fitting = [entry for entry in asked if fits(body, entry.body) and not unsaid(entry.body, said, tools)]
        if len(fitting) == times or (times is None and fitting):
            return fitting[-1]
        wanted = f"expected {'a request' if times is None else f'{times} requests'} to {' or '.join(paths)}"
        if fitting:
            raise AssertionError(f"{wanted}, found {len(fitting)}:\n{_listed(fitting)}")
        if not asked:
            raise AssertionError(f"{wanted}, found none; requests:\n{_listed(self.requests)}")
        nearest = min(asked, key=lambda entry: len(unsaid(entry.body, said, tools)) + distance(body, entry.body))
        parts = [f"{wanted}, none fits; the nearest is {nearest}", *unsaid(nearest.body, said, tools)]
        raise AssertionError("\n".join(part for part in (*parts, difference(body, nearest.body)) if part))


class LoggedIn(Rule):
    """A rule that leaves token exchanges alone."""

    def fits(self, visit: Visit) -> bool:
        return not visit.route.secret and super().fits(visit)


def _listed(entries: Sequence[Entry]) -> str:
    return "\n".join(map(str, entries)) or "(none)"


def is_software(url: str) -> bool:
    host = host_of(url)
    return place_of(host) == "software" and host not in ("127.0.0.1", "localhost", "::1")


def host_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].lower()
