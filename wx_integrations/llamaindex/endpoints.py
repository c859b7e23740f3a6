"""The two endpoints an LLM uses, chat and text generation, in their four colours each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse

from wx_integrations.core import calls
from wx_integrations.core.adoption import Adopted
from wx_integrations.core.advice import advice, concerns_model
from wx_integrations.core.calls import Call, StreamCall, Target
from wx_integrations.core.client import AsyncClient, Client
from wx_integrations.core.errors import ServiceError, WatsonxError
from wx_integrations.llamaindex import answers, media, requests
from wx_integrations.llamaindex.metadata import DescribedModel

if TYPE_CHECKING:  # few programs need the shapes of the model list
    from wx_integrations.core.wire.models import ModelSpecsPage

T = TypeVar("T")
S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)


class Folding(Protocol[S_contra, T_co]):
    """Folds the frames of a stream into responses; `end` checks that there was an answer, and returns what is left."""

    def feed(self, frame: S_contra) -> T_co | None: ...

    def end(self) -> T_co | None: ...


if TYPE_CHECKING:
    Base = DescribedModel
else:  # a mixin: each further pydantic class with this many fields costs milliseconds at import
    Base = object


class Endpoints(Base):
    """Requests out, responses in. What is sent is built before the first byte of an answer is waited for."""

    # ------------------------------------------------------------------ chat

    def _chat(self, history: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatResponse:
        if self._generates(kwargs):
            return answers.chat_of(self._generate(self._prompt_of(history), kwargs))
        target, said = self._conversation(history, media.read(media.unread(history)), kwargs)
        completion = self._run(calls.chat(target, said.request), target, kwargs)
        return answers.from_completion(completion, single_call=said.single_call)

    async def _achat(self, history: Sequence[ChatMessage], kwargs: Mapping[str, Any]) -> ChatResponse:
        if self._generates(kwargs):
            return answers.chat_of(await self._agenerate(self._prompt_of(history), kwargs))
        target, said = self._conversation(history, await _read(history), kwargs)
        completion = await self._arun(calls.chat(target, said.request), target, kwargs)
        return answers.from_completion(completion, single_call=said.single_call)

    def _stream_chat(
        self, history: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> Generator[ChatResponse, None, None]:
        if self._generates(kwargs):
            return mapped(answers.chat_of, self._stream_generate(self._prompt_of(history), kwargs))
        target, said = self._conversation(history, media.read(media.unread(history)), kwargs)
        fold = answers.Fold(single_call=said.single_call)
        client = self.session_with(kwargs).client
        return self._stream(client, calls.chat_stream(target, said.request), target, fold)

    async def _astream_chat(
        self, history: Sequence[ChatMessage], kwargs: Mapping[str, Any]
    ) -> AsyncGenerator[ChatResponse, None]:
        if self._generates(kwargs):
            return amapped(answers.chat_of, self._astream_generate(self._prompt_of(history), kwargs))
        target, said = self._conversation(history, await _read(history), kwargs)
        fold = answers.Fold(single_call=said.single_call)
        client = self.session_with(kwargs).async_client
        return self._astream(client, calls.chat_stream(target, said.request), target, fold)

    def _conversation(
        self, history: Sequence[ChatMessage], contents: media.Contents, kwargs: Mapping[str, Any]
    ) -> tuple[Target, requests.Conversation]:
        target = self.target_for(**requests.target_names(kwargs))
        layers = self.parameter_layers
        return target, requests.conversation(target, history, contents, layers, kwargs, strict=self.strict)

    # ------------------------------------------------------------------ text generation

    def _generate(self, prompt: str, kwargs: Mapping[str, Any]) -> CompletionResponse:
        from wx_integrations.llamaindex.generations import from_generation

        target, request = self._generation(prompt, kwargs)
        return from_generation(self._run(calls.generate(target, request), target, kwargs))

    async def _agenerate(self, prompt: str, kwargs: Mapping[str, Any]) -> CompletionResponse:
        from wx_integrations.llamaindex.generations import from_generation

        target, request = self._generation(prompt, kwargs)
        return from_generation(await self._arun(calls.generate(target, request), target, kwargs))

    def _stream_generate(self, prompt: str, kwargs: Mapping[str, Any]) -> Generator[CompletionResponse, None, None]:
        from wx_integrations.llamaindex.generations import TextFold

        target, request = self._generation(prompt, kwargs)
        client = self.session_with(kwargs).client
        return self._stream(client, calls.generate_stream(target, request), target, TextFold())

    def _astream_generate(self, prompt: str, kwargs: Mapping[str, Any]) -> AsyncGenerator[CompletionResponse, None]:
        from wx_integrations.llamaindex.generations import TextFold

        target, request = self._generation(prompt, kwargs)
        client = self.session_with(kwargs).async_client
        return self._astream(client, calls.generate_stream(target, request), target, TextFold())

    def _generation(self, prompt: str, kwargs: Mapping[str, Any]) -> tuple[Target, Any]:
        target = self.target_for(**requests.target_names(kwargs))
        return target, requests.generation(target, prompt, self.parameter_layers, kwargs)

    def _prompt_of(self, history: Sequence[ChatMessage]) -> str:
        """Return a conversation as one prompt, by the user's `messages_to_prompt` or the framework's."""
        requests.text_only(history)
        assert self.messages_to_prompt is not None  # the framework fills it in
        return self.messages_to_prompt(history)

    # ------------------------------------------------------------------ what a refusal means

    def _run(self, call: Call[T], target: Target, kwargs: Mapping[str, Any]) -> T:
        try:
            return self.session_with(kwargs).client.run(call)
        except ServiceError as error:
            if self._may_explain(error, target):
                self._explain(error, target, _quietly(self.client.run, calls.model_specs()))
            raise

    async def _arun(self, call: Call[T], target: Target, kwargs: Mapping[str, Any]) -> T:
        try:
            return await self.session_with(kwargs).async_client.run(call)
        except ServiceError as error:
            if self._may_explain(error, target):
                self._explain(error, target, await self._amodels())
            raise

    def _stream(
        self, client: Client, call: StreamCall[S], target: Target, fold: Folding[S, T]
    ) -> Generator[T, None, None]:
        try:
            with closing(client.stream(call)) as frames:
                for frame in frames:
                    if (response := fold.feed(frame)) is not None:
                        yield response
            if (last := fold.end()) is not None:
                yield last
        except ServiceError as error:
            if self._may_explain(error, target):
                self._explain(error, target, _quietly(self.client.run, calls.model_specs()))
            raise

    async def _astream(
        self, client: AsyncClient, call: StreamCall[S], target: Target, fold: Folding[S, T]
    ) -> AsyncGenerator[T, None]:
        try:
            async with Adopted(client.stream(call)) as frames:
                async for frame in frames:
                    if (response := fold.feed(frame)) is not None:
                        yield response
            if (last := fold.end()) is not None:
                yield last
        except ServiceError as error:
            if self._may_explain(error, target):
                self._explain(error, target, await self._amodels())
            raise

    def _may_explain(self, error: ServiceError, target: Target) -> bool:
        return self.validate_model and isinstance(target, calls.Model) and concerns_model(error)

    def _explain(self, error: ServiceError, target: Target, models: ModelSpecsPage | None) -> None:
        """Put what the model list says into the error, if it says something."""
        if models is not None:
            function = "text_generation" if self._generates({}) else "text_chat"
            error.hint = advice(target.name, models.resources, function=function) or error.hint

    async def _amodels(self) -> ModelSpecsPage | None:
        try:
            return await self.async_client.run(calls.model_specs())
        except WatsonxError:
            return None


def _quietly(run: Callable[[Call[T]], T], call: Call[T]) -> T | None:
    try:
        return run(call)
    except WatsonxError:
        return None


async def _read(history: Sequence[ChatMessage]) -> media.Contents:
    """Read the messages' files, in a thread: files have no asynchronous form. Without files there is no thread."""
    blocks = media.unread(history)
    return await asyncio.to_thread(media.read, blocks) if blocks else {}


def mapped(function: Callable[[S], T], source: Generator[S, None, None]) -> Generator[T, None, None]:
    """Yield what a function makes of each item; closing this closes the source."""
    with closing(source):
        for item in source:
            yield function(item)


async def amapped(function: Callable[[S], T], source: AsyncGenerator[S, None]) -> AsyncGenerator[T, None]:
    """Yield what a function makes of each item; closing this closes the source."""
    async with Adopted(source) as items:
        async for item in items:
            yield function(item)
