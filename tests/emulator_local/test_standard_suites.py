"""LangChain's standard suites with the real default models behind the in-process emulator.

They run for minutes, so they are asked for: `WX_SLOW=1 pytest tests/emulator_local/test_standard_suites.py`.
The wire of the local models carries text only; what the suite wants of images, sounds and files is off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

from tests.langchain.chatting import PROJECT, URL, Stage
from wx_integrations.emulator.local_models import LocalBrain
from wx_integrations.langchain import ChatWatsonx, WatsonxEmbeddings

pytestmark = [
    pytest.mark.weights("default"),
    pytest.mark.skipif(not os.environ.get("WX_SLOW"), reason="takes minutes; set WX_SLOW=1"),
    pytest.mark.filterwarnings("ignore:.*`BaseChatModel.dict` was deprecated"),
    pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all in this test"),
]


@pytest.fixture(autouse=True)
def known_to_langchain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The suite loads with `allowed_objects="all"`, a closed list of LangChain's own partners; put us on it."""
    load = sys.modules["langchain_core.load.load"]
    path = tuple(ChatWatsonx.lc_id())
    monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, path, path)
    load._default_class_paths_cache.clear()
    yield
    load._default_class_paths_cache.clear()


@pytest.fixture(autouse=True)
def on_the_brain(request: pytest.FixtureRequest, default_brain: LocalBrain) -> None:
    """Give the suite's instance the real models."""
    request.instance.stage = Stage(default_brain)


class TestChat(ChatModelIntegrationTests):
    stage: Stage

    @property
    def chat_model_class(self) -> type[ChatWatsonx]:
        return ChatWatsonx

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self.stage.settings(model_id="ibm/granite-4-h-small", max_completion_tokens=256)

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "qwen/qwen2.5-coder-1.5b-instruct"  # the answer names what really ran, not the alias

    @property
    def enable_vcr_tests(self) -> bool:
        return False


class TestEmbeddings(EmbeddingsIntegrationTests):
    stage: Stage

    @property
    def embeddings_class(self) -> type[WatsonxEmbeddings]:
        return WatsonxEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        settings = self.stage.settings(model_id="ibm/slate-125m-english-rtrvr", url=URL, project_id=PROJECT)
        del settings["max_completion_tokens"]
        return settings
