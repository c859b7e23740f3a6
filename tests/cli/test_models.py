"""`wx models`: asking page by page, reading, filtering, showing."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from tests.cli.terminal import KEY, service, wx
from tests.support.server import CLOSE, Seen, Server, Step, answer, error
from wx_integrations.cli.models import Row, chosen, every, listed_to_anybody, row_of, show, table_of
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError, WatsonxError
from wx_integrations.core.wire.models import ModelSpec

TODAY = "2026-06-15"


def spec(**fields: Any) -> ModelSpec:
    return ModelSpec.model_validate({"model_id": "own/model", "provider": "Own", **fields})


def row(**fields: Any) -> Row:
    return row_of(spec(**fields), today=TODAY)


# --------------------------------------------------------------------------- reading


def test_capabilities_in_one_order() -> None:
    functions = [
        {"id": name} for name in ("text_generation", "time_series_forecast", "image_chat", "text_chat", "lora")
    ]
    found = row(functions=functions, task_ids=["function_calling", "code"])
    assert found.capabilities == ("chat", "tools", "images", "generation", "lora", "time_series_forecast")
    assert row().capabilities == ()


def test_limits() -> None:
    limits = {"max_sequence_length": 131072, "max_output_tokens": 0, "embedding_dimension": 768}
    found = row(model_limits=limits)
    assert (found.context, found.max_output, found.dimension) == (131072, None, 768)
    assert (row().context, row().max_output, row().dimension) == (None, None, None)


@pytest.mark.parametrize(
    ("stages", "shown"),
    [
        ([], "available"),
        ([("available", "2024-01-01")], "available"),
        ([("deprecated", "2026-09-01"), ("available", "2024-01-01")], "available, deprecated on 2026-09-01"),
        (
            [("available", "2024-01-01"), ("deprecated", "2026-06-15"), ("withdrawn", "2026-12-01T00:00:00Z")],
            "deprecated, withdrawn on 2026-12-01; use own/newer",
        ),
        ([("available", None), ("withdrawn", "2025-01-01")], "withdrawn; use own/newer"),
    ],
)
def test_the_stage_is_the_last_that_began(stages: list[tuple[str, str | None]], shown: str) -> None:
    newer = {"alternative_model_ids": ["own/newer", "own/newer"]}
    lifecycle = [{"id": id_, "start_date": date, **(newer if id_ != "available" else {})} for id_, date in stages]
    assert row(lifecycle=lifecycle).lifecycle == shown


# --------------------------------------------------------------------------- filters


ROWS = [
    row(model_id="b/chat", provider="Big", functions=[{"id": "text_chat"}], task_ids=["function_calling"]),
    row(model_id="a/embed", short_description="Vectors of text", functions=[{"id": "embedding"}]),
    row(model_id="a/old", functions=[{"id": "text_chat"}], lifecycle=[{"id": "withdrawn", "start_date": "2020-01-01"}]),
]


def ids(**filters: Any) -> list[str]:
    return [found.model_id for found in chosen(ROWS, **filters)]


def test_filters() -> None:
    assert ids() == ["a/embed", "b/chat"]
    assert ids(withdrawn=True) == ["a/embed", "a/old", "b/chat"]
    assert ids(can=["chat"]) == ["b/chat"]
    assert ids(can=["chat", "tools"]) == ["b/chat"]
    assert ids(can=["tools", "embedding"]) == []
    assert ids(provider="bi") == ["b/chat"]
    assert ids(search="VECTORS") == ["a/embed"]
    assert ids(search="a/") == ["a/embed"]
    assert chosen([], can=["anything"]) == []


def test_a_capability_that_nobody_has() -> None:
    with pytest.raises(ConfigurationError, match=r"'chatting'. There are: chat, embedding, tools"):
        chosen(ROWS, can=["chatting"])


# --------------------------------------------------------------------------- asking


def pages(count: int, size: int, *, loop: bool = False) -> Any:
    """Return a handler that serves so many models, a page of so many at a time."""

    def handle(seen: Seen) -> Sequence[Step]:
        start = int(seen.query.get("start", "0"))
        resources = [{"model_id": f"own/model-{number}"} for number in range(start, min(start + size, count))]
        body: dict[str, Any] = {"resources": resources}
        if start + size < count or loop:
            body["next"] = {"href": f"https://elsewhere.example/ml/v1/x?start={0 if loop else start + size}&limit=2"}
        return answer(200, body)

    return handle


def at(server: Server, **settings: Any) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:{server.port}", **settings}


def test_every_page_is_read_and_only_from_the_service() -> None:
    with Server(pages(5, 2)) as server:
        found = every(at(server, token="t", project_id="p"), {})
        assert [row.model_id for row in found] == [f"own/model-{number}" for number in range(5)]
        assert [seen.query.get("start") for seen in server.seen] == [None, "2", "4"]
        assert {seen.query["limit"] for seen in server.seen} == {"200"}


def test_pages_that_never_end() -> None:
    with Server(pages(2, 2, loop=True)) as server:
        assert len(every(at(server, token="t"), {})) == 4
        assert len(server.seen) == 2


def test_without_a_login_nothing_secret_is_sent() -> None:
    with Server(pages(3, 2)) as server:
        assert len(every(at(server), {"WATSONX_PROJECT_ID": "p"})) == 3
        assert [seen.header("authorization") for seen in server.seen] == [None, None]
        assert [seen.query["version"] for seen in server.seen] == ["2024-03-14"] * 2


def test_without_a_login_errors_are_ours() -> None:
    steps: list[Sequence[Step]] = [
        error(500, "downstream_request_failed"),
        answer(200, "<html>"),
        [b"not http\r\n\r\n", CLOSE],
    ]
    answers = iter(steps)
    with Server(lambda seen: next(answers)) as server:
        connection = Connection(**at(server, token="none"))
        for kind in ("HTTP 500", "answered without a model list", "broke before the answer"):
            with pytest.raises(WatsonxError, match=kind):
                listed_to_anybody(connection)


def test_other_wrong_settings_are_told() -> None:
    with pytest.raises(ConfigurationError, match="url is not set"):
        every({}, {})
    with pytest.raises(ConfigurationError, match="different ways to log in"):
        every({"url": "http://127.0.0.1:1", "api_key": "a", "token": "b"}, {})


# --------------------------------------------------------------------------- the command


def test_the_command() -> None:
    with service() as (server, environment):
        run = wx("models", "--can", "chat", "--can", "tools", "--search", "granite", **environment)
        assert (run.code, run.err) == (0, "")
        assert run.lines[-1].split("\t") == [
            "ibm/granite-4-h-small",
            "chat,tools,generation",
            "131,072",
            "16,384",
            "available",
        ]
        assert len(run.lines) == 3

        del environment["WATSONX_API_KEY"], environment["WATSONX_URL"]
        run = wx("models", "--json", "--url", server.url, "--can", "rerank", **environment)
        assert [found["model_id"] for found in json.loads(run.out)] == ["cross-encoder/ms-marco-minilm-l-12-v2"]
        assert json.loads(run.out)[0]["capabilities"] == ["rerank"]
        assert len(server.emulator.journal.find("/identity/token")) == 1

        run = wx("models", "--url", server.url, "--search", "nothing at all")
        assert (run.code, run.out, run.err) == (0, "", "No model passes the filters.\n")
        run = wx("models", "--url", server.url, "--json", "--search", "nothing at all")
        assert (run.out, run.err) == ("[]\n", "")
        run = wx("models", "--url", server.url, "--withdrawn", "--search", "flan-t5-xxl")
        assert "withdrawn; use ibm/granite-4-h-small" in run.out


def test_the_command_fails_in_one_line() -> None:
    assert wx("models").code == 1
    with service() as (server, _):
        run = wx("models", "--url", server.url, "--can", "magic", WATSONX_API_KEY=KEY)
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("wx: --can: no model offers 'magic'. There are: ")
    assert run.err.count("\n") == 1


def test_the_table() -> None:
    out = io.StringIO()
    Console(file=out, width=120, no_color=True).print(table_of(ROWS))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[0] == ["model", "capabilities", "context", "output", "lifecycle"]
    assert lines[1] == ["b/chat", "chat,", "tools", "available"]
    assert lines[3] == ["a/old", "chat", "withdrawn"]


def test_a_terminal_too_narrow_for_the_table() -> None:
    out = io.StringIO()
    show(Console(file=out, width=40, no_color=True, soft_wrap=True), ROWS)
    assert out.getvalue().splitlines()[:2] == ["b/chat", "  chat, tools · available"]
    wide = io.StringIO()
    show(Console(file=wide, width=120, no_color=True, soft_wrap=True), ROWS)
    assert wide.getvalue().splitlines()[0].split() == ["model", "capabilities", "context", "output", "lifecycle"]
