"""Every httpx client of the process reaches the emulator, and nothing else is reached."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from tests.emulator.lab import IAM, ML, PLATFORM, SOFTWARE, Lab
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.interception import Interception, NetworkBlocked, intercepted
from wx_integrations.emulator.testing import emulated

BODY = Lab.chat_body()
CHAT = f"{ML}/ml/v1/text/chat?version=2024-03-14"
HEADERS = {"authorization": "Bearer x"}


def made() -> Emulator:
    return Emulator(any_token=True)


def post_async(url: str) -> httpx.Response:
    async def post() -> httpx.Response:
        async with httpx.AsyncClient(headers=HEADERS) as client:
            return await client.post(url, json=BODY)

    return asyncio.run(post())


def test_both_colours_and_clients_made_before() -> None:
    with httpx.Client(headers=HEADERS) as before, intercepted(Interception(made())):
        assert before.post(CHAT, json=BODY).json()["choices"][0]["message"]["content"] == "You said: Hello"
        assert httpx.post(CHAT, json=BODY, headers=HEADERS).status_code == 200
        assert post_async(CHAT).status_code == 200


def test_streams() -> None:
    with intercepted(Interception(made())), httpx.Client(headers=HEADERS) as client:
        with client.stream("POST", CHAT.replace("chat?", "chat_stream?"), json=BODY) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.read().count(b"data: ") > 2
        with client.stream("POST", CHAT.replace("chat?", "chat_stream?"), json=BODY) as answer:
            next(answer.iter_bytes())


def test_all_of_ibms_hosts_are_emulated() -> None:
    emulator = made()
    with intercepted(Interception(emulator)):
        form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "k"}
        assert httpx.post(f"{IAM}/identity/token", data=form).status_code == 200
        assert httpx.get(f"{PLATFORM}/v2/projects/p", headers=HEADERS).status_code == 200
        assert httpx.get("https://eu-de.ml.cloud.ibm.com/ml/v1/foundation_model_specs?version=2024-03-14").is_success
    assert [entry.host for entry in emulator.journal] == [
        "iam.cloud.ibm.com",
        "api.dataplatform.cloud.ibm.com",
        "eu-de.ml.cloud.ibm.com",
    ]


def test_other_hosts_are_refused_and_told_how_to_go_on() -> None:
    emulator = made()
    with intercepted(Interception(emulator)):
        with pytest.raises(NetworkBlocked) as caught:
            httpx.get("https://user:secret@example.com:8443/path?key=secret")
        with pytest.raises(NetworkBlocked):
            post_async(f"{SOFTWARE}/ml/v1/text/chat")
    assert str(caught.value) == (
        "GET https://example.com:8443/path: the network is blocked in this test, only the emulator answers. "
        "Point the client to WATSONX_URL, or allow the host: allow_hosts=['example.com']"
    )
    assert len(emulator.journal) == 0


def test_a_host_of_ones_own() -> None:
    with intercepted(Interception(made(), hosts=["CPD.example.com"])):
        assert httpx.get(f"{SOFTWARE}/ml/wml_services/v2/version").status_code == 200


def test_allowed_hosts_are_reached_for_real() -> None:
    emulator = made()
    refused = "http://127.0.0.1:9/"
    with intercepted(Interception(emulator, allow=["127.0.0.1"])):
        with pytest.raises(httpx.ConnectError):
            httpx.get(refused)
        with pytest.raises(httpx.ConnectError):
            post_async(refused)
        with pytest.raises(NetworkBlocked):
            httpx.get("http://localhost:9/")
    with intercepted(Interception(emulator, allow=["*"])), pytest.raises(httpx.ConnectError):
        httpx.get(refused)
    assert len(emulator.journal) == 0


def test_transports_of_ones_own_are_left_alone() -> None:
    own = httpx.MockTransport(lambda request: httpx.Response(204))
    with intercepted(Interception(made())), httpx.Client(transport=own) as client:
        assert client.get("https://example.com").status_code == 204


def fail_within(emulator: Emulator) -> None:
    with intercepted(Interception(emulator)):
        httpx.post(CHAT, json=BODY, headers=HEADERS)
        raise RuntimeError


def test_the_last_one_begun_answers_and_everything_is_put_back() -> None:
    before = (httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request)
    outer, inner = made(), made()
    with intercepted(Interception(outer)):
        with pytest.raises(RuntimeError):
            fail_within(inner)
        httpx.post(CHAT, json=BODY, headers=HEADERS)
        httpx.post(CHAT, json=BODY, headers=HEADERS)
    assert (len(outer.journal), len(inner.journal)) == (2, 1)
    assert (httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request) == before


def test_the_end_of_one_does_not_end_another() -> None:
    first, second = made(), made()
    one, two = intercepted(Interception(first)), intercepted(Interception(second))
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    httpx.post(CHAT, json=BODY, headers=HEADERS)
    two.__exit__(None, None, None)
    assert (len(first.journal), len(second.journal)) == (0, 1)


def test_a_subclass_that_calls_its_parent() -> None:
    class Counting(httpx.HTTPTransport):
        count = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.count += 1
            return super().handle_request(request)

    counting = Counting()
    with intercepted(Interception(made())), httpx.Client(transport=counting, headers=HEADERS) as client:
        assert client.post(CHAT, json=BODY).status_code == 200
    assert counting.count == 1


def test_many_threads() -> None:
    with emulated() as watsonx:
        threads = [
            threading.Thread(target=lambda: httpx.post(CHAT, json=BODY, headers=HEADERS).raise_for_status())
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(watsonx.chats) == 16
