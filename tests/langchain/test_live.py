"""LangChain's standard chat and embeddings suites on a real service, or on `wx serve`: opt-in.

    WATSONX_LIVE=ibm/granite-4-h-small WATSONX_URL=... WATSONX_API_KEY=... WATSONX_PROJECT_ID=... \
        pytest -m live tests/langchain/test_live.py

`WATSONX_LIVE` names the model, `WATSONX_LIVE_OVERRIDE` another one as the
answer spells it, `WATSONX_LIVE_EMBEDDING` an embedding model;
`WATSONX_VERIFY` may name a CA file. Sockets beyond this machine need
`--force-enable-socket`.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

from wx_integrations.langchain import ChatWatsonx, WatsonxEmbeddings

if not os.environ.get("WATSONX_LIVE"):
    pytest.skip("WATSONX_LIVE names no model", allow_module_level=True)

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("default")]


def _verify() -> dict[str, str]:
    verify = os.environ.get("WATSONX_VERIFY")
    return {"verify": verify} if verify else {}


class TestLive(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[ChatWatsonx]:
        return ChatWatsonx

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model_id": os.environ["WATSONX_LIVE"], "max_completion_tokens": 400, **_verify()}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return "WATSONX_LIVE_OVERRIDE" in os.environ

    @property
    def model_override_value(self) -> str | None:
        return os.environ.get("WATSONX_LIVE_OVERRIDE")

    @property
    def enable_vcr_tests(self) -> bool:
        return False


@pytest.mark.skipif("WATSONX_LIVE_EMBEDDING" not in os.environ, reason="WATSONX_LIVE_EMBEDDING names no model")
class TestLiveEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[WatsonxEmbeddings]:
        return WatsonxEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model_id": os.environ["WATSONX_LIVE_EMBEDDING"], **_verify()}
