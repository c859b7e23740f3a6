"""llama-index-llms-ibm, llama-index-embeddings-ibm and llama-index-postprocessor-ibm."""

from __future__ import annotations

from ibm_watsonx_ai import APIClient, Credentials
from llama_index.embeddings.ibm import WatsonxEmbeddings
from llama_index.llms.ibm import WatsonxLLM
from llama_index.postprocessor.ibm import WatsonxRerank

from .inputs import CHAT, PROJECT
from .llamaindex_calls import LlamaindexCalls
from .performing import Server


class OfficialLlamaindex(LlamaindexCalls):
    """IBM's adapters for LlamaIndex."""

    family = "llama-index-ibm"

    def __init__(self, server: Server) -> None:
        super().__init__(server, WatsonxLLM, WatsonxEmbeddings, WatsonxRerank, {})

    def cloud_account(self) -> object:
        url = self._server.url
        account = {"platform_url": url, "auth_url": f"{url}/identity/token", "api_key": self._server.key}
        client = APIClient(Credentials(url=url, verify=self._server.ca, **account), project_id=PROJECT)
        llm = WatsonxLLM(model_id=CHAT, project_id=PROJECT, api_client=client)
        return llm.chat(self._hello).message.content
