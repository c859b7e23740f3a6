"""WatsonxLLM: text generation of watsonx.ai, deployments and the Model Gateway for LangChain."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from copy import copy
from typing import Any, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models import BaseLLM, LangSmithParams
from langchain_core.outputs import GenerationChunk, LLMResult
from pydantic import PrivateAttr

from wx_integrations.core import calls
from wx_integrations.core.adoption import Adopted
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.session import Session
from wx_integrations.core.wire.text import Generation, GenerationRequest
from wx_integrations.core.wire.tokenization import Tokenization
from wx_integrations.langchain import serialization
from wx_integrations.langchain.counting import Counting
from wx_integrations.langchain.generations import Fold, notes, summary, to_result
from wx_integrations.langchain.llm_fields import LLMFields
from wx_integrations.langchain.metadata import warn


class WatsonxLLM(Counting, LLMFields, BaseLLM):
    """Text generation with IBM watsonx.ai.

    Give `model_id` (a model of the catalogue, within a project or space),
    `deployment_id`, or `model` (the Model Gateway). Connection settings that
    are left out come from WATSONX_* variables. Building one touches no
    network.

        llm = WatsonxLLM(model_id="ibm/granite-3-8b-base", max_new_tokens=100)
        llm.invoke("The meaning of life is")

    A call's own parameters win over the object's and never stay with it. The
    prompts of one `generate` or `batch` are sent at once, at most
    `max_concurrency` at a time.

    Raises:
        ConfigurationError: an argument is unknown, wrong or missing; nothing was sent.
    """

    _given: dict[str, Any] = PrivateAttr(default_factory=dict)
    """The parameters of the call that this copy is for."""
    _token_counts: dict[str, int] = PrivateAttr(default_factory=dict)
    _tokenizer_missing: bool = PrivateAttr(default=False)
    _estimate_told: bool = PrivateAttr(default=False)

    # ------------------------------------------------------------------ calls with their own parameters
    # LangChain leaves a call's parameters out of the key under which it caches answers, so each
    # call with parameters runs on a copy that has them.

    def generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Continue several prompts at once, each as if it were alone.

        Args:
            prompts: what to continue.
            stop: texts that end each of them.
            callbacks: LangChain's.
            **kwargs: parameters of these calls, and LangChain's own (`tags`, `metadata`, `run_name`, `run_id`).

        Raises:
            ConfigurationError: a parameter is unknown or wrong; nothing was sent.
        """
        framework, rest = _parted(kwargs)
        return super(WatsonxLLM, self._for_call(stop, rest)).generate(prompts, stop, callbacks, **framework)

    async def agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Continue several prompts at once; see `generate`."""
        framework, rest = _parted(kwargs)
        return await super(WatsonxLLM, self._for_call(stop, rest)).agenerate(prompts, stop, callbacks, **framework)

    def stream(self, input: Any, config: Any = None, *, stop: list[str] | None = None, **kwargs: Any) -> Iterator[str]:
        """Yield the text as it comes.

        Args:
            input: a prompt, as a text, a prompt value or messages.
            config: LangChain's RunnableConfig.
            stop: texts that end it.
            **kwargs: parameters of this call.

        Raises:
            ConfigurationError: a parameter is unknown or wrong; nothing was sent.
            StreamBroken: the text began and failed.
        """
        own = self._for_call(stop, _parted(kwargs)[1])
        yield from super(WatsonxLLM, own).stream(input, config, stop=stop)

    async def astream(
        self, input: Any, config: Any = None, *, stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[str]:
        """Yield the text as it comes; see `stream`."""
        own = self._for_call(stop, _parted(kwargs)[1])
        async with Adopted(
            cast("AsyncGenerator[str]", super(WatsonxLLM, own).astream(input, config, stop=stop))
        ) as pieces:
            async for piece in pieces:
                yield piece

    def _for_call(self, stop: list[str] | None, given: Mapping[str, Any]) -> Self:
        """Return the model with the parameters of one call, itself when there are none."""
        _ = self._request("", stop, given)  # wrong parameters are refused before callbacks hear of the call
        if not given:
            return self
        own = copy(self)
        own.__dict__.pop("_serialized", None)  # langchain-core keeps it, and it describes the original
        own._given = {**self._given, **given}
        return own

    # ------------------------------------------------------------------ whole texts

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        stream: bool | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        if self._streams(prompts, stream):
            return self._folded(list(self._stream(prompts[0], stop, run_manager, **kwargs)), kwargs)
        requests = [self._request(prompt, stop, kwargs) for prompt in prompts]
        client = self._session_for(kwargs).client
        if len(requests) == 1:
            return self._result([client.run(calls.generate(*requests[0]))], kwargs)
        with ThreadPoolExecutor(min(self.max_concurrency, len(requests) or 1), "watsonx-llm") as pool:
            running = [
                pool.submit(contextvars.copy_context().run, client.run, calls.generate(*one)) for one in requests
            ]
            try:
                answers = [future.result() for future in running]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self._result(answers, kwargs)

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream: bool | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        if self._streams(prompts, stream):
            chunks = [chunk async for chunk in self._astream(prompts[0], stop, run_manager, **kwargs)]
            return self._folded(chunks, kwargs)
        requests = [self._request(prompt, stop, kwargs) for prompt in prompts]
        places = asyncio.Semaphore(self.max_concurrency)

        client = self._session_for(kwargs).async_client

        async def run(target: calls.Target, request: GenerationRequest) -> Generation:
            async with places:
                return await client.run(calls.generate(target, request))

        running = [asyncio.ensure_future(run(*request)) for request in requests]
        try:
            answers = await asyncio.gather(*running)
        except BaseException:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            raise
        return self._result(answers, kwargs)

    def _request(
        self, prompt: str, stop: list[str] | None, given: Mapping[str, Any]
    ) -> tuple[calls.Target, GenerationRequest]:
        said = {**self._given, **given}
        if stop is not None:
            if said.get("stop_sequences") is not None:
                raise ConfigurationError("both stop and stop_sequences are given", hint="Give stop", field="stop")
            said["stop"] = stop
        return self.request_for(prompt, said)

    def _session_for(self, given: Mapping[str, Any]) -> Session:
        return self.session_with({**self._given, **given})

    def _result(self, answers: list[Generation], given: Mapping[str, Any]) -> LLMResult:
        for answer in answers:
            warn(notes(answer))
        return to_result(answers, self.target_of({**self._given, **given}))

    def _streams(self, prompts: list[str], asked: bool | None) -> bool:
        if asked and len(prompts) > 1:
            raise ConfigurationError(
                "only one prompt at a time can be streamed", hint="Leave stream out", field="stream"
            )
        return asked if asked is not None else self.streaming and len(prompts) == 1

    def _folded(self, chunks: list[GenerationChunk], given: Mapping[str, Any]) -> LLMResult:
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        info = whole.generation_info or {}
        counts = info.get("input_token_count", 0), info.get("generated_token_count", 0)
        target = self.target_of({**self._given, **given})
        return LLMResult(generations=[[whole]], llm_output=summary(*counts, info.get("model_name"), target))

    # ------------------------------------------------------------------ streams

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        target, request = self._request(prompt, stop, kwargs)
        fold = Fold()
        client = self._session_for(kwargs).client
        with closing(client.stream(calls.generate_stream(target, request))) as frames:
            for frame in frames:
                chunk = fold.feed(frame)
                if chunk is not None:
                    if run_manager is not None:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        warn(fold.notes)
        yield fold.finish()

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        target, request = self._request(prompt, stop, kwargs)
        fold = Fold()
        client = self._session_for(kwargs).async_client
        async with Adopted(client.stream(calls.generate_stream(target, request))) as frames:
            async for frame in frames:
                chunk = fold.feed(frame)
                if chunk is not None:
                    if run_manager is not None:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        warn(fold.notes)
        yield fold.finish()

    # ------------------------------------------------------------------ tokens

    def get_tokens(self, text: str) -> list[str]:
        """Return the tokens of a text as pieces of text; the service tells no ids.

        Raises:
            ConfigurationError: deployments and the Model Gateway have no tokenization.
        """
        return list(self.client.run(self._tokenization(text)).result.tokens or ())

    async def aget_tokens(self, text: str) -> list[str]:
        """Return the tokens of a text as pieces of text."""
        return list((await self.async_client.run(self._tokenization(text))).result.tokens or ())

    def _tokenization(self, text: str) -> calls.Call[Tokenization]:
        target = self.target
        if isinstance(target, calls.Deployment):
            raise ConfigurationError(
                "deployments have no tokenization", hint="Ask a WatsonxLLM with model_id", field="deployment_id"
            )
        return calls.tokenize(target, text, return_tokens=True)

    # ------------------------------------------------------------------ what LangChain wants to know

    @property
    def _llm_type(self) -> str:
        return "watsonx-llm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What decides the answer: model, place, scope and parameters; LangChain's cache key."""
        target = self.target_of(self._given)
        facts = {name: value for name, value in vars(target).items() if value is not None}
        place = {"kind": type(target).__name__.lower(), "url": self.settled_connection.hosts.ml}
        return {**facts, **place, **self.settings_for(self._given)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        given = {**self._given, **_parted(kwargs)[1]}
        settings = self.settings_for(given)
        params = LangSmithParams(ls_provider="ibm", ls_model_type="llm", ls_model_name=self.target_of(given).name)
        if (temperature := settings.get("temperature")) is not None:
            params["ls_temperature"] = temperature
        if (limit := settings.get("max_new_tokens")) is not None:
            params["ls_max_tokens"] = limit
        if ends := stop if stop is not None else settings.get("stop_sequences"):
            params["ls_stop"] = ends
        return params

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain's `dumps` takes it: yes, without secrets."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that stands for each secret in LangChain's `dumps`."""
        return serialization.secrets(self)

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """The settings that LangChain's `dumps` writes beside the constructor's arguments."""
        return serialization.attributes(self)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model; changed settings are checked.

        Args:
            update: settings by name.
            deep: copy what the settings hold as well; what is live is shared.

        Raises:
            ConfigurationError: a setting is unknown, wrong or contradicts another.
        """
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("_serialized", None)  # langchain-core keeps it, and it describes the original
        return copied


_FRAMEWORK = frozenset({"tags", "metadata", "run_name", "run_id", "stream"})
"""What LangChain passes along that is no parameter of the generation."""


def _parted(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return LangChain's own arguments and the parameters of the call."""
    framework = {name: value for name, value in given.items() if name in _FRAMEWORK}
    return framework, {name: value for name, value in given.items() if name not in _FRAMEWORK}
