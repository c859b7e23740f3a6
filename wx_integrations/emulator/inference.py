"""The inference routes of `/ml/v1`: chat, generation, embeddings, rerank, tokenization, and the deployments' twins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wx_integrations.core.wire.chat import (
    AudioPart,
    ChatRequest,
    DeveloperMessage,
    ImagePart,
    Message,
    SystemMessage,
    UserMessage,
    VideoPart,
)
from wx_integrations.core.wire.embeddings import EmbeddingsRequest
from wx_integrations.core.wire.rerank import RerankRequest
from wx_integrations.core.wire.tokenization import TokenizationRequest
from wx_integrations.emulator import render
from wx_integrations.emulator.bodies import validate
from wx_integrations.emulator.brain import ModelCard, Piece
from wx_integrations.emulator.exchange import Reply, json_reply
from wx_integrations.emulator.moderation import WARNING, Moderation, by_sentence, chat_report, read_moderation
from wx_integrations.emulator.opening import SSE, Opened, can, lifecycle_warnings, open_body, whole
from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import (
    Deployed,
    Route,
    Visit,
)
from wx_integrations.emulator.streams import Events, Primed
from wx_integrations.emulator.tool_schemas import check_tools
from wx_integrations.emulator.tooluse import text_of

TIME_LIMIT = 600_000
DEFAULT_TOKENS = 1024

# --------------------------------------------------------------------------- chat


def chat(visit: Visit) -> Reply:
    """Answer a conversation."""
    opened, request = _read_chat(visit)
    head = _head(visit, opened, "chatcmpl-", _chat_warnings(request))
    moderation = read_moderation(visit, request.moderations)
    refused = blocked(visit, head, request, moderation)
    if refused is not None:
        return json_reply(200, {**refused, "object": "chat.completion", "choices": []})
    answers = [render.Answer.gather(pieces) for pieces in _choices(visit, opened, request)]
    tokens = sum(answer.end.completion_tokens for answer in answers)
    return whole(visit, render.completion(visit, head, answers, moderation), tokens)


def chat_stream(visit: Visit) -> Reply:
    """Answer a conversation as a stream."""
    opened, request = _read_chat(visit)
    head = _head(visit, opened, "chatcmpl-", _chat_warnings(request))
    moderation = read_moderation(visit, request.moderations)
    refused = blocked(visit, head, request, moderation)
    if refused is not None:
        return Reply(200, SSE, iter([Events(visit.service.pacing).message(refused)]))
    pieces = _choices(visit, opened, request)
    if moderation.watches("output"):
        pieces = [by_sentence(choice) for choice in pieces]
    return Reply(200, SSE, render.chat_stream(visit, head, list(map(Primed, pieces)), moderation))


def blocked(visit: Visit, head: render.Head, request: ChatRequest, moderation: Moderation) -> dict[str, Any] | None:
    """Return the only frame of an answer to input that moderation refuses, None when it does not."""
    index, message = last_user_message(request)
    found = moderation.find(text_of(message), "input")
    if not found:
        return None
    body = render.chat_body(head, "chat.completion.chunk", [{"index": 0, "finish_reason": None}])
    read = len(visit.service.brain.tokenize(head.model_id, text_of(message)))
    body |= {"usage": {"prompt_tokens": read}, "system": {"warnings": [WARNING]}}
    return {**body, **chat_report(found, "input", index)}


def last_user_message(request: ChatRequest) -> tuple[int, Message]:
    """Return the place and the last message of the user, or else the last of all."""
    users = [pair for pair in enumerate(request.messages) if isinstance(pair[1], UserMessage)]
    return users[-1] if users else (len(request.messages) - 1, request.messages[-1])


def _read_chat(visit: Visit) -> tuple[Opened, ChatRequest]:
    opened = open_body(visit, "text_chat")
    request = validate(visit, ChatRequest, opened.rest)
    if opened.deployed is None and request.context is not None:
        message = "Invalid request: `context` is for deployments only"
        raise Refused(400, "json_validation_error", message, target=("field", "context"))
    if opened.deployed is not None and request.crypto is not None:
        message = "Invalid request: `crypto` is not a known field"
        raise Refused(400, "json_validation_error", message, target=("field", "crypto"))
    if any(isinstance(message, DeveloperMessage) for message in request.messages):
        raise Refused(
            400, "json_validation_error", "Invalid request: role `developer` is not known", target=("field", "messages")
        )
    check_senses(opened.card, request)
    if visit.service.strict:
        check_tools(request.tools or [])
    return opened, _templated(opened.deployed, request)


def check_senses(card: ModelCard, request: ChatRequest) -> None:
    """Check that the model takes the images, sounds and videos of a conversation.

    Raises:
        Refused: it does not.
    """
    needs = {ImagePart: "image_chat", AudioPart: "audio_chat", VideoPart: "video_chat"}
    for message in request.messages:
        if isinstance(message, UserMessage) and isinstance(message.content, list):
            for part in message.content:
                can(card, needs.get(type(part)))


def _templated(deployed: Deployed | None, request: ChatRequest) -> ChatRequest:
    """Put a deployed prompt's template and the caller's context in front of the conversation."""
    template = deployed.template if deployed else None
    if template is not None and any(isinstance(message, SystemMessage) for message in request.messages):
        text = "Invalid request: a deployed prompt template takes no system message"
        raise Refused(400, "invalid_request_entity", text, target=("field", "messages"))
    if template is None and request.context is None:
        return request
    context = request.context or ""
    text = context if template is None else template.replace("{context}", context)
    return request.model_copy(update={"messages": [SystemMessage(content=text), *request.messages], "context": None})


def _choices(visit: Visit, opened: Opened, request: ChatRequest) -> list[Iterator[Piece]]:
    brain = visit.service.brain
    return [brain.chat(opened.card.model_id, request, choice) for choice in range(request.n or 1)]


def _chat_warnings(request: ChatRequest) -> list[dict[str, Any]]:
    warnings = []
    if request.max_completion_tokens is None and not request.max_tokens:
        details = {"limit": 0, "new_value": DEFAULT_TOKENS, "parameter": "max_tokens", "value": 0}
        text = f"The value of 'max_tokens' for this model was set to value {DEFAULT_TOKENS}"
        warnings.append({"message": text, "id": "unspecified_max_token", "additional_properties": details})
    if request.time_limit is not None and request.time_limit > TIME_LIMIT:
        text = f"The value of 'time_limit' was set to value {TIME_LIMIT}"
        details = {"limit": TIME_LIMIT, "new_value": TIME_LIMIT, "parameter": "time_limit", "value": request.time_limit}
        warnings.append({"message": text, "id": "time_limit_out_of_range", "additional_properties": details})
    return warnings


def _head(visit: Visit, opened: Opened, prefix: str, warnings: list[dict[str, Any]]) -> render.Head:
    return render.Head(
        id=prefix + visit.service.ids.hex(),
        model_id=opened.card.model_id,
        created=int(visit.service.clock()),
        created_at=visit.service.timestamp(),
        warnings=[*lifecycle_warnings(visit, opened.card), *warnings],
    )


# --------------------------------------------------------------------------- embeddings, rerank, tokenization


def embeddings(visit: Visit) -> Reply:
    """Embed texts."""
    opened = open_body(visit, "embedding")
    request = validate(visit, EmbeddingsRequest, opened.rest)
    parameters = request.parameters
    truncate = parameters.truncate_input_tokens if parameters else None
    embedded = visit.service.brain.embed(opened.card.model_id, request.inputs, truncate)
    options = parameters.return_options if parameters else None
    results: list[dict[str, Any]] = [{"embedding": list(vector)} for vector in embedded.vectors]
    if options and options.input_text:
        results = [{**result, "input": text} for result, text in zip(results, request.inputs, strict=True)]
    body = {"model_id": opened.card.model_id, "results": results, "created_at": visit.service.timestamp()}
    return json_reply(200, {**body, "input_token_count": embedded.token_count, **_system(visit, opened.card)})


def rerank(visit: Visit) -> Reply:
    """Order passages by how well they answer a query, best first."""
    opened = open_body(visit, "rerank")
    request = validate(visit, RerankRequest, opened.rest)
    parameters = request.parameters
    truncate = parameters.truncate_input_tokens if parameters else None
    passages = [passage.text for passage in request.inputs]
    ranked = visit.service.brain.rerank(opened.card.model_id, request.query, passages, truncate)
    options = parameters.return_options if parameters else None
    order = sorted(range(len(passages)), key=lambda index: -ranked.scores[index])
    results: list[dict[str, Any]] = []
    for index in order[: options.top_n if options and options.top_n else None]:
        result: dict[str, Any] = {"index": index, "score": ranked.scores[index]}
        if options and options.inputs:
            result["input"] = {"text": passages[index]}
        results.append(result)
    body = {"model_id": opened.card.model_id, "created_at": visit.service.timestamp(), "results": results}
    if options and options.query:
        body["query"] = request.query
    return json_reply(200, {**body, "input_token_count": ranked.token_count, **_system(visit, opened.card)})


def tokenization(visit: Visit) -> Reply:
    """Count a text's tokens, and show them if asked."""
    opened = open_body(visit, None)
    request = validate(visit, TokenizationRequest, opened.rest)
    tokens = list(visit.service.brain.tokenize(opened.card.model_id, request.input))
    result: dict[str, Any] = {"token_count": len(tokens)}
    if request.parameters and request.parameters.return_tokens:
        result["tokens"] = tokens
    return json_reply(200, {"model_id": opened.card.model_id, "result": result})


def _system(visit: Visit, card: ModelCard) -> dict[str, Any]:
    warnings = lifecycle_warnings(visit, card)
    return {"system": {"warnings": warnings}} if warnings else {}


ROUTES = (
    Route("POST", "/ml/v1/text/chat", chat, versioned=True, anchor="text-chat"),
    Route("POST", "/ml/v1/text/chat_stream", chat_stream, versioned=True, anchor="text-chat-stream"),
    Route("POST", "/ml/v1/text/embeddings", embeddings, versioned=True, anchor="text-embeddings"),
    Route("POST", "/ml/v1/text/rerank", rerank, versioned=True, anchor="text-rerank"),
    Route("POST", "/ml/v1/text/tokenization", tokenization, versioned=True, anchor="text-tokenization"),
    Route("POST", "/ml/v1/deployments/{deployment}/text/chat", chat, versioned=True, anchor="deployments-text-chat"),
    Route(
        "POST",
        "/ml/v1/deployments/{deployment}/text/chat_stream",
        chat_stream,
        versioned=True,
        anchor="deployments-text-chat-stream",
    ),
)
