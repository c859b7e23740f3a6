"""Operations as values: a call says what to send and how to read the answer.

A target knows which of model, scope, deployment path or gateway model goes
where. Deployments get neither a model nor a scope in the body; the gateway
speaks OpenAI's names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire import gateway
from wx_integrations.core.wire.chat import ChatRequest, Chunk, Completion
from wx_integrations.core.wire.shapes import Sent, encode
from wx_integrations.core.wire.text import (
    EmbeddingParameters,
    Embeddings,
    EmbeddingsRequest,
    Generation,
    GenerationRequest,
    ModelSpecsPage,
    Passage,
    Ranking,
    RerankParameters,
    RerankRequest,
    Tokenization,
    TokenizationParameters,
    TokenizationRequest,
)
from wx_integrations.core.wire.tools import ToolRunAnswer, ToolRunRequest, UtilityTool, UtilityTools

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Host = Literal["ml", "platform"]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how to read its answer.

    Attributes:
        path: below the host, such as `/ml/v1/text/chat`.
        parse: the answer's bytes to a value; raises ValueError when it does not fit.
        body: JSON bytes, or None for none.
        method: the HTTP method.
        host: which of the connection's hosts serves it.
        versioned: whether the `version` date goes along.
        generates: whether the model writes text, which must not be repeated after a read timeout.
        query: further query parameters.
        headers: further headers, such as the gateway's scope.
    """

    path: str
    parse: Callable[[bytes], T]
    body: bytes | None = field(default=None, repr=False)
    method: str = "POST"
    host: Host = "ml"
    versioned: bool = True
    generates: bool = False
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class StreamCall(Generic[T]):
    """One request whose answer is a stream of events.

    Attributes:
        parse: one event's data to a value.
        is_last: whether a value ends a complete answer; a stream that stops without one is broken.
    """

    path: str
    parse: Callable[[bytes], T]
    is_last: Callable[[T], bool]
    body: bytes = field(repr=False)
    versioned: bool = True
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    method: ClassVar[str] = "POST"
    host: ClassVar[Host] = "ml"
    generates: ClassVar[bool] = True
    query: ClassVar[None] = None


# --------------------------------------------------------------------------- targets


@dataclass(frozen=True)
class Model:
    """A model of the catalogue, used within one project or one space."""

    model_id: str
    project_id: str | None = None
    space_id: str | None = None
    versioned: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return self.model_id

    def path(self, operation: str) -> str:
        return f"/ml/v1/{operation}"

    def stamp(self, body: Sent) -> dict[str, Any]:
        if getattr(body, "context", None) is not None:
            raise ConfigurationError(
                "context is for deployments only",
                hint="Give deployment_id, or put the text in a message",
                field="context",
            )
        _refuse_two_scopes(self.project_id, self.space_id)
        if self.project_id:
            return {"model_id": self.model_id, "project_id": self.project_id, **body.to_wire()}
        if self.space_id:
            return {"model_id": self.model_id, "space_id": self.space_id, **body.to_wire()}
        raise ConfigurationError(
            "neither project_id nor space_id is set",
            hint="Give project_id (WATSONX_PROJECT_ID) or space_id (WATSONX_SPACE_ID)",
            field="project_id",
            env="WATSONX_PROJECT_ID",
        )

    def headers(self) -> Mapping[str, str] | None:
        return None


@dataclass(frozen=True)
class Deployment:
    """A deployment, by id or serving name; the body names neither model nor scope."""

    deployment_id: str
    versioned: ClassVar[bool] = True

    NOT_DEPLOYED: ClassVar[frozenset[str]] = frozenset({"text/embeddings", "text/rerank"})
    """Operations without a deployment's path in the API reference and the official SDKs."""

    @property
    def name(self) -> str:
        return self.deployment_id

    def path(self, operation: str) -> str:
        if operation in self.NOT_DEPLOYED:
            raise ConfigurationError(
                f"deployments have no {operation.removeprefix('text/')}", hint="Use model_id", field="deployment_id"
            )
        return f"/ml/v1/deployments/{quote(self.deployment_id, safe='')}/{operation}"

    def stamp(self, body: Sent) -> dict[str, Any]:
        if getattr(body, "crypto", None) is not None:
            raise ConfigurationError("crypto does not apply to deployments", field="crypto")
        return body.to_wire()

    def headers(self) -> Mapping[str, str] | None:
        return None


@dataclass(frozen=True)
class Gateway:
    """A model of the Model Gateway, by its provider's id or alias; the scope travels in a header."""

    model: str
    project_id: str | None = None
    space_id: str | None = None
    versioned: ClassVar[bool] = False

    PATHS: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "text/chat": "chat/completions",
            "text/chat_stream": "chat/completions",
            "text/generation": "completions",
            "text/generation_stream": "completions",
            "text/embeddings": "embeddings",
        }
    )

    @property
    def name(self) -> str:
        return self.model

    def path(self, operation: str) -> str:
        path = self.PATHS.get(operation)
        if path is None:
            raise ConfigurationError(
                f"the Model Gateway has no {operation.removeprefix('text/')}",
                hint="Use model_id or deployment_id instead of model",
                field="model",
            )
        return f"/ml/gateway/v1/{path}"

    def stamp(self, body: Sent) -> dict[str, Any]:
        try:
            return {"model": self.model, **gateway.translate(body)}
        except gateway.NotOnTheGateway as error:
            raise ConfigurationError(str(error), field=error.name) from None

    def headers(self) -> Mapping[str, str] | None:
        _refuse_two_scopes(self.project_id, self.space_id)
        if self.project_id:
            return {"X-IBM-Project-ID": self.project_id}
        return {"X-IBM-Space-ID": self.space_id} if self.space_id else None


Target = Model | Deployment | Gateway


def _refuse_two_scopes(project_id: str | None, space_id: str | None) -> None:
    if project_id and space_id:
        raise ConfigurationError(
            "both project_id and space_id are set",
            hint="Give one of them: project_id (WATSONX_PROJECT_ID) or space_id (WATSONX_SPACE_ID)",
            field="project_id",
            env="WATSONX_PROJECT_ID",
        )


# --------------------------------------------------------------------------- chat


def chat(target: Target, request: ChatRequest) -> Call[Completion]:
    """Answer a conversation."""
    return Call(
        path=target.path("text/chat"),
        body=encode(target.stamp(request)),
        parse=Completion.model_validate_json,
        versioned=target.versioned,
        headers=target.headers(),
        generates=True,
    )


def chat_stream(target: Target, request: ChatRequest) -> StreamCall[Chunk]:
    """Answer a conversation piece by piece."""
    body = target.stamp(request)
    if isinstance(target, Gateway):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return StreamCall(
        path=target.path("text/chat_stream"),
        body=encode(body),
        parse=Chunk.model_validate_json,
        is_last=ends_chat,
        versioned=target.versioned,
        headers=target.headers(),
    )


def ends_chat(chunk: Chunk) -> bool:
    """Whether a frame ends a complete answer: a finish reason, or usage without text.

    The gateway's unfinished frames say `finish_reason: ""`, and some models
    never say a reason but send the usage frame.
    """
    if any(choice.finish_reason for choice in chunk.choices):
        return True
    return chunk.usage is not None and not any(
        delta is not None
        and any((delta.content, delta.tool_calls, delta.reasoning_content, delta.reasoning, delta.refusal, delta.role))
        for delta in (choice.delta for choice in chunk.choices)
    )


# --------------------------------------------------------------------------- text


def generate(target: Target, request: GenerationRequest) -> Call[Generation]:
    """Continue a text."""
    return Call(
        path=target.path("text/generation"),
        body=encode(target.stamp(request)),
        parse=gateway.generation if isinstance(target, Gateway) else Generation.model_validate_json,
        versioned=target.versioned,
        headers=target.headers(),
        generates=True,
    )


def generate_stream(target: Target, request: GenerationRequest) -> StreamCall[Generation]:
    """Continue a text piece by piece."""
    body = target.stamp(request)
    if isinstance(target, Gateway):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return StreamCall(
        path=target.path("text/generation_stream"),
        body=encode(body),
        parse=gateway.generation if isinstance(target, Gateway) else Generation.model_validate_json,
        is_last=ends_generation,
        versioned=target.versioned,
        headers=target.headers(),
    )


def ends_generation(frame: Generation) -> bool:
    """Whether a frame says why the text ends."""
    return any(result.stop_reason and result.stop_reason.lower() != "not_finished" for result in frame.results)


def embed(target: Target, texts: Sequence[str], parameters: EmbeddingParameters | None = None) -> Call[Embeddings]:
    """Embed up to 1000 texts."""
    return Call(
        path=target.path("text/embeddings"),
        body=encode(target.stamp(EmbeddingsRequest(inputs=list(texts), parameters=parameters))),
        parse=gateway.embeddings if isinstance(target, Gateway) else Embeddings.model_validate_json,
        versioned=target.versioned,
        headers=target.headers(),
    )


def rerank(
    target: Target, query: str, documents: Sequence[str], parameters: RerankParameters | None = None
) -> Call[Ranking]:
    """Order up to 1000 documents by how well they answer the query, best first."""
    request = RerankRequest(query=query, inputs=[Passage(text=text) for text in documents], parameters=parameters)
    return Call(
        path=target.path("text/rerank"),
        body=encode(target.stamp(request)),
        parse=Ranking.model_validate_json,
        versioned=target.versioned,
        headers=target.headers(),
    )


def tokenize(target: Target, text: str, *, return_tokens: bool = False) -> Call[Tokenization]:
    """Count, and if asked show, a text's tokens."""
    parameters = TokenizationParameters(return_tokens=True) if return_tokens else None
    return Call(
        path=target.path("text/tokenization"),
        body=encode(target.stamp(TokenizationRequest(input=text, parameters=parameters))),
        parse=Tokenization.model_validate_json,
        versioned=target.versioned,
        headers=target.headers(),
    )


# --------------------------------------------------------------------------- model list


def model_specs(*, filters: str | None = None, limit: int = 200, start: str | None = None) -> Call[ModelSpecsPage]:
    """List a page of up to 200 foundation models; `filters` as in the API reference."""
    query = {"limit": str(limit)}
    if filters:
        query["filters"] = filters
    if start:
        query["start"] = start
    return Call(
        method="GET", path="/ml/v1/foundation_model_specs", query=query, parse=ModelSpecsPage.model_validate_json
    )


# --------------------------------------------------------------------------- utility agent tools

_TOOLS = "/wx/v1-beta/utility_agent_tools"


def list_tools() -> Call[UtilityTools]:
    """List the utility agent tools and what each takes."""
    return Call(method="GET", path=_TOOLS, host="platform", versioned=False, parse=UtilityTools.model_validate_json)


def get_tool(name: str) -> Call[UtilityTool]:
    """Describe one utility agent tool; who asks may be told more than the list says."""
    return Call(
        method="GET",
        path=f"{_TOOLS}/{quote(name, safe='')}",
        host="platform",
        versioned=False,
        parse=UtilityTool.model_validate_json,
    )


def run_tool(
    name: str,
    input: str | Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
    *,
    named_by: Literal["body", "path"] = "body",
) -> Call[ToolRunAnswer]:
    """Run a utility agent tool.

    Args:
        name: the tool's name.
        input: a text, or an object for a tool with an input schema.
        config: the tool's settings, as its config schema has them.
        named_by: which of the API's two ways names the tool.

    Raises:
        ConfigurationError: something in input or config is no JSON.
    """
    try:
        request = ToolRunRequest(
            tool_name=name if named_by == "body" else None,
            input=input if isinstance(input, str) else dict(input),
            config=dict(config) if config else None,
        )
    except ValidationError as error:
        raise ConfigurationError.from_validation(error, name) from None
    return Call(
        path=f"{_TOOLS}/run" if named_by == "body" else f"{_TOOLS}/run/{quote(name, safe='')}",
        body=encode(request.to_wire()),
        parse=ToolRunAnswer.model_validate_json,
        host="platform",
        versioned=False,
        generates=True,  # a tool that is still working is not started again
    )
