"""The examples in the docstrings of the fixtures work, with an app such as they presume."""

from __future__ import annotations

import os
import re
import subprocess
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent

from wx_integrations.emulator import pytest_plugin, testing
from wx_integrations.emulator.testing import Watsonx
from wx_integrations.langchain import ChatWatsonx


def examples(module: Any) -> list[str]:
    return re.findall(r"```python\n(.*?)```", module.__doc__ or "", re.DOTALL)


def weather_report(place: str, model: str = "ibm/granite-4-h-small") -> str:
    chat = ChatWatsonx(model_id=model, temperature=0, max_completion_tokens=50)
    return str(chat.invoke([("system", "You are a weather expert."), ("user", place)]).text)


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


def advice(question: str) -> str:
    agent = create_agent(ChatWatsonx(model_id="ibm/granite-4-h-small", max_completion_tokens=50), [weather])
    return str(agent.invoke({"messages": [("user", question)]})["messages"][-1].text)  # type: ignore[call-overload]


def app() -> dict[str, Any]:
    names = {"weather_report": weather_report, "weather": weather, "advice": advice}
    public = {name: getattr(testing, name) for name in testing.__all__}
    return {**names, **public, "pytest": pytest, "os": os, "subprocess": subprocess, "__name__": "example"}


def of_plugin(name: str) -> Callable[[Watsonx], None]:
    namespace = app()
    [source] = [source for source in examples(pytest_plugin) if f"def {name}(" in source]
    exec(source, namespace)
    made: Callable[[Watsonx], None] = namespace[name]
    return made


def test_there_are_three_for_pytest() -> None:
    names = re.findall(r"def (\w+)", "".join(examples(pytest_plugin)))
    assert names == ["test_report", "test_agent", "test_trouble"]


@pytest.mark.parametrize("name", ["test_report", "test_agent"])
def test_examples_for_pytest(name: str, watsonx: Watsonx) -> None:
    of_plugin(name)(watsonx)


def test_the_example_with_a_marker(request: pytest.FixtureRequest) -> None:
    example = of_plugin("test_trouble")
    [mark] = [mark for mark in example.pytestmark if mark.name == "watsonx"]  # type: ignore[attr-defined]
    request.node.add_marker(pytest.mark.watsonx(**mark.kwargs))
    example(request.getfixturevalue("watsonx"))


def test_examples_outside_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, case, other = examples(testing)
    exec(plain, app())

    namespace = app()
    exec(case, namespace)
    result = unittest.defaultTestLoader.loadTestsFromTestCase(namespace["TestReport"]).run(unittest.TestResult())
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])

    seen: list[dict[str, str]] = []

    def run(command: list[str], *, env: dict[str, str], check: bool) -> None:
        seen.append(env)
        weather_report("Rome")

    monkeypatch.setattr(subprocess, "run", run)
    exec(other, app())
    assert {"WATSONX_URL", "WATSONX_API_KEY", "WATSONX_PROJECT_ID", "SSL_CERT_FILE"} <= set(seen[0])


def test_pytest_shows_what_the_fixtures_offer() -> None:
    for name in re.findall(r"`(\w+)`", pytest_plugin.watsonx.__doc__ or ""):
        assert hasattr(Watsonx, name) or name == "Watsonx", name
