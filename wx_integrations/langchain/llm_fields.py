"""The arguments of WatsonxLLM: the parameters of a generation, under every name they are known by."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from wx_integrations.core.calls import Deployment, Target
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import CALL_OPTIONS, ModelFields
from wx_integrations.core.wire.text import GenerationParameters, GenerationRequest
from wx_integrations.langchain import guardrails
from wx_integrations.langchain.arguments import params_as_dict
from wx_integrations.langchain.parameters import TARGET_NAMES

NAMES = tuple(GenerationParameters.model_fields)
"""Every entry of a request's `parameters`."""

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "max_tokens": "max_new_tokens",
        "max_completion_tokens": "max_new_tokens",
        "seed": "random_seed",
        "stop": "stop_sequences",
    }
)
"""Names of the chat API and of OpenAI for the same things."""

BESIDE = (*guardrails.NAMES, "crypto")
"""Of the request, but beside its `parameters`."""

_OBJECTS = ("length_penalty", "return_options", "crypto")
"""What the official SDK has little classes for."""
_DEPLOYMENTS_ONLY = ("prompt_variables", "typical_p")
_CHAT_ONLY: Mapping[str, str] = MappingProxyType(
    {
        "n": "ask with the same prompt several times",
        "logprobs": "use return_options",
        "top_logprobs": "use return_options",
        "frequency_penalty": "use repetition_penalty",
        "presence_penalty": "use repetition_penalty",
        "response_format": "use ChatWatsonx",
        "tools": "use ChatWatsonx",
        "context": "use prompt_variables",
    }
)
_OTHER_CLIENTS = {
    "watsonx_client": "give connection=, or the credentials themselves",
    "watsonx_model": "give model_id, deployment_id or model",
    "watsonx_model_gateway": "give model",
}
"""Arguments of langchain-ibm's class that hold another SDK's objects."""


class LLMFields(ModelFields):
    """Parameters of generation requests as an adapter's arguments; None leaves the service's default.

    Each can also be given per call, where it wins. See the watsonx.ai API
    reference, "Text generation", for their meaning and bounds.
    """

    decoding_method: Literal["sample", "greedy"] | None = None
    """ "greedy" always takes the likeliest token; the service's default."""
    length_penalty: dict[str, Any] | None = None
    """`{"decay_factor": > 1, "start_index": >= 0}`: makes long texts less likely."""
    max_new_tokens: int | None = Field(default=None, strict=True)
    """The most tokens to write (the service's default is 20); also known as `max_tokens`."""
    min_new_tokens: int | None = Field(default=None, strict=True)
    """The least tokens to write."""
    random_seed: int | None = Field(default=None, strict=True)
    """At least 1; also known as `seed`."""
    stop_sequences: list[str] | None = None
    """Up to 6 texts that end the generation; also known as `stop`."""
    temperature: float | None = Field(default=None, strict=True)
    """0 to 2, for "sample"; higher takes unlikelier tokens more often."""
    time_limit: int | None = Field(default=None, strict=True)
    """Milliseconds after which the service ends the generation."""
    top_k: int | None = Field(default=None, strict=True)
    """For "sample": considers so many of the likeliest tokens."""
    top_p: float | None = Field(default=None, strict=True)
    """For "sample": considers the likeliest tokens that add up to this probability."""
    repetition_penalty: float | None = Field(default=None, strict=True)
    """1 to 2: makes tokens that were already used less likely."""
    truncate_input_tokens: int | None = Field(default=None, strict=True)
    """Cuts the start of a prompt that is longer."""
    return_options: dict[str, Any] | None = None
    """What to give beside the text: `{"generated_tokens": True, "token_logprobs": True, ...}`."""
    include_stop_sequence: bool | None = Field(default=None, strict=True)
    """Whether the text keeps the stop sequence at its end; it does by default."""
    prompt_variables: dict[str, Any] | None = None
    """Values of a deployed prompt template; deployments only."""
    typical_p: float | None = Field(default=None, strict=True)
    """Deployments only."""

    moderations: dict[str, Any] | None = None
    """Detectors for input and output as the API has them: hap, pii, granite_guardian, input_ranges."""
    guardrails: bool | None = Field(default=None, strict=True)
    """Turns moderation on in the official SDK's way: HAP on input and output, unless the next three say more."""
    guardrails_hap_params: dict[str, Any] | None = None
    """`{"input": bool, "output": bool, "threshold": 0..1, "mask": {...}}`."""
    guardrails_pii_params: dict[str, Any] | None = None
    """The same for personal information."""
    guardrails_granite_guardian_params: dict[str, Any] | None = None
    """The same for Granite Guardian, which looks at the input only."""
    crypto: dict[str, Any] | None = None
    """The encryption key to use: `{"key_ref": ...}`; not for deployments."""

    params: Annotated[Any, Field(exclude=True, repr=False)] = None
    """Parameters as a dictionary or an object with `to_dict`; each becomes the argument of its name."""
    streaming: bool = False
    """Ask for a stream when a single prompt is generated, so that callbacks see tokens as they come."""
    max_concurrency: int = Field(default=8, ge=1, strict=True)
    """How many prompts of one `generate` or `batch` are on their way at once."""

    OWN_ARGUMENTS: ClassVar[frozenset[str]] = frozenset(SYNONYMS)

    @classmethod
    def _prepared(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for name in settings:
            if name in _OTHER_CLIENTS:
                raise ConfigurationError(
                    f"{cls.__name__} does not take {name}", hint=_OTHER_CLIENTS[name].capitalize(), field=name
                )
        refuse_unknown(settings, cls.argument_names(), cls.__name__)
        params = _named_params(settings.get("params"))
        given = named(settings, cls.__name__)
        for name, value in params.items():
            if given.get(name) is not None and given[name] != value:
                raise ConfigurationError(
                    f"{name} is given both in params and as an argument, with different values",
                    hint="Give it once",
                    field=name,
                )
        return super()._prepared({**given, **params, "params": None} if params else given)

    def _check(self) -> None:
        super()._check()
        self.request_for("", {})

    # ------------------------------------------------------------------ requests

    def settings_for(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of one call, parameters and what is beside them: the defaults, overridden by the call's.

        None gives nothing; an empty list of stop sequences takes the default's away.

        Raises:
            ConfigurationError: a name is unknown, or given twice with different values.
        """
        owner = f"a call of {type(self).__name__}"
        refuse_unknown(given, (*NAMES, *BESIDE, *SYNONYMS, *TARGET_NAMES, *CALL_OPTIONS, "params"), owner)
        params = _named_params(given.get("params"))
        own = {name: value for name, value in named(given, owner).items() if value is not None}
        asked = {name: value for name, value in {**params, **own}.items() if name in NAMES or name in BESIDE}
        fields = self.__dict__
        default = {name: fields[name] for name in (*NAMES, *BESIDE) if fields.get(name) is not None}
        if any(name in asked for name in guardrails.NAMES):
            default = {name: value for name, value in default.items() if name not in guardrails.NAMES}
        whole = {**default, **asked}
        if whole.get("stop_sequences") == []:
            del whole["stop_sequences"]
        moderations = guardrails.moderations_of(whole)
        kept = {name: value for name, value in whole.items() if name not in guardrails.NAMES}
        return {**kept, "moderations": moderations} if moderations else kept

    def target_of(self, given: Mapping[str, Any]) -> Target:
        """Return what one call goes to; `given` are its own parameters."""
        return self.target_for(**{name: given.get(name) for name in TARGET_NAMES})

    def request_for(self, prompt: str, given: Mapping[str, Any]) -> tuple[Target, GenerationRequest]:
        """Return where one prompt goes, and the request.

        Args:
            prompt: the text to continue.
            given: the call's own parameters, which win.

        Raises:
            ConfigurationError: a parameter is out of bounds, or not for this target.
        """
        target = self.target_of(given)
        settings = self.settings_for(given)
        beside = {name: settings.pop(name) for name in ("moderations", "crypto") if name in settings}
        if not isinstance(target, Deployment):
            for name in _DEPLOYMENTS_ONLY:
                if name in settings:
                    raise ConfigurationError(f"{name} is for deployments only", hint="Give deployment_id", field=name)
        try:
            parameters = GenerationParameters(**settings) if settings else None
            request = GenerationRequest(input=prompt, parameters=parameters, **beside)
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, type(self).__name__) from None
        target.stamp(request)  # what a deployment or the gateway does not take is refused here
        return target, request


def named(settings: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return settings under the API's own names.

    Raises:
        ConfigurationError: one thing is given under two names with different values.
    """
    found: dict[str, Any] = {}
    for given, value in settings.items():
        name = SYNONYMS.get(given, given)
        if name == "stop_sequences" and isinstance(value, str):
            value = [value]
        if name in _OBJECTS and callable(getattr(value, "to_dict", None)):
            value = value.to_dict()
        if name in found and found[name] is not None and value is not None and found[name] != value:
            raise ConfigurationError(
                f"{owner}: {given} and another name of {name} have different values", hint="Give one", field=given
            )
        if value is not None or name not in found:
            found[name] = value
    return found


def _named_params(params: Any) -> dict[str, Any]:
    found = params_as_dict(params)
    refuse_unknown(found, (*NAMES, *BESIDE, *SYNONYMS), "params")
    return named(found, "params")


def refuse_unknown(names: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Refuse names that are not known.

    Raises:
        ConfigurationError: names the first unknown one, and the nearest known one or what to use instead.
    """
    allowed = set(known)
    for name in names:
        if name in allowed:
            continue
        near = difflib.get_close_matches(name, sorted(allowed), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else None
        if name in _CHAT_ONLY:
            hint = f"{name} belongs to the chat API: {_CHAT_ONLY[name]}"
        raise ConfigurationError(f"{owner} has no parameter {name!r}", hint=hint, field=name)
