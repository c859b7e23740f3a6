"""The Model Gateway: OpenAI's paths, with its own framing and error bodies.

Recorded differences from `/ml/v1` streams: only `data:` lines, `[DONE]` at the
end, `finish_reason` is "" on every unfinished chunk, the usage chunk has a
choice, and tool deltas repeat empty ids and names.
"""

from __future__ import annotations

import base64
import struct
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from wx_integrations.core.wire.chat import ChatRequest, ControlMessage, Message, UserMessage, VideoPart
from wx_integrations.core.wire.shapes import SentT
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator import render
from wx_integrations.emulator.bodies import read_object, validate
from wx_integrations.emulator.brain import Calling, Finish, ModelCard, Piece, Reasoning, Refusal, Text
from wx_integrations.emulator.exchange import Frame, Reply, compact, json_reply
from wx_integrations.emulator.gateway_shapes import (
    GatewayChat,
    GatewayCompletion,
    GatewayEmbeddings,
    unsupported_in,
)
from wx_integrations.emulator.inference import check_senses
from wx_integrations.emulator.opening import SSE, whole
from wx_integrations.emulator.refusals import Refused, body_of
from wx_integrations.emulator.service import Route, Visit
from wx_integrations.emulator.streams import Frames, Primed

DEFAULT_COMPLETION_TOKENS = 16
_REASONS = {"eos_token": "stop", "stop_sequence": "stop", "max_tokens": "length", "token_limit": "length"}
_CHAT_FIELDS = (
    *("frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "max_tokens"),
    *("max_completion_tokens", "n", "reasoning_effort", "response_format", "seed", "temperature", "tools"),
)


def _open(visit: Visit, shape: type[SentT], function: str) -> tuple[ModelCard, SentT]:
    request = validate(visit, shape, read_object(visit))
    check_project(visit)
    name = getattr(request, "model", "")
    card = visit.service.card(name)
    if card is None:
        raise Refused(404, "model_not_found", f"The model `{name}` does not exist.")
    if function not in card.functions:
        raise Refused(404, "model_not_found", f"The model `{name}` does not support {function}.")
    refused = unsupported_in(request)
    if refused is not None and visit.service.strict:
        raise Refused(400, "unsupported_parameter", f"`{refused}` is not emulated")
    return card, request


def check_project(visit: Visit) -> None:
    """Check the project or the space that a header may name.

    Raises:
        Refused: it does not exist; the words are recorded (https://github.com/IBM/watsonx-ai-samples/issues/90).
    """
    known = visit.service.projects
    for header, name in (("x-ibm-project-id", "project_id"), ("x-ibm-space-id", "space_id")):
        value = visit.request.header(header)
        if value is not None and known is not None and value not in known:
            message = f"{name} {value} is not associated with a WML instance"
            raise Refused(403, "no_associated_service_instance_error", message)


# --------------------------------------------------------------------------- chat


def chat(visit: Visit) -> Reply:
    """Answer a conversation, whole or streamed as the body says."""
    card, request = _open(visit, GatewayChat, "text_chat")
    if visit.service.strict:
        check_messages(request.messages)
    asked = _translated(request)
    check_senses(card, asked)
    pieces = [visit.service.brain.chat(card.model_id, asked, choice) for choice in range(asked.n or 1)]
    if request.parallel_tool_calls is False:
        pieces = [_one_call(choice) for choice in pieces]
    if request.stream:
        return _streamed(visit, request, "chatcmpl-", pieces, _chat_deltas)
    answers = [render.Answer.gather(choice) for choice in pieces]
    choices = [
        {
            "index": index,
            "message": {"content": None, **render.message_of(visit, answer)},
            "logprobs": render.logprobs(answer.tokens) if answer.tokens else None,
            "finish_reason": answer.end.reason,
        }
        for index, answer in enumerate(answers)
    ]
    ends = [answer.end for answer in answers]
    return _answer(visit, request, "chatcmpl-", "chat.completion", choices, ends)


def _translated(request: GatewayChat) -> ChatRequest:
    """Return the request in the words of `/ml/v1/text/chat`."""
    update: dict[str, Any] = {name: getattr(request, name) for name in _CHAT_FIELDS}
    update |= {"top_p": request.top_p or None, "stop": request.stops, "messages": request.messages}
    choice = request.tool_choice
    update["tool_choice_option" if isinstance(choice, str) else "tool_choice"] = choice
    return ChatRequest.model_construct(**update)


def check_messages(messages: Sequence[Message]) -> None:
    """Check that a conversation has no role and no part that only `/ml/v1` knows.

    Raises:
        Refused: names the first one.
    """
    for index, message in enumerate(messages):
        if isinstance(message, ControlMessage):
            raise Refused(400, "json_validation_error", f"Invalid request: `messages[{index}]`: no role `control`")
        parts = message.content if isinstance(message, UserMessage) and isinstance(message.content, list) else []
        for place, part in enumerate(parts):
            if isinstance(part, VideoPart):
                where = f"messages[{index}].content[{place}]"
                raise Refused(400, "json_validation_error", f"Invalid request: `{where}`: no part `video_url`")


def _one_call(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Let the first tool call through and no other."""
    called = False
    for piece in pieces:
        if not (called and isinstance(piece, Calling)):
            yield piece
        called = called or isinstance(piece, Calling)


def _chat_deltas(visit: Visit, pieces: Iterator[Piece]) -> Iterator[tuple[dict[str, Any], Any] | Finish]:
    """Yield deltas with their log probabilities, then the end."""
    calls = 0
    role: dict[str, Any] = {"role": "assistant"}
    for piece in pieces:
        match piece:
            case Text():
                yield {"delta": {**role, "content": piece.text}}, piece.tokens
            case Reasoning():
                yield {"delta": {**role, "content": "", "reasoning_content": piece.text}}, ()
            case Calling():
                for delta in _call_deltas(f"call_{visit.service.ids.hex()[:24]}", calls, piece):
                    yield {"delta": {**role, "content": "", "tool_calls": [delta]}}, ()
                    role = {}
                calls += 1
            case Finish():
                yield piece
        role = {}


def _call_deltas(call_id: str, number: int, call: Calling) -> Iterator[dict[str, Any]]:
    for delta in render.call_deltas(call_id, number, call):
        yield {"id": "", "type": "function", **delta}


# --------------------------------------------------------------------------- completions


def completions(visit: Visit) -> Reply:
    """Continue texts."""
    card, request = _open(visit, GatewayCompletion, "text_generation")
    prompts = [request.prompt] if isinstance(request.prompt, str) else list(request.prompt)
    parameters = GenerationParameters.model_construct(
        max_new_tokens=DEFAULT_COMPLETION_TOKENS if request.max_tokens is None else request.max_tokens,
        stop_sequences=request.stops,
        include_stop_sequence=False,
        random_seed=request.seed,
        temperature=request.temperature,
    )
    brain = visit.service.brain
    texts = [prompt for prompt in prompts for _ in range(request.n or 1)]
    pieces = [brain.generate(card.model_id, text, parameters) for text in texts]
    if request.stream:
        return _streamed(visit, request, "cmpl-", pieces, _text_deltas)
    answers = [render.Answer.gather(choice) for choice in pieces]
    choices = [
        {
            "index": index,
            "text": (texts[index] if request.echo else "") + answer.text,
            "logprobs": None,
            "finish_reason": _REASONS.get(answer.end.reason, answer.end.reason),
        }
        for index, answer in enumerate(answers)
    ]
    ends = [answer.end for answer in answers]
    return _answer(visit, request, "cmpl-", "text_completion", choices, ends)


def _text_deltas(visit: Visit, pieces: Iterator[Piece]) -> Iterator[tuple[dict[str, Any], Any] | Finish]:
    for piece in pieces:
        if isinstance(piece, Text):
            yield {"text": piece.text}, ()
        elif isinstance(piece, Finish):
            yield piece


# --------------------------------------------------------------------------- both


def _answer(
    visit: Visit,
    request: GatewayChat | GatewayCompletion,
    prefix: str,
    kind: str,
    choices: list[dict[str, Any]],
    ends: Sequence[Finish],
) -> Reply:
    usage = _usage(ends)
    body = {
        "id": prefix + visit.service.ids.hex(),
        "object": kind,
        "choices": choices,
        "created": int(visit.service.clock()),
        "model": request.model,
        "system_fingerprint": None,
        "service_tier": None,
        "usage": usage,
        "cached": False,
    }
    return whole(visit, body, usage["completion_tokens"])


def _usage(ends: Sequence[Finish]) -> dict[str, int]:
    usage = render.usage_of(ends)
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def _streamed(
    visit: Visit,
    request: GatewayChat | GatewayCompletion,
    prefix: str,
    choices: Sequence[Iterator[Piece]],
    deltas: Any,
) -> Reply:
    sources = [Primed(pieces) for pieces in choices]
    frames = _frames(visit, request, prefix, sources, deltas)
    return Reply(200, SSE, Frames(frames, sources))


def _frames(
    visit: Visit,
    request: GatewayChat | GatewayCompletion,
    prefix: str,
    sources: Sequence[Primed[Piece]],
    deltas: Any,
) -> Iterator[Frame]:
    chatting = isinstance(request, GatewayChat)
    empty: dict[str, Any] = {"delta": {"content": ""}} if chatting else {"text": ""}
    head = {
        "id": prefix + visit.service.ids.hex(),
        "object": "chat.completion.chunk" if chatting else "text_completion",
    }
    created = int(visit.service.clock())
    ends: list[Finish] = []
    pacing = visit.service.pacing
    wait = pacing.first

    def data(choice: dict[str, Any], reason: str, wait: float, usage: Any = None, tokens: Any = ()) -> Frame:
        logprobs = render.logprobs(tokens) if tokens else None
        shown = {**choice, "finish_reason": reason, "logprobs": logprobs}
        body = {**head, "choices": [shown], "created": created, "model": request.model}
        rest = {"system_fingerprint": None, "service_tier": None, "usage": usage, "cached": False}
        return Frame(b"data: " + compact({**body, **rest}) + b"\n\n", wait)

    try:
        for index, source in enumerate(sources):
            for item in deltas(visit, source):
                if isinstance(item, Finish):
                    ends.append(item)
                    yield data({"index": index, **empty}, _REASONS.get(item.reason, item.reason), 0.0)
                else:
                    yield data({"index": index, **item[0]}, "", wait, tokens=item[1])
                    wait = pacing.each
    except Refusal as refusal:
        error = body_of("gateway", refusal, trace=visit.trace)
        yield Frame(b"event: error\ndata: " + compact(error) + b"\n\n")
        return
    if request.stream_options and request.stream_options.include_usage:
        yield data({"index": 0, **empty}, "", 0.0, usage=_usage(ends))
    yield Frame(b"data: [DONE]\n\n")


# --------------------------------------------------------------------------- embeddings and models


def embeddings(visit: Visit) -> Reply:
    """Embed texts."""
    card, request = _open(visit, GatewayEmbeddings, "embedding")
    given = [request.input] if isinstance(request.input, str) else request.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        raise Refused(400, "unsupported_parameter", "`input`: token ids are not emulated")
    if not texts:
        raise Refused(400, "invalid_request", "`input` must not be empty")
    embedded = visit.service.brain.embed(card.model_id, texts, None)
    rows = []
    for index, vector in enumerate(embedded.vectors):
        kept = list(vector[: request.dimensions])
        shown: Any = kept
        if request.encoding_format == "base64":
            shown = base64.b64encode(struct.pack(f"<{len(kept)}f", *kept)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": shown})
    usage = {"prompt_tokens": embedded.token_count, "total_tokens": embedded.token_count}
    return json_reply(200, {"object": "list", "model": request.model, "data": rows, "usage": usage})


def _shown(card: ModelCard) -> dict[str, Any]:
    return {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, card.model_id)),
        "object": "model",
        "created": 1_704_067_200,
        "owned_by": card.provider,
        "id": card.model_id,
        **({"alias": card.aliases[0]} if card.aliases else {}),
        "description": card.description,
        "metadata": {"context_window": card.max_sequence_length},
    }


def models(visit: Visit) -> Reply:
    """List the models."""
    return json_reply(200, {"object": "list", "data": [_shown(card) for card in visit.service.brain.cards]})


def model(visit: Visit) -> Reply:
    """Return one model by its uuid."""
    wanted = visit.arguments["uuid"]
    found = [shown for shown in map(_shown, visit.service.brain.cards) if shown["uuid"] == wanted]
    if not found:
        raise Refused(404, "model_not_found", f"The model `{wanted}` does not exist.")
    return json_reply(200, found[0])


ROUTES = (
    Route("POST", "/ml/gateway/v1/chat/completions", chat, family="gateway"),
    Route("POST", "/ml/gateway/v1/completions", completions, family="gateway"),
    Route("POST", "/ml/gateway/v1/embeddings", embeddings, family="gateway"),
    Route("GET", "/ml/gateway/v1/models", models, family="gateway"),
    Route("GET", "/ml/gateway/v1/models/{uuid}", model, family="gateway"),
)
