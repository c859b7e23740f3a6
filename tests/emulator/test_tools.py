"""The routes of the utility agent tools, and the tools over the bundled corpus."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.emulator.lab import ML, PLATFORM, PROJECT, SOFTWARE, Lab
from tests.support.tool_service import golden
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Brain
from wx_integrations.emulator.exchange import Reply, Request
from wx_integrations.emulator.server import LocalServer
from wx_integrations.emulator.tools import corpus
from wx_integrations.emulator.tools.card import Bench, ToolCard, ToolFailed
from wx_integrations.emulator.tools.toolbox import Toolbox

BASE = "/wx/v1-beta/utility_agent_tools"


def body_of(reply: Reply) -> Any:
    """Return the JSON of a reply, whatever its status."""
    assert isinstance(reply.body, bytes)
    return json.loads(reply.body)


def run(lab: Lab, name: str, input: Any, config: Any = None, **options: Any) -> Any:
    sent = {"tool_name": name, "input": input}
    return lab.post(f"{BASE}/run", sent if config is None else {**sent, "config": config}, host=PLATFORM, **options)


def output(lab: Lab, name: str, input: Any, config: Any = None) -> str:
    reply = run(lab, name, input, config)
    assert reply.status == 200, reply.body
    text = body_of(reply)["output"]
    assert isinstance(text, str)
    return text


@pytest.fixture
def lab() -> Lab:
    return Lab()


# --------------------------------------------------------------------------- the list


def test_the_list_has_the_tools_of_the_reference(lab: Lab) -> None:
    reply = lab.send("GET", BASE, host=PLATFORM)
    listed = {tool["name"]: tool for tool in body_of(reply)["resources"]}
    for sample in golden("list")["resources"]:
        assert listed[sample["name"]] == sample
    assert set(listed) == {"GoogleSearch", "Wikipedia", "WebCrawler", "PythonInterpreter", "Weather", "RAGQuery"}
    assert listed["RAGQuery"]["config_schema"] == golden("tool_ragquery")["config_schema"]


def test_the_list_needs_no_token_and_no_version(lab: Lab) -> None:
    nobody: Any = {"authorization": None}
    assert lab.send("GET", BASE, host=PLATFORM, headers=nobody).status == 200
    assert lab.send("GET", f"{BASE}/Weather", host=PLATFORM, headers=nobody).status == 200


def test_one_tool(lab: Lab) -> None:
    assert body_of(lab.send("GET", f"{BASE}/GoogleSearch", host=PLATFORM)) == golden("list")["resources"][0]
    reply = lab.send("GET", f"{BASE}/Nothing", host=PLATFORM)
    assert reply.status == 404
    assert body_of(reply)["message"] == "there is no tool 'Nothing'"


def test_only_the_platform_host_serves_them(lab: Lab) -> None:
    assert lab.send("GET", BASE, host=ML).status == 404
    assert lab.send("GET", BASE, host=SOFTWARE).status == 200


# --------------------------------------------------------------------------- running


def test_both_ways_to_name_a_tool(lab: Lab) -> None:
    by_path = lab.post(f"{BASE}/run/GoogleSearch", {"input": "IBM"}, host=PLATFORM)
    assert body_of(by_path)["output"] == output(lab, "GoogleSearch", "IBM")
    both = lab.post(f"{BASE}/run/Weather", {"tool_name": "GoogleSearch", "input": "IBM"}, host=PLATFORM)
    assert both.status == 400


def test_the_sample_of_the_reference(lab: Lab) -> None:
    sample = golden("run_request")
    reply = lab.post(f"{BASE}/run", sample, host=PLATFORM)
    found = json.loads(body_of(reply)["output"])
    assert 1 <= len(found) <= sample["config"]["maxResults"]
    assert all(set(one) == set(json.loads(golden("run_answer_googlesearch")["output"])[0]) for one in found)


def test_running_needs_a_token(lab: Lab) -> None:
    reply = run(lab, "GoogleSearch", "IBM", headers={"authorization": None})
    assert reply.status == 401
    assert set(body_of(reply)) == set(golden("refusal"))
    assert body_of(reply)["code"] == 401
    lab.emulator.office.expire_all()
    assert run(lab, "GoogleSearch", "IBM").status == 401


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": "x"}, "tool_name is required"),
        ({"tool_name": "Weather"}, "input"),
        ({"tool_name": "Weather", "input": "Rome"}, "input must be an object with location"),
        ({"tool_name": "Weather", "input": {"city": "Rome"}}, "input.location is required"),
        ({"tool_name": "Weather", "input": {"location": "Rome", "x": 1}}, "input.x is not known"),
        ({"tool_name": "Weather", "input": {"location": 1}}, "input.location must be a string"),
        ({"tool_name": "Weather", "input": {"location": "Rome"}, "config": {"a": 1}}, "config.a is not known"),
        ({"tool_name": "GoogleSearch", "input": "x", "config": {"maxResults": 21}}, "from 1 to 20"),
        ({"tool_name": "GoogleSearch", "input": "x", "config": {"maxResults": True}}, "from 1 to 20"),
        ({"tool_name": "GoogleSearch", "input": ""}, "not empty"),
        ({"tool_name": "GoogleSearch", "input": "x", "inputs": "y"}, "inputs"),
        ({"tool_name": "GoogleSearch", "input": ["x"]}, "input"),
    ],
)
def test_wrong_requests(lab: Lab, body: dict[str, Any], words: str) -> None:
    reply = lab.post(f"{BASE}/run", body, host=PLATFORM)
    assert reply.status == 400
    answer = body_of(reply)
    assert (answer["code"], answer["error"]) == (400, "Bad Request")
    assert words in answer["message"]


def test_null_is_no_text_unless_one_is_lenient(lab: Lab) -> None:
    given = {"location": "Rome", "country": None}
    assert run(lab, "Weather", given).status == 400
    assert run(Lab(strict=False), "Weather", given).status == 200
    assert run(Lab(strict=False), "Weather", {"location": None}).status == 400


def test_unknown_tools(lab: Lab) -> None:
    assert run(lab, "Nothing", "x").status == 404


# --------------------------------------------------------------------------- the corpus


def test_search_gives_the_best_first_and_as_many_as_asked_for(lab: Lab) -> None:
    found = json.loads(output(lab, "GoogleSearch", "How tall is the Eiffel Tower?", {"maxResults": 1}))
    assert [one["title"] for one in found] == ["Eiffel Tower"]
    assert "330 metres" in found[0]["description"]
    assert len(json.loads(output(lab, "GoogleSearch", {"q": "IBM granite models"}))) > 1


def test_wikipedia(lab: Lab) -> None:
    text = output(lab, "Wikipedia", {"query": "speed of light"})
    assert text.startswith("Page: Speed of light\nSummary: The speed of light in vacuum is exactly 299792458")


@pytest.mark.parametrize(("name", "input"), [("GoogleSearch", "bananas"), ("Wikipedia", {"query": "bananas"})])
def test_what_is_not_bundled_needs_a_network(lab: Lab, name: str, input: Any) -> None:
    reply = run(lab, name, input)
    assert reply.status == 501
    assert "no network" in body_of(reply)["message"]
    assert "'bananas'" in body_of(reply)["message"]


def test_weather(lab: Lab) -> None:
    text = output(lab, "Weather", {"location": "Naples", "country": "Italy"})
    assert text == (
        "Current weather in naples, italy:\nTemperature: 26.9°C\nRain: 0mm\nRelative humidity: 47%\n"
        "Wind: 10.8km/h\n(made up by the emulator)\n"
    )
    assert output(lab, "Weather", {"location": "Naples, Italy"}) == text
    for input in ({"location": "Atlantis"}, {"location": "Naples", "country": "France"}):
        reply = run(lab, "Weather", input)
        assert reply.status == 501
        assert "no network" in body_of(reply)["message"]


def test_the_corpus_is_sound() -> None:
    articles, places = corpus.articles(), corpus.places()
    assert len({article.title for article in articles}) == len(articles) > 10
    assert all(article.url.startswith("https://") and article.summary.endswith(".") for article in articles)
    assert all(place.city == place.city.lower() and 0 <= place.humidity <= 100 for place in places)
    for article in articles:
        assert corpus.find(article.title, 1) == [article]


# --------------------------------------------------------------------------- whose tools, and who may run them


class Shout:
    card = ToolCard("Shout", "Say it louder")

    def run(self, input: Any, config: Any, bench: Bench) -> str:
        if not isinstance(input, str):
            raise ToolFailed("only texts")
        return f"{input.upper()} {len(bench.brain.cards)}"


def test_ones_own_tools() -> None:
    lab = Lab(tools=Toolbox([Shout()]))
    assert output(lab, "Shout", "hello") == f"HELLO {len(lab.emulator.brain.cards)}"
    reply = run(lab, "Shout", {"a": 1})
    assert (reply.status, body_of(reply)["message"]) == (400, "Shout: only texts")
    assert run(lab, "Weather", {"location": "Rome"}).status == 404


def test_tools_can_be_off() -> None:
    lab = Lab(tools=False)
    reply = run(lab, "GoogleSearch", "IBM")
    assert reply.status == 403
    assert "off" in body_of(reply)["description"]
    assert lab.send("GET", BASE, host=PLATFORM).status == 403


def test_who_is_not_trusted_runs_nothing() -> None:
    emulator = Emulator(any_token=True)
    body = json.dumps({"tool_name": "PythonInterpreter", "input": "print(1)"}).encode()
    headers = {"authorization": "Bearer x", "content-type": "application/json"}
    request = Request("POST", f"{PLATFORM}{BASE}/run", headers, body, trusted=False)
    assert emulator.handle(request).status == 403
    assert emulator.handle(Request("POST", f"{PLATFORM}{BASE}/run", headers, body)).status == 200


@pytest.mark.parametrize(("tools", "status"), [(None, 200), (False, 403), (True, 200)])
def test_servers_on_loopback_serve_tools_unless_told_not_to(tools: bool | None, status: int) -> None:
    with LocalServer(Emulator(strict=False), tools=tools) as server:
        assert httpx.get(f"{server.url}{BASE}", trust_env=False).status_code == status


@pytest.mark.parametrize(("tools", "status"), [(None, 403), (False, 403), (True, 200)])
def test_servers_beyond_loopback_do_not_serve_tools_unless_told_to(tools: bool | None, status: int) -> None:
    with LocalServer(Emulator(strict=False), host="0.0.0.0", allow_remote=True, tools=tools) as server:
        assert httpx.get(f"http://127.0.0.1:{server.port}{BASE}", trust_env=False).status_code == status


def test_brains_are_what_tools_embed_with(lab: Lab) -> None:
    brain: Brain = lab.emulator.brain
    assert Bench(brain, lambda ending, data: ending).brain is brain


def test_scopes_of_ragquery_are_checked(lab: Lab) -> None:
    reply = run(lab, "RAGQuery", "What?", {"vectorIndexId": "x", "projectId": PROJECT})
    assert reply.status == 400
    assert "the emulator was given none" in body_of(reply)["message"]
    for config in (
        {"vectorIndexId": "x"},
        {"vectorIndexId": "x", "projectId": "p", "spaceId": "s"},
        {"projectId": "p"},
    ):
        assert run(lab, "RAGQuery", "What?", config).status == 400
