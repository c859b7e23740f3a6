"""The generation routes of `/ml/v1`: continue a text, whole or streamed, by model or by deployment.

Stream frames as recorded: the first has no text but the input's token count,
then pieces with a running count, the last one with the stop reason; then the
connection ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wx_integrations.core.wire.text import GenerationParameters, GenerationRequest
from wx_integrations.emulator import render
from wx_integrations.emulator.bodies import validate
from wx_integrations.emulator.brain import Finish, Piece, Refusal, Text, Token
from wx_integrations.emulator.exchange import Frame, Reply, json_reply
from wx_integrations.emulator.moderation import WARNING, Moderation, by_sentence, read_moderation, report, starred
from wx_integrations.emulator.opening import SSE, Opened, lifecycle_warnings, open_body, whole
from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import Route, Visit
from wx_integrations.emulator.streams import Events, Frames, Primed, closing


def generate(visit: Visit) -> Reply:
    """Continue a text."""
    opened, text, parameters, moderation = _read(visit)
    refused = _blocked(visit, opened, text, moderation)
    if refused is not None:
        return json_reply(200, refused)
    answer = render.Answer.gather(visit.service.brain.generate(opened.card.model_id, text, parameters))
    end = answer.end
    found = moderation.find(answer.text, "output")
    result: dict[str, Any] = {
        "generated_text": _shown_input(text, parameters) + starred(answer.text, found),
        "generated_token_count": end.completion_tokens,
        "input_token_count": end.prompt_tokens,
        "stop_reason": end.reason,
    }
    if parameters.decoding_method == "sample":
        result["seed"] = parameters.random_seed or 1
    if found:
        result["moderations"] = report(found, "output")
    result |= _token_lists(visit, opened, text, parameters, answer.tokens)
    body = _body(visit, opened, [result], warnings=lifecycle_warnings(visit, opened.card))
    return whole(visit, body, end.completion_tokens)


def generate_stream(visit: Visit) -> Reply:
    """Continue a text as a stream."""
    opened, text, parameters, moderation = _read(visit)
    refused = _blocked(visit, opened, text, moderation)
    if refused is not None:
        return Reply(200, SSE, iter([Events(visit.service.pacing).message(refused)]))
    made = visit.service.brain.generate(opened.card.model_id, text, parameters)
    pieces = Primed(by_sentence(made) if moderation.watches("output") else made)
    frames = _frames(visit, opened, text, parameters, pieces, moderation)
    return Reply(200, SSE, Frames(frames, [pieces]))


def _blocked(visit: Visit, opened: Opened, text: str, moderation: Moderation) -> dict[str, Any] | None:
    """Return the only answer to input that moderation refuses; its stop reason is not recorded, `error` is ours."""
    found = moderation.find(text, "input")
    if not found:
        return None
    read = len(visit.service.brain.tokenize(opened.card.model_id, text))
    result = {**_result("", 0, "error", read=read), "moderations": report(found, "input")}
    return _body(visit, opened, [result], warnings=[dict(WARNING)])


def _read(visit: Visit) -> tuple[Opened, str, GenerationParameters, Moderation]:
    opened = open_body(visit, "text_generation")
    request = validate(visit, GenerationRequest, opened.rest)
    parameters = request.parameters or GenerationParameters()
    deployed = opened.deployed
    moderation = read_moderation(visit, request.moderations)
    for name in ("prompt_variables", "typical_p"):
        if deployed is None and getattr(parameters, name) is not None:
            raise _refused(f"`parameters.{name}` is for deployments only", f"parameters.{name}")
    options = parameters.return_options
    detailed = options and (options.token_logprobs or options.token_ranks or options.top_n_tokens)
    if options and detailed and not (options.generated_tokens or options.input_tokens):
        name = "parameters.return_options"
        raise _refused(f"`{name}`: token details need generated_tokens or input_tokens", name)
    if deployed is not None and deployed.template is not None:
        return opened, _filled(deployed.template, parameters), parameters, moderation
    if not request.input:
        # The words are the service's (https://github.com/BerriAI/litellm/issues/16010).
        message = "Json document validation error: 'input' cannot be missing or empty in the request body"
        raise Refused(400, "json_validation_error", message)
    return opened, request.input, parameters, moderation


def _refused(text: str, name: str) -> Refused:
    return Refused(400, "json_validation_error", f"Invalid request: {text}", target=("field", name))


def _filled(template: str, parameters: GenerationParameters) -> str:
    """Put the prompt variables into a deployed prompt's template; its own input is ignored."""
    text = template
    for name, value in (parameters.prompt_variables or {}).items():
        if "{" + name + "}" not in template:
            raise _refused(f"the prompt template has no variable `{name}`", "parameters.prompt_variables")
        text = text.replace("{" + name + "}", str(value))
    return text


def _shown_input(text: str, parameters: GenerationParameters) -> str:
    options = parameters.return_options
    return text if options and options.input_text else ""


def _token_lists(
    visit: Visit, opened: Opened, text: str, parameters: GenerationParameters, tokens: list[Token]
) -> dict[str, Any]:
    options = parameters.return_options
    lists: dict[str, Any] = {}
    if options and options.generated_tokens:
        lists["generated_tokens"] = [_token(token, parameters) for token in tokens]
    if options and options.input_tokens:
        read = visit.service.brain.tokenize(opened.card.model_id, text)
        lists["input_tokens"] = [{"text": token} for token in read]
    return lists


def _token(token: Token, parameters: GenerationParameters) -> dict[str, Any]:
    options = parameters.return_options
    shown: dict[str, Any] = {"text": token.text}
    if options and options.token_logprobs:
        shown["logprob"] = token.logprob
    if options and options.token_ranks:
        shown["rank"] = 1
    if options and options.top_n_tokens:
        shown["top_tokens"] = [{"text": text, "logprob": logprob} for text, logprob in token.top]
    return shown


def _body(
    visit: Visit, opened: Opened, results: list[dict[str, Any]], *, warnings: list[dict[str, Any]]
) -> dict[str, Any]:
    body = {
        "model_id": opened.card.model_id,
        "model_version": "1.0.0",
        "created_at": visit.service.timestamp(),
        "results": results,
    }
    return {**body, "system": {"warnings": warnings}} if warnings else body


def _frames(
    visit: Visit,
    opened: Opened,
    text: str,
    parameters: GenerationParameters,
    pieces: Iterator[Piece],
    moderation: Moderation,
) -> Iterator[Frame]:
    events = Events(visit.service.pacing)
    warnings = lifecycle_warnings(visit, opened.card)
    read = len(visit.service.brain.tokenize(opened.card.model_id, text))
    opening = _result(_shown_input(text, parameters), 0, "not_finished", read=read)
    yield events.message(_body(visit, opened, [opening], warnings=warnings))
    written = place = 0
    try:
        for piece, last in _with_end(pieces):
            written += 1
            count = last.completion_tokens if last else written
            found = moderation.find(piece, "output", place)
            result = _result(starred(piece, found, place), count, last.reason if last else "not_finished")
            place += len(piece)
            if found:
                result["moderations"] = report(found, "output")
            yield events.message(_body(visit, opened, [result], warnings=[]), paced=True)
    except Refusal as refusal:
        yield events.message(render.error_of(visit, refusal), event="error")
        return
    yield from closing(events, visit.service.framing)


def _result(text: str, written: int, reason: str, *, read: int = 0) -> dict[str, Any]:
    return {
        "generated_text": text,
        "generated_token_count": written,
        "input_token_count": read,
        "stop_reason": reason,
    }


def _with_end(pieces: Iterator[Piece]) -> Iterator[tuple[str, Finish | None]]:
    """Yield texts; the last one together with the end."""
    held: str | None = None
    for piece in pieces:
        if isinstance(piece, Text):
            if held is not None:
                yield held, None
            held = piece.text
        elif isinstance(piece, Finish):
            yield held or "", piece


ROUTES = (
    Route("POST", "/ml/v1/text/generation", generate, versioned=True, anchor="text-generation"),
    Route("POST", "/ml/v1/text/generation_stream", generate_stream, versioned=True, anchor="text-generation-stream"),
    Route(
        "POST",
        "/ml/v1/deployments/{deployment}/text/generation",
        generate,
        versioned=True,
        anchor="deployments-text-generation",
    ),
    Route(
        "POST",
        "/ml/v1/deployments/{deployment}/text/generation_stream",
        generate_stream,
        versioned=True,
        anchor="deployments-text-generation-stream",
    ),
)
