"""A scripted service of utility agent tools, with the API reference's own samples."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

GOLDEN = Path(__file__).parent.parent / "golden" / "utility_tools"
URL = "https://us-south.ml.cloud.ibm.com"
PLATFORM = "api.dataplatform.cloud.ibm.com"
PROJECT = "63dc4cf1-252f-424b-b52d-5cdd9814987f"
BASE = "/wx/v1-beta/utility_agent_tools"

WEATHER: dict[str, Any] = {
    "name": "Weather",
    "description": "Find the weather for a city.",
    "agent_description": "Find the weather for a city.",
    "input_schema": {
        "type": "object",
        "properties": {
            "location": {"title": "location", "description": "Name of the location", "type": "string"},
            "country": {"title": "country", "description": "Name of the state or country", "type": "string"},
        },
        "required": ["location"],
    },
}
"""As langchain-ibm's documentation shows it."""

TAVILY: dict[str, Any] = {
    "name": "TavilySearch",
    "description": "Search the web.",
    "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    "config_schema": {
        "type": "object",
        "properties": {"apiKey": {"type": "string"}, "maxResults": {"type": "integer", "minimum": 1, "maximum": 20}},
        "required": ["apiKey"],
    },
}
"""A tool whose settings hold a secret; names as in the official Java SDK's tests."""


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


class ToolService:
    """Keeps what it was asked and answers what it is told.

    Attributes:
        outputs: the output of each tool; a callable gets the input.
        refusals: answers to give first, one after the other.
    """

    def __init__(self, listed: list[dict[str, Any]] | None = None) -> None:
        self.listed = (
            listed if listed is not None else [*golden("list")["resources"], golden("tool_ragquery"), WEATHER, TAVILY]
        )
        self.requests: list[httpx.Request] = []
        self.outputs: dict[str, str | Callable[[Any], str]] = {
            "GoogleSearch": golden("run_answer_googlesearch")["output"],
            "WebCrawler": golden("run_answer_webcrawler")["output"],
            "PythonInterpreter": golden("run_answer_pythoninterpreter")["output"],
            "RAGQuery": golden("run_ragquery_answer")["output"],
            "Weather": "Current weather in naples, italy:\nTemperature: 26.9°C\n",
            "TavilySearch": "[]",
        }
        self.refusals: list[httpx.Response] = []
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.requests.append(request)
            if self.refusals:
                return self.refusals.pop(0)
        path = request.url.path.removeprefix(BASE)
        if request.method == "GET":
            named = [tool for tool in self.listed if f"/{tool['name']}" == path]
            return httpx.Response(200, json=named[0] if named else {"resources": self.listed})
        body = json.loads(request.content)
        name = body.get("tool_name") or path.rpartition("/")[2]
        output = self.outputs[name]
        return httpx.Response(200, json={"output": output if isinstance(output, str) else output(body["input"])})

    def refuse(self, status: int, body: Any = None) -> None:
        self.refusals.append(httpx.Response(status, json=body if body is not None else golden("refusal")))

    @property
    def runs(self) -> list[Any]:
        """The bodies of the runs, in order."""
        return [json.loads(request.content) for request in self.requests if request.method == "POST"]

    @property
    def listings(self) -> int:
        return sum(request.method == "GET" for request in self.requests)

    def settings(self, **settings: Any) -> dict[str, Any]:
        """Return a connection's settings for this service."""
        transport = httpx.MockTransport(self)
        return {
            "url": URL,
            "token": "t",
            "project_id": PROJECT,
            "max_retries": 0,
            "httpx_client": httpx.Client(transport=transport),
            "async_httpx_client": httpx.AsyncClient(transport=transport),
            **settings,
        }
