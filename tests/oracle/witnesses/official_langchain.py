"""langchain-ibm."""

from __future__ import annotations

import langchain_ibm
from ibm_watsonx_ai import APIClient, Credentials

from .inputs import CHAT, PROJECT
from .langchain_calls import LangchainCalls
from .performing import Server


class OfficialLangchain(LangchainCalls):
    """IBM's adapters for LangChain."""

    family = "langchain-ibm"

    def __init__(self, server: Server) -> None:
        super().__init__(server, langchain_ibm)

    def cloud_account(self) -> object:
        url = self._server.url
        account = {"platform_url": url, "auth_url": f"{url}/identity/token", "api_key": self._server.key}
        client = APIClient(Credentials(url=url, verify=self._server.ca, **account), project_id=PROJECT)
        return langchain_ibm.ChatWatsonx(model_id=CHAT, watsonx_client=client).invoke("Hello").content
