"""LangChain's standard chat suite on a real service, or on `wx serve`: opt-in.

    WATSONX_LIVE=ibm/granite-4-h-small WATSONX_URL=... WATSONX_API_KEY=... WATSONX_PROJECT_ID=... \
        pytest -m live tests/langchain/test_live.py

`WATSONX_LIVE` names the model; `WATSONX_VERIFY` may name a CA file. Sockets
beyond this machine need `--force-enable-socket`.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from wx_integrations.langchain import ChatWatsonx

if not os.environ.get("WATSONX_LIVE"):
    pytest.skip("WATSONX_LIVE names no model", allow_module_level=True)

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("default")]


class TestLive(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[ChatWatsonx]:
        return ChatWatsonx

    @property
    def chat_model_params(self) -> dict[str, Any]:
        verify = os.environ.get("WATSONX_VERIFY")
        return {"model_id": os.environ["WATSONX_LIVE"], "max_completion_tokens": 400} | (
            {"verify": verify} if verify else {}
        )

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True
