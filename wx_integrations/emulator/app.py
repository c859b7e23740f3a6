"""The emulator: a request in, a reply out. No sockets, no httpx, no waiting.

```python
emulator = Emulator()
reply = emulator.handle(Request("POST", "https://us-south.ml.cloud.ibm.com/ml/v1/text/chat?version=2024-03-14", ...))
```
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from email.utils import formatdate
from urllib.parse import unquote

from wx_integrations.emulator import catalogue, deployments, gateway, generation, inference, projects, token_routes
from wx_integrations.emulator.brain import Brain, Refusal, Verbatim
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.exchange import Frame, Reply, Request
from wx_integrations.emulator.faults import Faults
from wx_integrations.emulator.hosts import place_of
from wx_integrations.emulator.journal import Entry, Journal, Watched
from wx_integrations.emulator.refusals import Refused, reply_to, wrong_place
from wx_integrations.emulator.service import Deployed, Framing, Ids, Pacing, Route, Service, Visit
from wx_integrations.emulator.tokens import TokenOffice, invalid_token
from wx_integrations.emulator.tools import routes as tool_routes
from wx_integrations.emulator.tools.toolbox import Toolbox

ROUTES: tuple[Route, ...] = (
    *token_routes.ROUTES,
    *inference.ROUTES,
    *generation.ROUTES,
    *gateway.ROUTES,
    *catalogue.ROUTES,
    *deployments.ROUTES,
    *projects.ROUTES,
    *tool_routes.ROUTES,
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TRACE = "X-Global-Transaction-Id"


class Emulator:
    """A watsonx.ai service in this process.

    Args:
        brain: what answers; the deterministic brain (no weights) by default.
        strict: refuse what the API reference does not know. Lenient is for clients that send more,
            and accepts any token.
        api_keys: the API keys and passwords accepted; any by default.
        tokens: static tokens accepted.
        any_token: accept every token that is not stale; by default as lenient as `strict` is not.
        token_lifetime: seconds that an issued token lives.
        deployments: by id or serving name; any id answers by default.
        projects: ids of the projects and spaces that exist; any by default.
        tools: the utility agent tools, which really run on this machine: your own, the usual ones, or False for none.
        faults: scripted trouble; more can be added to the attribute at any time.
        clock: POSIX time in seconds.
        seed: changes the ids in the answers.

    Attributes:
        journal: what was asked, without secrets.
        office: the tokens: expire them, revoke them, change their lifetime.
        service: what the routes use; pacing and framing may be changed between requests.
    """

    def __init__(
        self,
        brain: Brain | None = None,
        *,
        strict: bool = True,
        api_keys: Collection[str] | None = None,
        tokens: Collection[str] = (),
        any_token: bool | None = None,
        token_lifetime: float = 3600,
        deployments: Mapping[str, Deployed] | None = None,
        projects: Collection[str] | None = None,
        pacing: Pacing | None = None,
        framing: Framing | None = None,
        tools: Toolbox | bool = True,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.time,
        seed: int = 0,
    ) -> None:
        self.office = TokenOffice(
            clock=clock,
            lifetime=token_lifetime,
            api_keys=api_keys,
            tokens=tokens,
            any_token=not strict if any_token is None else any_token,
        )
        self.service = Service(
            brain=DeterministicBrain() if brain is None else brain,
            office=self.office,
            clock=clock,
            ids=Ids(seed),
            strict=strict,
            deployments=deployments,
            projects=None if projects is None else frozenset(projects),
            pacing=pacing or Pacing(),
            framing=framing or Framing(),
            tools=Toolbox() if tools is True else tools or None,
        )
        self.faults = Faults() if faults is None else faults
        self.journal = Journal()

    @property
    def brain(self) -> Brain:
        """What answers."""
        return self.service.brain

    def close(self) -> None:
        """Free what the brain holds."""
        self.service.brain.close()

    def handle(self, request: Request) -> Reply:
        """Answer one request; a streamed answer is made while its frames are taken."""
        trace = request.header(_TRACE) or self.service.ids.hex()
        found = find_route(request)
        entry = self.journal.open(request, trace, secret=isinstance(found, tuple) and found[0].secret)
        if isinstance(found, Reply):
            return self._sealed(found, entry, trace)
        visit = Visit(self.service, found[0], request, trace, found[1])
        reply, entry.fault = self.faults.serve(visit, lambda: self._serve(visit))
        return self._sealed(reply, entry, trace)

    def _serve(self, visit: Visit) -> Reply:
        try:
            if visit.route.token:
                admit(visit)
            check_version(visit)
            return visit.route.serve(visit)
        except Refusal as refusal:
            return reply_to(visit.route.family, refusal, trace=visit.trace, anchor=visit.route.anchor)
        except Verbatim as recorded:
            body = iter([Frame(data) for data in recorded.frames])
            return Reply(recorded.status, {"content-type": recorded.content_type}, body)

    def _sealed(self, reply: Reply, entry: Entry, trace: str) -> Reply:
        """Put trace and date on a reply and its outcome into the journal."""
        entry.status = 0 if reply.trouble else reply.status
        date = formatdate(self.service.clock(), usegmt=True)
        headers = {"date": date, "x-global-transaction-id": trace, "x-request-id": trace, **reply.headers}
        body = reply.body if isinstance(reply.body, bytes) else Watched(reply.body, entry)
        return replace(reply, headers=headers, body=body)


def admit(visit: Visit) -> None:
    """Let a request in that carries a good token.

    Raises:
        Refused: it carries none, a stale one, or one that this host does not take.
    """
    header = visit.request.header("authorization")
    software = place_of(visit.request.host) == "software"
    if visit.service.strict and not software and (header or "").startswith("ZenApiKey "):
        raise invalid_token("ZenApiKey is for Cloud Pak for Data")
    visit.service.office.admit(header)


def check_version(visit: Visit) -> None:
    """Check the `version` date: present where it is needed, well-formed wherever it is given.

    Raises:
        Refused: it is missing or ill-formed.
    """
    date = visit.request.query.get("version")
    if date is None and not visit.route.versioned:
        return
    if date is None or not _DATE.fullmatch(date):
        what = "is required" if date is None else "must have the form YYYY-MM-DD"
        message = f"Invalid request: query parameter `version` {what}"
        raise Refused(400, "invalid_input_argument", message, target=("parameter", "version"))


# --------------------------------------------------------------------------- routing


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))


_PATTERNS = tuple((_pattern(route.path), route) for route in ROUTES)


def find_route(request: Request) -> tuple[Route, dict[str, str]] | Reply:
    """Return the route and its arguments, or the page that says there is none here."""
    place = place_of(request.host)
    methods = []
    elsewhere = None
    for pattern, route in _PATTERNS:
        match = pattern.fullmatch(request.path)
        if match is None:
            continue
        if place not in ("software", route.place):
            elsewhere = route.place
            continue
        if route.method == request.method:
            return route, {name: unquote(value) for name, value in match.groupdict().items()}
        methods.append(route.method)
    if methods:
        return wrong_place(405, f"{request.method} is not allowed here", {"allow": ", ".join(methods)})
    where = f"; it belongs to the {elsewhere} host" if elsewhere else ""
    return wrong_place(404, f"{request.host} does not serve {request.path[:200]}{where}")


__all__ = ["ROUTES", "Emulator", "check_version", "find_route"]
