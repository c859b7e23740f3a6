"""Example 3, unittest: an app that streams, and what it does when the service is in trouble."""

# ruff: noqa: PT009, PT027  # unittest on purpose
from __future__ import annotations

import unittest
from collections.abc import Iterator

from wx_integrations import RateLimited, RetryPolicy, StreamBroken
from wx_integrations.emulator.faults import Cut
from wx_integrations.emulator.testing import WatsonxTestCase
from wx_integrations.langchain import ChatWatsonx

# --------------------------------------------------------------------------- the app


def report(topic: str) -> Iterator[str]:
    """Yield a report as it is written; says so when it breaks off."""
    chat = ChatWatsonx(model_id="ibm/granite-4-h-small", max_completion_tokens=500, retry=RetryPolicy(retry_total=2))
    try:
        for chunk in chat.stream(f"Write a report about {topic}."):
            yield str(chunk.text)
    except StreamBroken:
        yield " [interrupted]"


# --------------------------------------------------------------------------- its tests


class ReportTest(WatsonxTestCase):
    def test_it_is_streamed(self) -> None:
        self.watsonx.reply("Ferries ", "are ", "ships.")
        self.assertEqual("".join(report("ferries")), "Ferries are ships.")
        self.watsonx.expect_chat("about ferries", max_completion_tokens=500)

    def test_a_busy_service_is_asked_again(self) -> None:
        self.watsonx.fail(429, times=2).reply("Ferries are ships.")
        self.assertEqual("".join(report("ferries")), "Ferries are ships.")
        self.assertEqual([entry.status for entry in self.watsonx.requests], [429, 429, 200])

    def test_a_service_that_stays_busy(self) -> None:
        self.watsonx.fail(429, times=None)
        with self.assertRaises(RateLimited):
            list(report("ferries"))
        self.watsonx.expect("text/chat_stream", times=3)

    def test_a_stream_that_breaks_off(self) -> None:
        self.watsonx.reply("Ferries ", "are ", "ships.").fail(Cut(after=3))
        self.assertEqual("".join(report("ferries")), "Ferries are  [interrupted]")


class AsyncTest(WatsonxTestCase, unittest.IsolatedAsyncioTestCase):
    async def test_the_same_with_await(self) -> None:
        self.watsonx.reply("Yes.")
        answer = await ChatWatsonx(model_id="ibm/granite-4-h-small", max_completion_tokens=5).ainvoke("Really?")
        self.assertEqual(answer.text, "Yes.")
