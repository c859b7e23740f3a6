"""The service of the environment, or one on this machine when there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from wx_integrations.emulator import local_service
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.local_service import Downloads, ensure_service
from wx_integrations.emulator.server import LocalServer
from wx_integrations.langchain import ChatWatsonx


@pytest.fixture(autouse=True)
def no_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end without WATSONX_* variables and without a service."""
    for name in [name for name in os.environ if name.startswith("WATSONX_")]:
        monkeypatch.delenv(name)
    yield
    local_service.stop()
    assert not [name for name in os.environ if name.startswith("WATSONX_")]


def said() -> str:
    return str(ChatWatsonx(model_id="ibm/granite-4-h-small", max_completion_tokens=20).invoke("Hello").text)


def test_without_variables_a_service_is_started_and_the_variables_lead_to_it() -> None:
    service = ensure_service(brain=DeterministicBrain())
    assert said() == "You said: Hello"
    assert service.is_local
    assert service.url == os.environ["WATSONX_URL"]
    assert service.url.startswith("http://127.0.0.1:")
    assert {name for name in os.environ if name.startswith("WATSONX_")} == {
        "WATSONX_URL",
        "WATSONX_API_KEY",
        "WATSONX_PROJECT_ID",
    }


def test_it_says_what_answers_and_not_where() -> None:
    service = ensure_service(brain=DeterministicBrain())
    text = str(service)
    assert text.startswith("No WATSONX_* variables are set: a local service answers, with these models.")
    assert "cross-encoder/ms-marco-minilm-l-12-v2: rerank" in text.splitlines()
    assert "127.0.0.1" not in text


def test_a_second_call_finds_the_same_service() -> None:
    first = ensure_service(brain=DeterministicBrain())
    assert ensure_service() is first
    local_service.stop()
    second = ensure_service(brain=DeterministicBrain())
    assert second is not first
    assert said() == "You said: Hello"


@pytest.mark.parametrize("variable", ["WATSONX_URL", "WATSONX_API_KEY", "WATSONX_TOKEN", "WATSONX_PROJECT_ID"])
def test_the_users_variables_are_left_alone(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as inside:
        inside.setenv(variable, "https://eu-de.ml.cloud.ibm.com")
        service = ensure_service()
        assert not service.is_local
        assert {name for name in os.environ if name.startswith("WATSONX_")} == {variable}
        assert str(service) == f"The service of your own settings answers: {variable}."
        local_service.stop()
        assert variable in os.environ


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as inside:
        inside.setenv("WATSONX_URL", "")
        assert ensure_service(brain=DeterministicBrain()).is_local
        assert said() == "You said: Hello"
        local_service.stop()


def test_variables_set_later_by_the_user_win_and_are_not_mixed() -> None:
    ensure_service(brain=DeterministicBrain())
    with LocalServer(Emulator()) as other:
        os.environ |= {"WATSONX_URL": other.url, "WATSONX_API_KEY": "theirs"}
        try:
            assert ensure_service().variables == ("WATSONX_API_KEY", "WATSONX_URL")
            assert "WATSONX_PROJECT_ID" not in os.environ
        finally:
            del os.environ["WATSONX_URL"], os.environ["WATSONX_API_KEY"]


def test_downloads_are_told_at_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    downloads = Downloads()
    for done in range(0, 201, 5):
        downloads("all-minilm", done * 1_000_000, 200_000_000)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Fetching all-minilm: 0 of 200 MB"
    assert lines[-1] == "Fetching all-minilm: 200 of 200 MB"
    assert len(lines) == 11
