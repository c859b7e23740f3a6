"""The service of one test: settings, script, trouble, expectations; outside pytest's fixtures."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import unittest
from typing import Any

import pytest

from wx_integrations import Client, ConnectionFailed, NotFound, Unauthorized, Unavailable
from wx_integrations.core import calls
from wx_integrations.core.wire.chat import ChatRequest, SystemMessage, UserMessage
from wx_integrations.emulator.brain import ModelCard
from wx_integrations.emulator.faults import Page
from wx_integrations.emulator.scripted import ScriptExhausted
from wx_integrations.emulator.testing import NetworkBlocked, Watsonx, WatsonxTestCase, emulated, served

CHAT_MODEL = "ibm/granite-4-h-small"
EMBEDDING_MODEL = "ibm/slate-125m-english-rtrvr"


def ask(text: str = "Hello", *, client: Client | None = None, model: str = CHAT_MODEL, **fields: Any) -> Any:
    """Chat with the service of the environment and return what it says."""
    client = client or Client()
    request = ChatRequest(messages=[SystemMessage(content="Be kind."), UserMessage(content=text)], **fields)
    target = calls.Model(model, client.connection.project_id)
    return client.run(calls.chat(target, request)).choices[0].message


def said(text: str = "Hello", **options: Any) -> str | None:
    message = ask(text, **options)
    return str(message.content)


# --------------------------------------------------------------------------- settings


def test_the_environment_leads_here_and_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_SPACE_ID", "a-space")
    monkeypatch.setenv("WATSONX_API_KEY", "a-real-key")
    monkeypatch.delenv("WATSONX_URL", raising=False)
    with emulated() as watsonx:
        found = {name: value for name, value in os.environ.items() if name.startswith("WATSONX_")}
        assert found == watsonx.environment
        assert set(found) == {"WATSONX_URL", "WATSONX_API_KEY", "WATSONX_PROJECT_ID"}
        assert said() == "You said: Hello"
    assert os.environ["WATSONX_SPACE_ID"] == "a-space"
    assert os.environ["WATSONX_API_KEY"] == "a-real-key"
    assert "WATSONX_URL" not in os.environ


def test_settings_work_without_the_environment() -> None:
    # The change ends before `emulated` does, or the emulator's variables would come back after it.
    with emulated(project_id="a-project") as watsonx, pytest.MonkeyPatch.context() as inside:
        settings = watsonx.settings
        for name in watsonx.environment:
            inside.delenv(name)
        assert said(client=Client(**settings)) == "You said: Hello"
        watsonx.expect_chat(project_id="a-project")
        watsonx.expect("identity/token", grant_type=re.compile("apikey"))


def test_no_two_tests_share_a_session() -> None:
    with emulated() as first:
        said()
        said()
    with emulated() as second:
        said()
    assert first.api_key != second.api_key
    assert [len(each.journal.find("identity/token")) for each in (first, second)] == [2, 1]


def test_an_installation_of_ones_own() -> None:
    with emulated(url="https://cpd.example.com") as watsonx:
        assert watsonx.environment["WATSONX_USERNAME"] == "emulated"
        assert said() == "You said: Hello"
        assert [entry.path for entry in watsonx.journal] == ["/icp4d-api/v1/authorize", "/ml/v1/text/chat"]
    with emulated(), pytest.raises(NetworkBlocked):
        said(client=Client(url="https://cpd.example.com", token="t", project_id="p"))


def test_strict_by_default() -> None:
    path, body = "/ml/v1/text/chat", {"model_id": CHAT_MODEL, "project_id": "p", "messages": [], "odd": 1}
    with emulated(), Client() as client:
        assert client.request_raw("POST", path, json=body).status_code == 400
    body["messages"] = [{"role": "user", "content": "Hello"}]
    with emulated(strict=False), Client() as client:
        assert client.request_raw("POST", path, json=body).status_code == 200


def test_further_models() -> None:
    card = ModelCard("own/cards", "cards", "own", "", ("text_chat",), 100, 100)
    with emulated(models=["own/model", card]):
        assert said(model="own/model") == said(model="own/cards") == said(model=CHAT_MODEL)
        with pytest.raises(NotFound, match="own/unknown"):
            said(model="own/unknown")
    with pytest.raises(TypeError), emulated(models=["own/model"], brain=emulated_brain()):
        pass


def emulated_brain() -> Any:
    with emulated() as watsonx:
        return watsonx.script


def test_a_brain_of_ones_own() -> None:
    brain = emulated_brain()
    brain.reply("from the brain")
    with emulated(brain=brain) as watsonx:
        watsonx.reply("from the script")
        assert [said(), said()] == ["from the script", "from the brain"]
    with emulated(brain=brain, script_only=True), pytest.raises(ScriptExhausted):
        said()


def test_keys_that_are_not_accepted() -> None:
    with emulated(api_keys={"another"}), pytest.raises(Unauthorized):
        said()


# --------------------------------------------------------------------------- script and trouble


def test_answers_come_in_order() -> None:
    with emulated() as watsonx:
        watsonx.reply("one", " two").call("f", a=1).replay({"choices": []}).reply("three", model="own/model")
        assert said() == "one two"
        call = ask(tools=[tool("f")]).tool_calls[0]["function"]
        assert call == {"name": "f", "arguments": '{"a": 1}'}
        with pytest.raises(IndexError):
            said()
        assert said() == "You said: Hello"
        with pytest.raises(AssertionError, match=r"1 scripted answer was never asked for.*three"):
            watsonx.verify()
        assert repr(watsonx).startswith("Watsonx(https://us-south.ml.cloud.ibm.com, ")
        assert repr(watsonx).endswith(" requests, 1 answers left)")


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


def test_refusals() -> None:
    with emulated() as watsonx:
        watsonx.refuse(404, "model_not_supported", "no such model")
        with pytest.raises(NotFound, match="no such model"):
            said()


def test_script_only() -> None:
    with emulated(script_only=True) as watsonx:
        watsonx.reply("one")
        assert said() == "one"
        with pytest.raises(ScriptExhausted, match="Hello"):
            said()


def test_failures_spare_the_token_exchange_and_do_not_make_the_client_wait() -> None:
    with emulated() as watsonx:
        watsonx.fail(503, times=2).fail(429).fail("reset", path="text/chat")
        client = Client(retry_backoff_factor=0)
        assert said(client=client) == "You said: Hello"
        seen = [(entry.path.rpartition("/")[2], entry.status, entry.fault) for entry in watsonx.journal]
        assert seen == [
            ("token", 200, None),
            ("chat", 503, "Status"),
            ("chat", 503, "Status"),
            ("chat", 429, "RateLimited"),
            ("chat", 0, "Broken"),
            ("chat", 200, None),
        ]


def test_failures_for_ever_and_other_faults() -> None:
    with emulated() as watsonx:
        watsonx.fail(500, times=None)
        with pytest.raises(Unavailable):
            said(client=Client(retry_total=1))
        watsonx.faults.clear()
        watsonx.fail(Page(502))
        with pytest.raises(Unavailable):
            said(client=Client(retry_total=0))
        watsonx.fail("refuse")
        with pytest.raises(ConnectionFailed):
            said(client=Client(retry_total=0))
        with pytest.raises(ValueError, match="'explode' is not one of refuse, reset, close, timeout, garbage"):
            watsonx.fail("explode")  # type: ignore[arg-type]


def test_expired_tokens_are_renewed() -> None:
    with emulated() as watsonx, Client() as client:
        said(client=client)
        watsonx.expire_tokens()
        assert said(client=client) == "You said: Hello"
        watsonx.expect("identity/token", times=2)
        assert [entry.status for entry in watsonx.requests] == [200, 401, 200]


# --------------------------------------------------------------------------- expectations


def test_expectations_return_the_request() -> None:
    with emulated() as watsonx:
        watsonx.expect_nothing()
        client = Client()
        said("one", client=client, max_tokens=7)
        said("two", client=client, max_tokens=7, tools=[tool("a"), tool("b")])
        entry = watsonx.expect("text/chat", max_tokens=7, times=2)
        assert entry is watsonx.expect_chat("two", system="Be", tools=["b", "a"])
        assert watsonx.expect_chat(re.compile("^one$"), tools=[]).index == 1
        assert [body["messages"][1]["content"] for body in watsonx.chats] == ["one", "two"]
        assert watsonx.requests == watsonx.journal.find("text/chat")
        watsonx.expect_nothing("text/embeddings")
        with pytest.raises(AssertionError, match=r"expected no request:\n#1 POST"):
            watsonx.expect_nothing()
        with pytest.raises(ValueError, match="expect_nothing"):
            watsonx.expect_chat(times=0)


def failure(expectation: Any) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        expectation()
    return str(caught.value).splitlines()


def test_a_failed_expectation_shows_the_nearest_request() -> None:
    with emulated() as watsonx:
        client = Client()
        said("far", client=client, max_tokens=1, temperature=1)
        said("near", client=client, max_tokens=7, temperature=1)
        lines = failure(lambda: watsonx.expect("text/chat", max_tokens=7, temperature=0))
        assert lines[0] == "expected a request to text/chat, none fits; the nearest is #2 POST /ml/v1/text/chat -> 200"
        assert lines[4:] == [" {", '   "max_tokens": 7,', '-  "temperature": 0', '+  "temperature": 1.0', " }"]
        assert failure(lambda: watsonx.expect_chat("nowhere", tools=["t"]))[1:] == [
            "no user message holds 'nowhere'; user messages: ['far']",
            "tools offered: none, expected: ['t']",
        ]
        assert failure(lambda: watsonx.expect_chat(times=3)) == [
            "expected 3 requests to text/chat or text/chat_stream or chat/completions, found 2:",
            "#1 POST /ml/v1/text/chat -> 200",
            "#2 POST /ml/v1/text/chat -> 200",
        ]
        assert failure(lambda: watsonx.expect("text/rerank")) == [
            "expected a request to text/rerank, found none; requests:",
            "#1 POST /ml/v1/text/chat -> 200",
            "#2 POST /ml/v1/text/chat -> 200",
        ]


def test_what_was_embedded() -> None:
    with emulated() as watsonx, Client() as client:
        with pytest.raises(AssertionError, match="never embedded: anything\nembedded: nothing"):
            watsonx.expect_embedded()
        target = calls.Model(EMBEDDING_MODEL, client.connection.project_id)
        client.run(calls.embed(target, ["a", "b"]))
        client.run(calls.embed(target, ["c"]))
        assert watsonx.expect_embedded("c", "a") == ["a", "b", "c"]
        with pytest.raises(AssertionError, match=r"never embedded: \['d'\]"):
            watsonx.expect_embedded("a", "d")


def test_nothing_secret_is_recorded() -> None:
    with emulated() as watsonx:
        said()
        assert watsonx.api_key not in repr([vars(entry) for entry in watsonx.journal])


# --------------------------------------------------------------------------- on a port


@pytest.mark.parametrize("tls", [False, True])
def test_served_on_a_port(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with served(tls=tls, projects={"p"}, project_id="p") as watsonx:
        assert watsonx.url.startswith("https://127.0.0.1:" if tls else "http://127.0.0.1:")
        if tls:
            assert ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]).cert_store_stats()["x509_ca"]
        else:
            monkeypatch.delenv("SSL_CERT_FILE")
        watsonx.reply("over a socket")
        assert said() == "over a socket"
        assert said(client=Client(**watsonx.settings)) == "You said: Hello"
        watsonx.expect_chat("Hello", times=2)
    assert "WATSONX_URL" not in os.environ or os.environ["WATSONX_URL"] != watsonx.url


# --------------------------------------------------------------------------- unittest


def outcome(case: type[WatsonxTestCase]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


def test_a_test_case() -> None:
    class Case(WatsonxTestCase):
        watsonx_options = {"project_id": "of-the-case"}

        def setUp(self) -> None:
            self.watsonx.reply("from setUp")

        def test_a(self) -> None:
            assert said() == "from setUp"
            self.watsonx.expect_chat(project_id="of-the-case", times=1)

        def test_b(self) -> None:
            self.watsonx.expect_nothing()
            self.fail("on purpose")

        def test_c(self) -> None:
            assert isinstance(self.watsonx, Watsonx)

        @unittest.skip("on purpose")
        def test_d(self) -> None: ...

        @unittest.expectedFailure
        def test_e(self) -> None:
            self.fail("on purpose")

    result = outcome(Case)
    assert result.testsRun == 5
    assert result.errors == []
    (b, why_b), (c, why_c) = result.failures
    assert (str(b).split()[0], why_b.splitlines()[-1]) == ("test_b", "AssertionError: on purpose")
    assert (str(c).split()[0], "never asked for" in why_c) == ("test_c", True)
    assert len(result.skipped) == len(result.expectedFailures) == 1


def test_an_asynchronous_test_case() -> None:
    class Case(WatsonxTestCase, unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self) -> None:
            self.watsonx.reply("from setUp")

        async def test_a(self) -> None:
            assert said() == "from setUp"

        async def test_b(self) -> None:
            await asyncio.sleep(0)

    result = outcome(Case)
    assert (result.testsRun, result.errors) == (2, [])
    assert [(str(test).split()[0], "never asked for" in why) for test, why in result.failures] == [("test_b", True)]


async def test_it_does_not_disturb_a_running_loop() -> None:
    with emulated() as watsonx:
        watsonx.reply("hi")
        assert said() == "hi"
