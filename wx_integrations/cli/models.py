"""`wx models`: what the service offers, what each model can do, and for how long."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from rich.console import Console
from rich.table import Table

from wx_integrations.cli.reach import Ways
from wx_integrations.core import calls, errors
from wx_integrations.core.calls import Call
from wx_integrations.core.client import Client
from wx_integrations.core.connection import Connection, fill_from_environment
from wx_integrations.core.errors import ConfigurationError, UnexpectedResponse
from wx_integrations.core.profiles import from_spec
from wx_integrations.core.retry import connection_error
from wx_integrations.core.wire.models import LifecycleStage, ModelSpec, ModelSpecsPage

MOST_PAGES = 50
TIMEOUT = 30.0
_SHOWN_AS = {
    "text_chat": "chat",
    "text_generation": "generation",
    "image_chat": "images",
    "audio_chat": "audio",
    "video_chat": "video",
}
"""Our words for some of the service's function ids; the others are shown as they are."""


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        capabilities: chat, tools, images, generation, embedding, rerank, ...
        context: tokens of input and output together; for embedding and rerank models of one input.
        max_output: tokens of the longest answer.
        dimension: of an embedding.
        stage: available, deprecated, constricted or withdrawn.
        since: when the stage began.
        next_stage, next_date: what follows, if that is known.
        successors: the models that the service recommends instead.
    """

    model_id: str
    provider: str
    capabilities: tuple[str, ...]
    context: int | None
    max_output: int | None
    dimension: int | None
    stage: str
    since: str | None
    next_stage: str | None
    next_date: str | None
    successors: tuple[str, ...]
    description: str

    @property
    def lifecycle(self) -> str:
        """The stage and what follows, in a few words."""
        text = self.stage
        if self.next_stage:
            text += f", {self.next_stage} on {self.next_date}"
        if self.successors and self.stage != "available":
            text += f"; use {' or '.join(self.successors)}"
        return text


# --------------------------------------------------------------------------- asking


def every(settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> list[Row]:
    """Return every model of the service that settings and environment name, with or without a login.

    Raises:
        WatsonxError: no service is named, or it does not answer.
    """
    found = os.environ if environ is None else environ
    try:
        connection = Connection(**fill_from_environment(settings, found))
    except ConfigurationError as error:
        if not error.message.startswith("no credentials"):
            raise
        named = fill_from_environment({**settings, "token": "none"}, found)
        specs = listed_to_anybody(Connection(**named))
    else:
        with Client(connection) as client:
            specs = listed(client)
    today = datetime.now(UTC).date().isoformat()
    return [row_of(spec, today=today) for spec in specs]


def listed(client: Client) -> list[ModelSpec]:
    """Return every model the service lists, page after page."""
    return _pages(client.run)


def listed_to_anybody(connection: Connection) -> list[ModelSpec]:
    """Return every model the service lists to those without a token (IBM Cloud does)."""
    ways = Ways(connection, timeout=TIMEOUT)

    def ask(call: Call[ModelSpecsPage]) -> ModelSpecsPage:
        query = {"version": connection.version_date, **(call.query or {})}
        request = ways.http.build_request(call.method, connection.hosts.ml + call.path, params=query)
        try:
            answer = ways.http.send(request)
        except httpx.HTTPError as error:
            raise connection_error(error, request) from error
        if not answer.is_success:
            raise errors.from_response(answer.status_code, answer.headers, answer.content)
        try:
            return call.parse(answer.content)
        except ValueError:
            hint = "Check url (WATSONX_URL) and any proxy in between"
            raise UnexpectedResponse(f"{connection.hosts.ml} answered without a model list", hint=hint) from None

    try:
        return _pages(ask)
    finally:
        ways.close()


def _pages(ask: Callable[[Call[ModelSpecsPage]], ModelSpecsPage]) -> list[ModelSpec]:
    found: list[ModelSpec] = []
    start: str | None = None
    for _ in range(MOST_PAGES):
        page = ask(calls.model_specs(start=start))
        found += page.resources
        following = parse_qs(urlsplit(page.next.href).query).get("start") if page.next else None
        if not following or following[0] == start:
            break
        start = following[0]
    return found


# --------------------------------------------------------------------------- reading


def row_of(spec: ModelSpec, *, today: str) -> Row:
    """Return a model as it is shown.

    Args:
        spec: as the list has it.
        today: an ISO date, which decides about the stage.
    """
    profile = from_spec(spec)
    stages = sorted(spec.lifecycle or [], key=lambda stage: stage.start_date or "")
    reached = [stage for stage in stages if (stage.start_date or "")[:10] <= today]
    following = [stage for stage in stages if stage not in reached]
    return Row(
        model_id=spec.model_id,
        provider=spec.provider or "",
        capabilities=_capabilities(spec, tools=bool(profile.tool_calling)),
        context=profile.context_window,
        max_output=profile.max_output_tokens or None,
        dimension=profile.embedding_dimension,
        stage=reached[-1].id if reached else "available",
        since=_date(reached[-1]) if reached else None,
        next_stage=following[0].id if following else None,
        next_date=_date(following[0]) if following else None,
        successors=tuple(dict.fromkeys(name for stage in stages for name in stage.alternative_model_ids or ())),
        description=spec.short_description or spec.label or "",
    )


def _capabilities(spec: ModelSpec, *, tools: bool) -> tuple[str, ...]:
    names = [_SHOWN_AS.get(function.id, function.id) for function in spec.functions or ()]
    order = ["chat", "tools", "images", "audio", "video", "generation", "embedding", "rerank"]
    found = {*names, *(["tools"] if tools else [])}
    return (*(name for name in order if name in found), *sorted(found.difference(order)))


def _date(stage: LifecycleStage) -> str | None:
    return stage.start_date[:10] if stage.start_date else None


def chosen(
    rows: Iterable[Row], *, can: Collection[str] = (), provider: str = "", search: str = "", withdrawn: bool = False
) -> list[Row]:
    """Return the models that pass the filters, by id.

    Args:
        rows: all models.
        can: capabilities that a model must all have.
        provider: part of the provider's name.
        search: part of the id or the description.
        withdrawn: keep models that are withdrawn.

    Raises:
        ConfigurationError: no model at all has one of the capabilities; names those there are.
    """
    every = list(rows)
    known = sorted({name for row in every for name in row.capabilities})
    for name in can:
        if every and name not in known:
            raise ConfigurationError(f"--can: no model offers {name!r}", hint=f"There are: {', '.join(known)}")
    kept = [
        row
        for row in every
        if set(can) <= set(row.capabilities)
        and provider.lower() in row.provider.lower()
        and (search.lower() in row.model_id.lower() or search.lower() in row.description.lower())
        and (withdrawn or row.stage != "withdrawn")
    ]
    return sorted(kept, key=lambda row: row.model_id)


# --------------------------------------------------------------------------- showing

_ENDLESS = 10_000
_STYLES = {"deprecated": "yellow", "constricted": "yellow", "withdrawn": "red"}


def as_data(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the models for `--json`."""
    return [asdict(row) for row in rows]


def show(console: Console, rows: Sequence[Row]) -> None:
    """Write the models to a terminal: as a table, or one below the other where a table does not fit."""
    table = table_of(rows)
    natural = console.measure(table, options=console.options.update(max_width=_ENDLESS)).maximum
    if natural <= console.width:
        console.print(table)
        return
    for row in rows:
        style = _STYLES.get(row.stage)
        console.print(row.model_id, style=f"bold {style}" if style else "bold", markup=False)
        sizes = [f"{_count(row.context)} context" if row.context else "", _output(row)]
        facts = [", ".join(row.capabilities), *sizes, row.lifecycle]
        console.print("  " + " · ".join(fact for fact in facts if fact), style=style, markup=False)


def table_of(rows: Sequence[Row]) -> Table:
    """Return the models as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", no_wrap=True)
    table.add_column("capabilities")
    table.add_column("context", justify="right")
    table.add_column("output", justify="right")
    table.add_column("lifecycle")
    for row in rows:
        output = f"{row.dimension} dim" if row.dimension else _count(row.max_output)
        facts = (row.model_id, ", ".join(row.capabilities), _count(row.context), output, row.lifecycle)
        table.add_row(*facts, style=_STYLES.get(row.stage))
    return table


def lines_of(rows: Sequence[Row]) -> list[str]:
    """Return the models as lines with tabs between the columns, for other programs and narrow screens."""
    return [
        "\t".join(
            (row.model_id, ",".join(row.capabilities), _count(row.context), _count(row.max_output), row.lifecycle)
        )
        for row in rows
    ]


def _output(row: Row) -> str:
    if row.dimension:
        return f"{row.dimension} dimensions"
    return f"{_count(row.max_output)} output" if row.max_output else ""


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
