"""LangChain's standard chat suites on the in-process emulator.

Every toggle is on that the wire can carry. Off, with the reason:

- PDF inputs, PDF and image tool messages: the chat API takes no files, and tool messages are text
  (API reference, "Text chat");
- audio output and cache creation counts: the API answers in text and reports no such count.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from tests.langchain.chatting import MODEL, PROJECT, URL, Stage, frames, whole
from wx_integrations.emulator.scripted import ScriptedBrain
from wx_integrations.langchain import ChatWatsonx

SENSES = "emulator/all-senses"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

# the suite calls model.dict(), which langchain-core itself deprecates, and asks for a benchmark that it does not use
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*`BaseChatModel.dict` was deprecated"),
    pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all in this test"),
]


@pytest.fixture(autouse=True)
def media_from_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite downloads an image and a sound; here they come from memory."""

    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=PNG, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "wx-integrations tests")


@pytest.fixture(autouse=True)
def known_to_langchain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The suite loads with `allowed_objects="all"`, a closed list of LangChain's own partners; put us on it.

    Users load with `allowed_objects=[ChatWatsonx]`, which needs no list (see test_citizenship).
    """
    load = sys.modules["langchain_core.load.load"]
    path = tuple(ChatWatsonx.lc_id())
    monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, path, path)
    load._default_class_paths_cache.clear()
    yield
    load._default_class_paths_cache.clear()


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[ChatWatsonx]:
        return ChatWatsonx

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model_id": MODEL, "url": URL, "project_id": PROJECT, "api_key": "key"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"WATSONX_API_KEY": "env-key", "WATSONX_URL": URL, "WATSONX_PROJECT_ID": PROJECT}
        expected = {"api_key": "env-key", "url": URL, "project_id": PROJECT}
        return environment, {"model_id": MODEL}, expected


class TestIntegration(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[ChatWatsonx]:
        return ChatWatsonx

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return Stage().settings(model_id=SENSES, media_urls="forward")

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_video_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "meta-llama/llama-3-3-70b-instruct"

    @property
    def enable_vcr_tests(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[Literal["invoke", "stream"], list[Any]]:
        counted = ["audio_input", "reasoning_output", "cache_read_input"]
        return {"invoke": list(counted), "stream": list(counted)}

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        return counted({"prompt_tokens_details": {"audio_tokens": 3}}, stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return counted({"completion_tokens_details": {"reasoning_tokens": 2}}, stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return counted({"prompt_tokens_details": {"cached_tokens": 4}}, stream=stream)


def counted(details: dict[str, Any], *, stream: bool) -> AIMessage:
    """Return an answer whose usage has details, as newer answers of the service have."""
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, **details}
    head = {"id": "chatcmpl-1", "model_id": MODEL, "created": 1764688210}
    brain = ScriptedBrain()
    model = Stage(brain).model()
    if not stream:
        said = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        brain.replay({**head, "choices": [said], "usage": usage})
        return model.invoke([HumanMessage("Hello")])
    said = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    brain.replay(frames(json.dumps({**head, "choices": [said]}), json.dumps({**head, "choices": [], "usage": usage})))
    return whole(list(model.stream([HumanMessage("Hello")])))
