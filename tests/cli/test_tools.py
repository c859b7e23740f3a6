"""The tools of `wx chat --tools`."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.cli.tools import LOCAL, calculate, current_time, of_service
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import Unauthorized
from wx_integrations.core.session import Session
from wx_integrations.emulator.testing import emulated


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("-7 // 2", "-4"),
        ("7 % 4", "3"),
        ("1 / 3", "0.333333333333"),
        ("2 ** 10", "1024"),
        ("2 ** -1", "0.5"),
        (" +1.50 ", "1.5"),
        ("0.1 + 0.2", "0.3"),
        ("123456789 * 987654321", "121932631112635269"),
    ],
)
def test_arithmetic(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "1 +",
        "1 / 0",
        "__import__('os').system('true')",
        "open('/etc/passwd').read()",
        "(lambda: 1)()",
        "[1][0]",
        "'a' * 10",
        "True + 1",
        "1j",
        "1 if 1 else 2",
        "9 ** 9 ** 9 ** 9",
        "10 ** 5000",
        "(-8) ** 0.5",
        "2.0 ** 999 * 2.0 ** 999 ** 1.1",
        "1 << 100",
        "x",
        "\x00",
        "(" * 200 + ")" * 200,
        "1+" * 400 + "1",
    ],
)
def test_what_is_not_arithmetic(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        calculate(expression)


@given(st.text(alphabet="0123456789.+-*/%() eE_,x", max_size=40))
def test_any_text_gives_a_result_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert calculate(text)


def test_the_time() -> None:
    assert re.fullmatch(r"[A-Z][a-z]+day, \d{4}-\d\d-\d\d \d\d:\d\d [+-]\d{4}", current_time())


def test_both_as_the_model_sees_them() -> None:
    assert [tool.as_tool().function.name for tool in LOCAL] == ["calculate", "current_time"]
    tools = {tool.name: tool for tool in LOCAL}
    assert tools["calculate"].run({"expression": "6*7"}) == "42"
    assert tools["current_time"].run({})
    for wrong in ({}, {"expression": None}, {"expression": [1]}):
        with pytest.raises(ValueError, match="compute"):
            tools["calculate"].run(wrong)


def test_the_services_tools_that_need_no_settings() -> None:
    with emulated(tools=True) as watsonx:
        connection = Connection.from_env()
        found = {tool.name: tool for tool in of_service(Session.of(connection))}
        assert "Weather" in found
        assert json.dumps(found["Weather"].as_tool().to_wire())
        assert "rome, italy" in found["Weather"].run({"location": "Rome"})
        assert watsonx.journal.find("utility_agent_tools/run", method="POST")


def test_a_service_without_tools() -> None:
    with emulated(), pytest.raises(Unauthorized):
        of_service(Session.of(Connection.from_env()))
