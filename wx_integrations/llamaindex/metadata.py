"""What a WatsonxLLM is: its settings, and the metadata LlamaIndex decides by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from llama_index.core.base.llms.types import LLMMetadata, MessageRole
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_NUM_OUTPUTS
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import ConfigDict, PrivateAttr, ValidationError

from wx_integrations.core import calls
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.profiles import ModelProfile, from_spec, profile_of
from wx_integrations.core.wire.chat import check_parameters
from wx_integrations.llamaindex import parameters
from wx_integrations.llamaindex.serialization import with_connection
from wx_integrations.llamaindex.tokenizer import WatsonxTokenizer

if TYPE_CHECKING:  # shapes that few programs need
    from wx_integrations.core.wire.models import ModelSpecsPage

_CHAT_LIMIT, _GENERATION_LIMIT = 1024, 20
"""Output tokens when a request names no limit (watsonx.ai API reference)."""


class DescribedModel(ModelFields, parameters.ParameterFields, FunctionCallingLLM):
    """The settings of an LLM and what follows from them; no request but the refresh."""

    model_config = ConfigDict(defer_build=True)  # only the last of the line is ever made

    use_text_generation: bool | None = None
    """Whether to use the text generation endpoint; by default only for models without chat."""
    context_window: int | None = None
    """Tokens of input and output together, for models that the shipped table does not know."""
    is_chat_model: bool | None = None
    """Whether LlamaIndex may use it for conversations; by default as its endpoint can."""
    is_function_calling_model: bool | None = None
    """Whether LlamaIndex may give it tools; by default unless the shipped table says that the model has none."""
    strict: bool | None = None
    """Whether tools and schemas ask to be followed strictly."""
    structured_output: Literal["json_schema", "function_calling"] | None = None
    """How structured predictions are asked for; by default as the model's profile says."""
    validate_model: bool = False
    """Whether a model id that the service refuses is looked up in its model list, to say what to use instead."""

    _profile: ModelProfile | None = PrivateAttr(default=None)
    _tokenizer: WatsonxTokenizer | None = PrivateAttr(default=None)

    @classmethod
    def _prepared(cls, settings: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in settings.items() if name != "callback_manager" or value is not None}
        return super()._prepared(kept)

    def _check(self) -> None:
        super()._check()
        parameters.known_names_only(self.additional_params or {})
        if self._generates({}):
            parameters.for_generation(*self.parameter_layers)
            return
        try:
            check_parameters(parameters.for_chat(*self.parameter_layers))
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, self.class_name()) from None

    def _generates(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether a call goes to text generation: as it says, as the constructor says, as the model can."""
        asked = kwargs.get("use_text_generation")
        if asked is None:
            asked = self.use_text_generation
        if asked is not None:
            return bool(asked)
        return _lacks_chat(self.profile)

    # ------------------------------------------------------------------ metadata

    @property
    def profile(self) -> ModelProfile | None:
        """What is known about the model: refreshed, or from the shipped table; None when nothing is."""
        found: ModelProfile | None = self._private["_profile"]
        return found if found is not None and found.model_id == self.model_id else profile_of(self.model_id)

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex decides by; from the settings and the profile, without asking the service."""
        profile = self.profile
        generates = _lacks_chat(profile) if self.use_text_generation is None else self.use_text_generation
        chat = self.is_chat_model if self.is_chat_model is not None else not generates
        tools = self.is_function_calling_model
        if tools is None:
            tools = chat and (profile is None or profile.tool_calling is not False)
        return LLMMetadata(
            context_window=self.context_window or (profile and profile.context_window) or DEFAULT_CONTEXT_WINDOW,
            num_output=self._num_output(profile, _GENERATION_LIMIT if generates else _CHAT_LIMIT),
            is_chat_model=chat,
            is_function_calling_model=tools,
            model_name=self.target.name,
            system_role=MessageRole.SYSTEM,
        )

    def _num_output(self, profile: ModelProfile | None, usual: int) -> int:
        """Return how many tokens an answer can have: the limit set, or the one the service sets."""
        most = profile.max_output_tokens if profile else None
        limit = parameters.limit(*self.parameter_layers)
        if limit is None:
            limit = usual
        if limit == 0:  # the model's own maximum
            return most or DEFAULT_NUM_OUTPUTS
        return min(limit, most) if most else limit

    def to_payload(self) -> dict[str, Any]:
        """Return what observers may see: metadata and parameters, nothing secret."""
        fields, further = self.parameter_layers
        return {**super().to_payload(), "parameters": {**fields, **further}}

    # ------------------------------------------------------------------ refresh

    def refresh_profile(self) -> ModelProfile:
        """Ask the service's model list about the model, and go by its answer from now on.

        Raises:
            ConfigurationError: it is no model of the catalogue, or not in the list.
        """
        self._profile = self._found(self.client.run(calls.model_specs(filters=self._filter())))
        return self._profile

    async def arefresh_profile(self) -> ModelProfile:
        """Ask the service's model list about the model, and go by its answer from now on.

        Raises:
            ConfigurationError: it is no model of the catalogue, or not in the list.
        """
        self._profile = self._found(await self.async_client.run(calls.model_specs(filters=self._filter())))
        return self._profile

    def _filter(self) -> str:
        if not self.model_id:
            raise ConfigurationError(
                "the model list knows models of the catalogue only",
                hint="Give context_window, is_chat_model and is_function_calling_model instead",
                field="model_id",
            )
        return f"modelid_{self.model_id}"

    def _found(self, page: ModelSpecsPage) -> ModelProfile:
        for spec in page.resources:
            if spec.model_id == self.model_id:
                return from_spec(spec)
        raise ConfigurationError(
            f"{self.model_id} is not in the service's model list",
            hint="Check model_id and region (WATSONX_URL): models differ by region",
            field="model_id",
        )

    # ------------------------------------------------------------------ tokens and dictionaries

    def _start_afresh(self) -> None:
        super()._start_afresh()
        self._tokenizer = None

    @property
    def tokenizer(self) -> WatsonxTokenizer:
        """The model's own tokens, from the service: `Settings.tokenizer = llm.tokenizer`."""
        if self._tokenizer is None or self._tokenizer.target != self.target:
            self._tokenizer = WatsonxTokenizer(self.session, self.target)
        return self._tokenizer

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the settings as data, without secrets; `kwargs` as of pydantic's `model_dump`."""
        return with_connection(self, super().to_dict(**kwargs))


def _lacks_chat(profile: ModelProfile | None) -> bool:
    return profile is not None and profile.chat is False
