"""Example 2, LangGraph and pytest: an agent with a tool, sync and async, with a scripted tool call."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool

from wx_integrations.emulator.testing import Watsonx, calling
from wx_integrations.langchain import ChatWatsonx

# --------------------------------------------------------------------------- the app

FARES = {"Skarholm": 24.0, "Gull Rocks": 18.0}


@tool
def fare(destination: str) -> str:
    """Look up the price of a crossing, in euros."""
    price = FARES.get(destination)
    return f"{price:.2f} euros" if price else f"No ferry goes to {destination}."


def agent() -> Any:
    """Return an agent that knows the fares."""
    chat = ChatWatsonx(model_id="ibm/granite-4-h-small", temperature=0, max_completion_tokens=200)
    return create_agent(chat, [fare])


# --------------------------------------------------------------------------- its tests


def test_the_tools_result_goes_back_to_the_model(watsonx: Watsonx) -> None:
    watsonx.call("fare", destination="Skarholm").reply("It costs 24 euros.")

    state = agent().invoke({"messages": [("user", "What does the crossing to Skarholm cost?")]})

    assert state["messages"][-1].text == "It costs 24 euros."
    watsonx.expect_chat("Skarholm", tools=["fare"], times=2)
    watsonx.expect_chat(tool_result="24.00 euros", times=1)


async def test_two_calls_at_once(watsonx: Watsonx) -> None:
    watsonx.reply(calling("fare", destination="Skarholm"), calling("fare", destination="Atlantis"))
    watsonx.reply("24 euros; there is no ferry to Atlantis.")

    state = await agent().ainvoke({"messages": [("user", "Skarholm or Atlantis?")]})

    assert len(state["messages"]) == 5
    last = watsonx.expect_chat(tool_result="No ferry goes to Atlantis")
    results = [message["content"] for message in last.body["messages"] if message["role"] == "tool"]
    assert results == ["24.00 euros", "No ferry goes to Atlantis."]


def test_without_a_script_the_offered_tool_is_called_by_rule(watsonx: Watsonx) -> None:
    agent().invoke({"messages": [("user", "What is the fare for destination Skarholm?")]})

    watsonx.expect_chat(tool_result="24.00 euros")


def test_arguments_of_a_wrong_kind_are_reported_to_the_model(watsonx: Watsonx) -> None:
    watsonx.call("fare", place="Skarholm").reply("I cannot find that.")

    agent().invoke({"messages": [("user", "Skarholm?")]})

    watsonx.expect_chat(tool_result="destination")


@pytest.mark.watsonx(api_keys={"another-key"})
def test_a_refused_key_is_told_apart(watsonx: Watsonx) -> None:
    from wx_integrations import Unauthorized

    with pytest.raises(Unauthorized, match="BXNIM0415E"):
        agent().invoke({"messages": [("user", "Skarholm?")]})
    watsonx.expect_nothing()
