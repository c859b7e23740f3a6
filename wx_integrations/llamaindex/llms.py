"""WatsonxLLM: chat, completion, tools and structured output of watsonx.ai for LlamaIndex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools.types import BaseTool
from pydantic import ConfigDict

from wx_integrations.llamaindex import answers
from wx_integrations.llamaindex.endpoints import amapped, mapped
from wx_integrations.llamaindex.metadata import DescribedModel
from wx_integrations.llamaindex.structured import StructuredPrediction


class WatsonxLLM(StructuredPrediction, DescribedModel):
    """IBM watsonx.ai as LlamaIndex's LLM.

        llm = WatsonxLLM(model_id="ibm/granite-4-h-small", url="https://us-south.ml.cloud.ibm.com", project_id="...")
        llm.complete("What is granite?")

    Give exactly one of `model_id` (catalogue), `deployment_id` (deployment)
    and `model` (Model Gateway). Credentials and scope that are not given come
    from WATSONX_* variables. Nothing is sent before the first call.
    """

    model_config = ConfigDict(defer_build=False)

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex serialises it."""
        return "WatsonxLLM"

    # ------------------------------------------------------------------ chat

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation.

        Args:
            messages: what was said so far; they stay as they are.
            **kwargs: parameters of this call by their names here, which win; `tools`, `tool_choice`; and
                `model_id`, `deployment_id` or `model` instead of the object's.

        Raises:
            ConfigurationError: a parameter is unknown or wrong, or a block cannot be sent; nothing was sent.
            ServiceError: the service says no.
        """
        return self._chat(messages, kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation; `messages` and `kwargs` as of `chat`."""
        return await self._achat(messages, kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer a conversation piece by piece; each response shows the whole so far, `delta` what is new.

        Args:
            messages: as of `chat`.
            **kwargs: as of `chat`.

        Raises:
            StreamBroken: (on the way) the answer began and failed.
        """
        return self._stream_chat(messages, kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Answer a conversation piece by piece; `messages` and `kwargs` as of `chat`."""
        return await self._astream_chat(messages, kwargs)

    # ------------------------------------------------------------------ completion

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt: as a chat of one message, or by text generation.

        Args:
            prompt: the text.
            formatted: whether it is already as the user's `completion_to_prompt` makes it.
            **kwargs: as of `chat`; `use_text_generation` chooses the endpoint.
        """
        if self._generates(kwargs):
            return self._generate(self._wrapped(prompt, formatted), kwargs)
        return answers.completion_of(self._chat([ChatMessage(content=prompt)], kwargs))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt; `prompt`, `formatted` and `kwargs` as of `complete`."""
        if self._generates(kwargs):
            return await self._agenerate(self._wrapped(prompt, formatted), kwargs)
        return answers.completion_of(await self._achat([ChatMessage(content=prompt)], kwargs))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Answer a prompt piece by piece; `prompt`, `formatted` and `kwargs` as of `complete`."""
        if self._generates(kwargs):
            return self._stream_generate(self._wrapped(prompt, formatted), kwargs)
        return mapped(answers.completion_of, self._stream_chat([ChatMessage(content=prompt)], kwargs))

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """Answer a prompt piece by piece; `prompt`, `formatted` and `kwargs` as of `complete`."""
        if self._generates(kwargs):
            return self._astream_generate(self._wrapped(prompt, formatted), kwargs)
        return amapped(answers.completion_of, await self._astream_chat([ChatMessage(content=prompt)], kwargs))

    def _wrapped(self, prompt: str, formatted: bool) -> str:
        """Return a prompt as the user's `completion_to_prompt` wants it, unless it is so already."""
        assert self.completion_to_prompt is not None  # the framework fills it in
        return prompt if formatted else self.completion_to_prompt(prompt)

    # ------------------------------------------------------------------ tools

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the arguments of a chat with tools; the history stays as it is.

        The API cannot forbid parallel calls, so without
        `allow_parallel_tool_calls` the first call of an answer is kept.
        """
        from wx_integrations.llamaindex.tools import to_wire  # few chats have tools

        history = list(chat_history or ())
        if user_msg is not None:
            history.append(ChatMessage(content=user_msg) if isinstance(user_msg, str) else user_msg)
        offered = [tool.to_wire() for tool in to_wire(tools, strict=self.strict if strict is None else strict)]
        if tool_choice is None and offered and kwargs.get("tool_choice_option") is None:
            tool_choice = "required" if tool_required else "auto"
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        one_only = {} if allow_parallel_tool_calls else {"allow_parallel_tool_calls": False}
        return {"messages": history, "tools": offered, **choice, **one_only, **kwargs}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Return the tool calls of an answer.

        Args:
            response: of `chat_with_tools` or its twins.
            error_on_no_tool_call: raise ValueError when there is none.
            **kwargs: of other frameworks' LLMs; without effect.

        Raises:
            ValueError: there is none, and `error_on_no_tool_call` asks for one.
            OutputTruncated: the answer hit its token limit on the way.
            UnexpectedResponse: the arguments are no JSON object; `excerpt` is their text.
        """
        from wx_integrations.llamaindex.tools import selections

        return selections(response, error_on_no_tool_call=error_on_no_tool_call)
