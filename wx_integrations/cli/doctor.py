"""`wx doctor`: the steps from the settings to an answer."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from wx_integrations.cli import cures
from wx_integrations.cli.examination import Case, Finding, Step, facts_of
from wx_integrations.cli.models import listed, row_of
from wx_integrations.cli.reach import Ways
from wx_integrations.core import calls, token_sources
from wx_integrations.core.advice import advice, concerns_model
from wx_integrations.core.calls import Deployment, Model, Target
from wx_integrations.core.connection import Connection, fill_from_environment
from wx_integrations.core.errors import (
    ConfigurationError,
    ConnectionFailed,
    NotFound,
    ServiceError,
    Unauthorized,
    Unavailable,
    WatsonxError,
)
from wx_integrations.core.retry import RetryPolicy, connection_error
from wx_integrations.core.wire.chat import ChatRequest, UserMessage

CHAT = "ibm/granite-4-h-small"
EMBEDDING = "ibm/slate-125m-english-rtrvr"
PROMPT = "Answer with the word: ready"

# --------------------------------------------------------------------------- the steps


def settings(case: Case) -> Finding:
    """Read the settings and the environment."""
    given = {"retry": RetryPolicy(retry_total=0), "timeout": case.timeout, **case.settings}
    case.known.connection = connection = Connection(**fill_from_environment(given, case.environ))
    facts = {
        "url": connection.hosts.ml,
        "platform": connection.hosts.platform,
        "cloud": connection.hosts.cloud,
        "login": _login(connection),
        "project_id": connection.project_id,
        "space_id": connection.space_id,
        "version": connection.version_date,
    }
    detail = f"{connection.hosts.ml} with {facts['login']}"
    notes = [*cures.unread_variables(case.environ)]
    notes += [note for note in (cures.mixed_hosts(connection), cures.two_keys(case.environ)) if note]
    if notes:
        return Finding("settings", "warning", detail, "; ".join(notes), facts=facts)
    return Finding("settings", "ok", detail, facts=facts)


def _login(connection: Connection) -> str:
    ways = ("token", "api_key", "password", "zen_api_key")
    way = next((name for name in ways if getattr(connection, name) is not None), "a token function")
    return f"{way} of {connection.username}" if connection.username else way


def network(case: Case) -> Finding:
    """Reach the hosts: names, proxies, TLS."""
    connection = case.connection
    case.known.ways = ways = Ways(connection, timeout=case.timeout)
    found = {role: ways.reach(origin) for role, origin in _origins(connection).items()}
    facts = {role: asdict(reached) for role, reached in found.items()}
    for role, reached in found.items():
        if reached.trouble is not None and role != "platform_url":
            way = f" through the proxy {reached.proxy}" if reached.proxy else ""
            detail = f"{reached.host} cannot be reached{way} ({reached.reason})"
            return Finding("network", "failed", detail, cures.for_network(reached, connection, role), facts=facts)
    platform = found.get("platform_url")
    if platform is not None and platform.trouble is not None:
        detail = (
            f"{platform.host} cannot be reached ({platform.reason}); it is needed for projects and agent tools only"
        )
        advice = cures.for_network(platform, connection, "platform_url")
        return Finding("network", "warning", detail, advice, facts=facts)
    times = ", ".join(f"{reached.host} in {reached.seconds * 1000:.0f} ms" for reached in found.values())
    tls = next((reached.tls for reached in found.values() if reached.tls), None)
    return Finding("network", "ok", times + (f" ({tls})" if tls else ""), facts=facts)


def _origins(connection: Connection) -> dict[str, str]:
    """Return the origins to reach, each once, by the setting behind it."""
    source = connection.token_source
    token_url = getattr(source, "bedrock_url", None) or getattr(source, "url", None)
    named = {"url": connection.hosts.ml, "auth_url": token_url, "platform_url": connection.hosts.platform}
    found: dict[str, str] = {}
    for role, url in named.items():
        parts = urlsplit(url or "")
        origin = f"{parts.scheme}://{parts.netloc}"
        if url and origin not in found.values():
            found[role] = origin
    return found


def token(case: Case) -> Finding:
    """Log in."""
    source = case.connection.token_source
    if isinstance(source, token_sources.Fixed):
        return _ready_made(case, source.header)
    if isinstance(source, token_sources.Called | token_sources.Missing):
        raise ConfigurationError("the way to log in cannot be tried from here", field="token_function")
    found = _exchanged(source, case.ways.http)
    case.known.token, case.known.exchanged = found.value, True
    case.known.account = account = account_of(claims_of(found.value.get_secret_value()))
    lives = f", valid for {found.lifetime / 60:.0f} minutes" if found.lifetime else ""
    of = f" for account {account}" if account else ""
    return Finding("token", "ok", f"a token{of}{lives}", facts={"lifetime": found.lifetime, "account": account})


def _exchanged(source: token_sources.TokenSource, http: httpx.Client) -> token_sources.Token:
    exchange = source.exchange()
    request = next(exchange)
    while True:
        try:
            answer = http.send(request)
        except httpx.HTTPError as error:
            raise connection_error(error, request) from error
        try:
            request = exchange.send(answer)
        except StopIteration as done:
            found: token_sources.Token = done.value
            return found


def _ready_made(case: Case, header: SecretStr) -> Finding:
    text = header.get_secret_value().rpartition(" ")[2]
    claims = claims_of(text)
    case.known.token = SecretStr(text)
    case.known.account = account_of(claims)
    left = claims["exp"] - case.now() if isinstance(claims.get("exp"), int | float) else None
    facts = {"expires_in": left, "account": case.known.account}
    if left is not None and left <= 0:
        advice = "Give a fresh token (WATSONX_TOKEN), or an API key (WATSONX_API_KEY) so that tokens renew themselves"
        return Finding("token", "failed", f"the token expired {-left / 60:.0f} minutes ago", advice, facts=facts)
    lives = f", valid for {left / 60:.0f} more minutes" if left is not None else ""
    return Finding("token", "ok", f"a ready-made token{lives}; it is used as it is", facts=facts)


def claims_of(text: str) -> dict[str, Any]:
    """Return what a JSON Web Token says about itself; nothing if it is none."""
    try:
        part = text.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def account_of(claims: Mapping[str, Any]) -> str | None:
    """Return the account of an IBM Cloud token (`account.bss`)."""
    account = claims.get("account")
    found = account.get("bss") if isinstance(account, dict) else None
    return found if isinstance(found, str) else None


def project(case: Case) -> Finding:
    """Look the project or space up, and whether it has a runtime."""
    if case.deployment is not None:
        return Finding("project", "ok", "not needed for a deployment")
    scope = case.connection.scope()
    (name, id_), connection = next(iter(scope.items())), case.connection
    kind = name.removesuffix("_id")
    path = f"/v2/{kind}s/{id_}"
    try:
        found = case.client().get(path)
    except NotFound as error:
        case.known.scope_refused = True
        elsewhere = _elsewhere(case, path) if case.search_regions else None
        cure = cures.for_unknown_scope(connection, searched=case.search_regions, found_in=elsewhere)
        detail = f"{urlsplit(connection.hosts.platform).hostname} does not know the {kind} {id_}"
        return Finding("project", "failed", detail, cure, facts={**facts_of(error), name: id_, "found_in": elsewhere})
    except Unauthorized:
        case.known.scope_refused = True
        raise
    except (ConnectionFailed, Unavailable) as error:
        detail = f"the {kind} could not be looked up: {error.message}"
        return Finding("project", "warning", detail, error.hint, facts=facts_of(error))
    return _container(kind, id_, found, connection)


def _elsewhere(case: Case, path: str) -> str | None:
    """Return the URL of the region of the same cloud whose platform knows the project."""
    own, token = case.connection.hosts, case.known.token
    for hosts in case.regions:
        if token is None or hosts.cloud != own.cloud or hosts.platform == own.platform:
            continue
        try:
            answer = case.ways.http.get(
                hosts.platform + path, headers={"Authorization": f"Bearer {token.get_secret_value()}"}
            )
        except httpx.HTTPError:
            continue
        if answer.is_success:
            return hosts.ml
    return None


def _container(kind: str, id_: str, found: Any, connection: Connection) -> Finding:
    """Return the finding for a project or space that was found."""
    entity = found.get("entity") if isinstance(found, dict) else None
    entity = entity if isinstance(entity, dict) else {}
    compute = [item for item in entity.get("compute") or [] if isinstance(item, dict)]
    facts = {f"{kind}_id": id_, "name": entity.get("name"), "compute": [item.get("type") for item in compute]}
    detail = f"{kind} {entity.get('name') or id_}"
    if connection.hosts.cloud in ("ibm", "aws") and not any(item.get("type") == "machine_learning" for item in compute):
        advice = f"Associate a watsonx.ai Runtime instance ({kind} > Manage > Services & integrations)"
        return Finding("project", "warning", f"{detail} has no watsonx.ai Runtime", advice, facts=facts)
    return Finding("project", "ok", detail, facts=facts)


def models(case: Case) -> Finding:
    """Read the model list and look for the models that were named."""
    case.known.specs = specs = listed(case.client())
    today = datetime.fromtimestamp(case.now(), UTC).date().isoformat()
    rows = {spec.model_id: row_of(spec, today=today) for spec in specs}
    able = {what: sum(what in row.capabilities for row in rows.values()) for what in ("chat", "embedding")}
    detail = f"{len(rows)} models, {able['chat']} chat, {able['embedding']} embed"
    facts = {"total": len(rows), **able}
    notes, cure = [], None
    for name, function in ((case.model, "text_chat"), (case.embedding_model, "embedding")):
        if name is None:
            continue
        if name not in rows:
            notes.append(f"{name} is not among them")
            cure = advice(name, specs, function=function) or "`wx models` lists what there is"
        elif rows[name].stage != "available":
            notes.append(f"{name} is {rows[name].lifecycle}")
    if not rows:
        return Finding("models", "warning", "the model list is empty", "Check url (WATSONX_URL)", facts=facts)
    if notes:
        return Finding("models", "warning", "; ".join([detail, *notes]), cure, facts=facts)
    return Finding("models", "ok", detail, facts=facts)


def chat(case: Case) -> Finding:
    """Ask one question."""
    model_id = None if case.deployment else case.model or _usual(case, CHAT, "text_chat")
    if case.deployment is None and model_id is None:
        return Finding("chat", "skipped", "no model of this service chats")
    if case.deployment is None and not _has_scope(case):
        return Finding("chat", "skipped", "needs a project or space")
    target = Deployment(case.deployment) if case.deployment else _model(case, str(model_id))
    request = ChatRequest(messages=[UserMessage(content=PROMPT)], max_tokens=10, temperature=0)
    try:
        answer = case.client().run(calls.chat(target, request))
    except WatsonxError as error:
        return _refused("chat", error, case, model_id, "text_chat")
    message = answer.choices[0].message if answer.choices else None
    text = " ".join(((message and message.content) or "").split())
    facts = {"model": answer.model_name or target.name, "answer": text[:200]}
    return Finding("chat", "ok", f"{facts['model']} said {text[:60]!r}", facts=facts)


def embedding(case: Case) -> Finding:
    """Embed one text."""
    model_id = case.embedding_model or _usual(case, EMBEDDING, "embedding")
    if case.deployment is not None or model_id is None:
        why = "deployments do not embed" if case.deployment else "no model of this service embeds"
        return Finding("embedding", "skipped", why)
    if not _has_scope(case):
        return Finding("embedding", "skipped", "needs a project or space")
    try:
        answer = case.client().run(calls.embed(_model(case, model_id), [PROMPT]))
    except WatsonxError as error:
        return _refused("embedding", error, case, model_id, "embedding")
    dimension = len(answer.results[0].embedding) if answer.results else 0
    facts = {"model": answer.model_id or model_id, "dimension": dimension}
    return Finding("embedding", "ok", f"{facts['model']} gave {dimension} numbers", facts=facts)


def _has_scope(case: Case) -> bool:
    return bool(case.connection.project_id or case.connection.space_id)


def _model(case: Case, model_id: str) -> Target:
    return Model(model_id, case.connection.project_id, case.connection.space_id)


def _usual(case: Case, usual: str, function: str) -> str | None:
    """Return the usual model if the service has it, or the first that can do it; the usual one without a list."""
    specs = case.known.specs
    able = [spec.model_id for spec in specs if function in {item.id for item in spec.functions or ()}]
    return usual if usual in able or not specs else next(iter(able), None)


def _refused(step: str, error: WatsonxError, case: Case, model_id: str | None, function: str) -> Finding:
    known = case.known
    cure = cures.for_answer(
        error, case.connection, account=known.account, model_id=model_id, function=function, specs=known.specs
    )
    if known.scope_refused and not (isinstance(error, ServiceError) and concerns_model(error)):
        cure = "See what was found about the project"
    name = model_id or case.deployment
    return Finding(step, "failed", f"{name}: {error.message}", cure, facts={**facts_of(error), "model": name})


STEPS = (
    Step("settings", settings),
    Step("network", network, needs=("settings",)),
    Step("token", token, needs=("network",)),
    Step("project", project, needs=("token",)),
    Step("models", models, needs=("token",)),
    Step("chat", chat, needs=("token", "models")),
    Step("embedding", embedding, needs=("token", "models")),
)
"""The whole examination. The project is looked up at the platform's host, which inference does not need."""
