"""The same calls by our adapters; and which of ours makes whose calls."""

from __future__ import annotations

from typing import Any

import wx_integrations.langchain
from tests.oracle.ours_core import OurCore, OurCoreByKey
from tests.oracle.witnesses.inputs import (
    CHAT,
    PROJECT,
)
from tests.oracle.witnesses.langchain_calls import LangchainCalls
from tests.oracle.witnesses.llamaindex_calls import LlamaindexCalls
from tests.oracle.witnesses.performing import Server
from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank


class OurLangchain(LangchainCalls):
    """Our adapters for LangChain."""

    family = "our-langchain"

    def __init__(self, server: Server) -> None:
        super().__init__(server, wx_integrations.langchain)

    def cloud_account(self) -> Any:
        url = self._server.url
        account: dict[str, Any] = {
            "platform_url": url,
            "auth_url": f"{url}/identity/token",
            "api_key": self._server.key,
        }
        chat = wx_integrations.langchain.ChatWatsonx(model_id=CHAT, project_id=PROJECT, **account, **self._reach)
        return chat.invoke("Hello").content


class OurLlamaindex(LlamaindexCalls):
    """Our adapters for LlamaIndex."""

    family = "our-llamaindex"

    def __init__(self, server: Server) -> None:
        super().__init__(server, WatsonxLLM, WatsonxEmbeddings, WatsonxRerank, {"use_text_generation": True})

    def cloud_account(self) -> Any:
        url = self._server.url
        account: dict[str, Any] = {
            "platform_url": url,
            "auth_url": f"{url}/identity/token",
            "api_key": self._server.key,
        }
        llm = WatsonxLLM(model_id=CHAT, project_id=PROJECT, **account, **self._reach)
        return llm.chat(self._hello).message.content


OURS = {
    "ibm-watsonx-ai": OurCore,
    "langchain-ibm": OurLangchain,
    "llama-index-ibm": OurLlamaindex,
    "litellm": OurCoreByKey,
}
"""By the client that they are compared with."""
