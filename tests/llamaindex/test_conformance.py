"""The conformance suites, on all the ways a model can be reached."""

from __future__ import annotations

import pytest

from tests.llamaindex.conformance import EmbeddingConformance, LLMConformance, RerankConformance, Sent
from tests.llamaindex.conformance import recorder as recorder
from tests.llamaindex.conftest import Service
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.service import Deployed
from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank

VISION = "mistralai/mistral-medium-2505"


class TestCatalogueModel(LLMConformance):
    @pytest.fixture
    def llm(self, service: Service) -> WatsonxLLM:
        return service.llm(VISION, context_window=131072, temperature=0)

    @pytest.fixture
    def sent(self, service: Service) -> Sent:
        return service.sent


class TestModelThatFollowsSchemas(LLMConformance):
    @pytest.fixture
    def llm(self, service: Service) -> WatsonxLLM:
        return service.llm(VISION, context_window=131072, structured_output="json_schema")

    @pytest.fixture
    def sent(self, service: Service) -> Sent:
        return service.sent


class TestDeployment(LLMConformance):
    @pytest.fixture
    def service(self) -> Service:
        return Service(Emulator(deployments={"my-model": Deployed(VISION)}))

    @pytest.fixture
    def llm(self, service: Service) -> WatsonxLLM:
        return service.llm(None, deployment_id="my-model", context_window=131072)

    @pytest.fixture
    def sent(self, service: Service) -> Sent:
        return service.sent


class TestModelGateway(LLMConformance):
    @pytest.fixture
    def llm(self, service: Service) -> WatsonxLLM:
        return service.llm(None, model=VISION, context_window=131072)

    @pytest.fixture
    def sent(self, service: Service) -> Sent:
        return service.sent


class TestEmbeddings(EmbeddingConformance):
    @pytest.fixture
    def embed_model(self, service: Service) -> WatsonxEmbeddings:
        return service.embeddings()


class TestGatewayEmbeddings(EmbeddingConformance):
    @pytest.fixture
    def embed_model(self, service: Service) -> WatsonxEmbeddings:
        return WatsonxEmbeddings(**{**service.connection, "model": "ibm/slate-125m-english-rtrvr"})


class TestRerank(RerankConformance):
    @pytest.fixture
    def reranker(self, service: Service) -> WatsonxRerank:
        return service.rerank(top_n=2)
