"""The brain without weights: the same request always gets the same, useful answer.

It echoes what it is told, calls the tools that a prompt speaks of, fills
schemas from the prompt, embeds texts by their words and ranks by overlap.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from wx_integrations.core.wire.chat import (
    ChatRequest,
    ControlMessage,
    JsonObjectFormat,
    JsonSchemaFormat,
    UserMessage,
)
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator import vectors
from wx_integrations.emulator.bounds import Impossible
from wx_integrations.emulator.brain import (
    Calling,
    Embedded,
    Finish,
    ModelCard,
    Piece,
    Ranked,
    Reasoning,
    Refusal,
    Text,
    Token,
)
from wx_integrations.emulator.cards import CARDS
from wx_integrations.emulator.patterns import Unsupported, example
from wx_integrations.emulator.reading import answer_from
from wx_integrations.emulator.schema import Grower
from wx_integrations.emulator.tooluse import Turn, calls_for, text_of
from wx_integrations.emulator.words import Prompt, embedded, named_keys, stems, tokenize

DIMENSION = 384
DEFAULT_CHAT_TOKENS = 1024
DEFAULT_GENERATION_TOKENS = 20
MESSAGE_OVERHEAD = 4
MEDIA_TOKENS = 256


class DeterministicBrain:
    """Answers by rule.

    Args:
        cards: the models to serve.
        dimension: of the embeddings.
    """

    def __init__(self, cards: Sequence[ModelCard] = CARDS, *, dimension: int = DIMENSION) -> None:
        self.cards = tuple(cards)
        self.dimension = dimension

    def close(self) -> None:
        """Free nothing; there is nothing to free."""

    # ------------------------------------------------------------------ chat

    def chat(self, model_id: str, request: ChatRequest, choice: int = 0) -> Iterator[Piece]:
        """Answer a conversation; see the module."""
        card = self._card(model_id)
        read = count_prompt(request)
        _check_length(card, read)
        limit = _budget(card, read, request.max_completion_tokens, request.max_tokens, DEFAULT_CHAT_TOKENS)
        if _thinks(request):
            thought = f"The user says: {Turn.of(request.messages).prompt[:200]} I answer that directly."
        else:
            thought = ""
        calls = calls_for(request)
        text = "" if calls else answer_text(request)
        if choice and not calls:
            text = f"({choice + 1}) {text}"
        return self._chat_pieces(request, thought, calls, text, read, limit)

    def _chat_pieces(
        self, request: ChatRequest, thought: str, calls: list[Calling], text: str, read: int, limit: int
    ) -> Iterator[Piece]:
        written = 0
        for token in tokenize(thought)[:limit]:
            written += 1
            yield Reasoning(token)
        reason = "tool_calls" if calls else "stop"
        for call in calls:
            tokens = tokenize(call.arguments)
            if written + len(tokens) > limit:
                yield Calling(call.name, "".join(tokens[: limit - written]))
                yield Finish("length", read, limit)
                return
            written += len(tokens)
            yield call
        kept, _ = cut(text, request.stop or (), keep_stop=False)
        tokens = tokenize(kept)
        if written + len(tokens) > limit:
            tokens, reason = tokens[: limit - written], "length"
        for token in tokens:
            written += 1
            yield Text(token, _scored([token], request.top_logprobs or 0) if request.logprobs else ())
        yield Finish(reason, read, written)

    # ------------------------------------------------------------------ generation

    def generate(self, model_id: str, text: str, parameters: GenerationParameters) -> Iterator[Piece]:
        """Continue a text."""
        card = self._card(model_id)
        if parameters.truncate_input_tokens:
            text = "".join(tokenize(text)[-parameters.truncate_input_tokens :])
        read = len(tokenize(text))
        _check_length(card, read)
        limit = parameters.max_new_tokens if parameters.max_new_tokens is not None else DEFAULT_GENERATION_TOKENS
        return self._generation_pieces(plain_answer(text, text), parameters, read, min(limit, card.max_output_tokens))

    def _generation_pieces(self, text: str, parameters: GenerationParameters, read: int, limit: int) -> Iterator[Piece]:
        kept, stopped = cut(
            text, parameters.stop_sequences or (), keep_stop=parameters.include_stop_sequence is not False
        )
        tokens = tokenize(kept)
        reason = "stop_sequence" if stopped else "eos_token"
        while len(tokens) < min(parameters.min_new_tokens or 0, limit):
            tokens.append(" and")
        if len(tokens) > limit:
            tokens, reason = tokens[:limit], "max_tokens"
        options = parameters.return_options
        scored = bool(options and options.generated_tokens)
        for token in tokens:
            yield Text(token, _scored([token], (options and options.top_n_tokens) or 0) if scored else ())
        yield Finish(reason, read, len(tokens))

    # ------------------------------------------------------------------ vectors, tokens

    def embed(self, model_id: str, texts: Sequence[str], truncate: int | None) -> Embedded:
        """Embed texts by their words."""
        shortened = [self._shortened(model_id, text, truncate) for text in texts]
        made = [vectors.embed("".join(tokens), self.dimension) for tokens in shortened]
        return Embedded(made, sum(map(len, shortened)))

    def rerank(self, model_id: str, query: str, passages: Sequence[str], truncate: int | None) -> Ranked:
        """Score passages by the words they share with the query."""
        asked = len(tokenize(query))
        shortened = [self._shortened(model_id, passage, truncate, asked) for passage in passages]
        scores = [vectors.relevance(query, "".join(tokens), self.dimension) for tokens in shortened]
        return Ranked(scores, sum(len(tokens) + asked for tokens in shortened))

    def tokenize(self, model_id: str, text: str) -> Sequence[str]:
        """Split a text into tokens; joined they are the text again."""
        return tokenize(text)

    def _shortened(self, model_id: str, text: str, truncate: int | None, taken: int = 0) -> list[str]:
        card = self._card(model_id)
        tokens = tokenize(text)
        if truncate is not None and truncate >= 0:
            tokens = tokens[:truncate]
        elif truncate is not None:
            tokens = tokens[: max(0, card.max_sequence_length - taken)]
        if len(tokens) + taken > card.max_sequence_length:
            message = (
                f"Invalid input argument for Model '{model_id}': Token sequence length is longer than the specified "
                f"maximum sequence length for this model ({len(tokens) + taken} > {card.max_sequence_length})."
            )
            raise Refusal(400, "invalid_input_argument", message)
        return tokens

    def _card(self, model_id: str) -> ModelCard:
        return next(card for card in self.cards if card.model_id == model_id)


# --------------------------------------------------------------------------- what to say


def answer_text(request: ChatRequest) -> str:
    """Return the text that answers a conversation without calling a tool.

    Raises:
        Refusal: the shape asked for cannot be made without weights.
    """
    turn = Turn.of(request.messages)
    whole = "\n".join(text_of(message) for message in request.messages)
    shape = request.response_format
    try:
        if isinstance(shape, JsonSchemaFormat):
            return _grown(shape.json_schema.schema_, turn)
        if request.guided_json is not None:
            return _grown(request.guided_json, turn)
        if request.guided_choice:
            return _chosen(request.guided_choice, turn.prompt)
        if request.guided_regex is not None:
            return _matching(request.guided_regex, turn.prompt)
        if isinstance(shape, JsonObjectFormat):
            return _json_object(whole, turn)
    except (Impossible, Unsupported) as error:
        raise Refusal(400, "invalid_request_entity", f"Invalid request: {error}") from None
    if request.guided_grammar is not None:
        raise Refusal(400, "invalid_request_entity", "Invalid request: guided_grammar needs a brain with weights")
    if turn.results:
        return "\n".join(f"{name} says: {result}" for name, result in turn.results)
    return plain_answer(whole, turn.prompt)


def plain_answer(whole: str, prompt: str) -> str:
    """Return JSON when the prompt spells out a schema, a fitting sentence of its context, or an echo."""
    schema = embedded(whole) if "json" in whole.lower() else None
    if schema is not None:
        return _grown(schema, Turn(prompt, (), ()))
    return answer_from(whole, prompt) or f"You said: {prompt}"


def _grown(schema: dict[str, Any], turn: Turn) -> str:
    prompt = Prompt("\n".join([turn.prompt, *(result for _, result in turn.results)]))
    return json.dumps(Grower(schema, prompt).grow(), ensure_ascii=False)


def _json_object(whole: str, turn: Turn) -> str:
    schema = embedded(whole)
    if schema is not None:
        return _grown(schema, turn)
    said = "\n".join([turn.prompt, *(result for _, result in turn.results)])
    keys = named_keys(whole)
    values = {key: f"{key}: {said}" for key in keys} or {"answer": f"You said: {said}"}
    return json.dumps(values, ensure_ascii=False)


def _chosen(choices: Sequence[str], prompt: str) -> str:
    lowered = prompt.lower()
    named = [choice for choice in choices if choice.lower() in lowered]
    wanted = stems(prompt)
    return named[0] if named else max(choices, key=lambda choice: len(stems(choice) & wanted))


def _matching(pattern: str, prompt: str) -> str:
    try:
        compiled = re.compile(pattern)
    except (re.error, FutureWarning) as error:
        raise Unsupported(f"{pattern!r} is not a regular expression: {error}") from None
    match = compiled.search(prompt)
    if match and match.group() and compiled.fullmatch(match.group()):
        return match.group()
    made = example(pattern)
    if not compiled.fullmatch(made):
        raise Unsupported(f"no example for {pattern!r}")
    return made


def _thinks(request: ChatRequest) -> bool:
    if request.include_reasoning is not None:
        return request.include_reasoning and not _switched_off(request)
    wishes = request.chat_template_kwargs or {}
    asked = bool(wishes.get("thinking") or wishes.get("enable_thinking") or request.reasoning_effort)
    return asked or any(
        isinstance(message, ControlMessage) and message.content == "thinking" for message in request.messages
    )


def _switched_off(request: ChatRequest) -> bool:
    wishes = request.chat_template_kwargs or {}
    return wishes.get("thinking") is False or wishes.get("enable_thinking") is False


# --------------------------------------------------------------------------- counting and cutting


def count_prompt(request: ChatRequest) -> int:
    """Return how many tokens a conversation and its tools take."""
    total = 0
    for message in request.messages:
        total += MESSAGE_OVERHEAD + len(tokenize(text_of(message)))
        if isinstance(message, UserMessage) and isinstance(message.content, list):
            total += MEDIA_TOKENS * sum(part.type != "text" for part in message.content)
    if request.tools:
        total += len(tokenize(json.dumps([tool.to_wire() for tool in request.tools])))
    return total


def cut(text: str, stops: Iterable[str], *, keep_stop: bool) -> tuple[str, bool]:
    """Cut a text at the first stop sequence; returns whether there was one."""
    found = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, False
    place, stop = min(found)
    return text[: place + len(stop) if keep_stop else place], True


def _budget(card: ModelCard, read: int, newer: int | None, older: int | None, default: int) -> int:
    asked = newer if newer is not None else older
    most = min(card.max_output_tokens, card.max_sequence_length - read)
    return max(0, min(most if asked == 0 else default if asked is None else asked, most))


def _check_length(card: ModelCard, read: int) -> None:
    if read >= card.max_sequence_length:
        message = (
            f"Invalid input argument for Model '{card.model_id}': the number of input tokens {read} cannot exceed "
            f"the total tokens limit {card.max_sequence_length} for this model"
        )
        raise Refusal(400, "invalid_input_argument", message)


def _scored(tokens: Sequence[str], alternatives: int) -> tuple[Token, ...]:
    """Give tokens log probabilities that depend on nothing but their text."""
    scored = []
    for token in tokens:
        logprob = -(zlib.crc32(token.encode("utf-8", "surrogatepass")) % 1000) / 1000
        others = [(token, logprob), *((f"{token}~{rank}", logprob - rank) for rank in range(1, alternatives))]
        scored.append(Token(token, logprob, tuple(others[:alternatives])))
    return tuple(scored)
