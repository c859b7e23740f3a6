"""The arguments of ChatWatsonx: the parameters of an answer, and how answers are read."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, StrictInt

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.fields import ModelFields
from wx_integrations.langchain.arguments import params_as_dict, refuse_unknown
from wx_integrations.langchain.content import MediaPolicy
from wx_integrations.langchain.parameters import NAMES, check, normal
from wx_integrations.langchain.profiles import ShippedProfile

_OTHER_CLIENTS = {
    "watsonx_client": "give connection=, or the credentials themselves",
    "watsonx_model": "give model_id, deployment_id or model",
    "watsonx_model_gateway": "give model",
}
"""Arguments of langchain-ibm's class that hold another SDK's objects."""


class ChatFields(ModelFields):
    """Parameters of chat requests as an adapter's arguments; None leaves the service's default.

    Each can also be given per call, where it wins. See the watsonx.ai API
    reference, "Text chat", for their meaning and bounds.
    """

    model_config = ConfigDict(defer_build=True)

    frequency_penalty: float | None = Field(default=None, strict=True)
    """-2 to 2: makes words that were already used less likely, the more often they were."""
    presence_penalty: float | None = Field(default=None, strict=True)
    """-2 to 2: makes words that were already used less likely."""
    repetition_penalty: float | None = Field(default=None, strict=True)
    """Makes tokens of the question and of the answer so far less likely; 1 changes nothing."""
    length_penalty: float | None = Field(default=None, strict=True)
    """Above 0 makes long answers likelier, where the model searches several ways (beams)."""
    logit_bias: dict[str, StrictInt] | None = None
    """Token ids as text, and how much likelier (up to 100) or unlikelier (-100) each becomes."""
    logprobs: bool | None = Field(default=None, strict=True)
    """Give the log probabilities in `response_metadata["logprobs"]`."""
    top_logprobs: int | None = Field(default=None, strict=True)
    """0 to 20 alternatives for each token; needs `logprobs=True`."""
    max_tokens: int | None = Field(default=None, strict=True)
    """The older name of `max_completion_tokens`."""
    max_completion_tokens: int | None = Field(default=None, strict=True)
    """The most tokens of the answer; 0 means as many as the model can (the service's default is 1024)."""
    n: int | None = Field(default=None, strict=True)
    """Answers per request; more than one cannot be streamed."""
    response_format: Any = None
    """A wire format (`{"type": "json_object"}`, ...) or a schema: pydantic class, TypedDict, JSON Schema."""
    seed: int | None = Field(default=None, strict=True)
    """The same seed and the same question give the same answer, as far as the service can."""
    stop: list[str] | None = None
    """Up to 4 texts that end the answer."""
    temperature: float | None = Field(default=None, strict=True)
    """0 to 2; 0 always takes the likeliest token."""
    top_p: float | None = Field(default=None, strict=True)
    """0 to 1: considers the likeliest tokens that add up to this probability."""
    time_limit: int | None = Field(default=None, strict=True)
    """Milliseconds after which the service ends the answer."""
    guided_choice: list[str] | None = None
    """The answer is one of these."""
    guided_regex: str | None = None
    """The answer matches this."""
    guided_grammar: str | None = None
    """The answer follows this grammar (EBNF)."""
    guided_json: Any = None
    """The answer is JSON of this schema (JSON Schema, pydantic class or TypedDict)."""
    include_reasoning: bool | None = Field(default=None, strict=True)
    """Whether the service sends the model's reasoning; it does by default."""
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    """How long a reasoning model thinks before it answers."""
    chat_template_kwargs: dict[str, Any] | None = None
    """Settings of the model's chat template, such as `{"thinking": True}`."""
    moderations: dict[str, Any] | None = None
    """Detectors for input and output: hap, pii, granite_guardian."""
    context: str | None = None
    """Text for a deployed prompt template; deployments only."""
    crypto: dict[str, Any] | None = None
    """The encryption key to use: `{"key_ref": ...}`; not for deployments."""

    params: Annotated[Any, Field(exclude=True, repr=False)] = None
    """Parameters as a dictionary or an object with `to_dict`; each becomes the argument of its name."""
    streaming: bool = False
    """Ask for a stream in `invoke` as well, so that callbacks see tokens as they come."""
    validate_model: bool = True
    """When the service refuses the model, look it up once and say which one may be meant or follows it."""
    thinking_tags: bool = True
    """Part an answer that begins with `<think>...</think>` into reasoning and text."""
    recover_tool_calls: bool = False
    """Take calls of offered tools that a model wrote as text (`<tool_call>...`) as calls."""
    first_tool_call_only: bool = False
    """Keep the first tool call of an answer and drop the others."""
    media_urls: MediaPolicy = "refuse"
    """What to do with `http(s)` URLs of images and videos: "refuse", "forward" as they are, or "fetch" and embed."""

    OWN_ARGUMENTS: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def _prepared(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for name in settings:
            if name in _OTHER_CLIENTS:
                raise ConfigurationError(
                    f"{cls.__name__} does not take {name}", hint=_OTHER_CLIENTS[name].capitalize(), field=name
                )
        refuse_unknown(settings, cls.argument_names(), cls.__name__)
        return super()._prepared(_with_plain_schemas(_without_stale_profile(_with_params(settings))))

    def _check(self) -> None:
        super()._check()
        check(self.parameters, type(self).__name__)
        if self.streaming and self.n is not None and self.n > 1:
            raise ConfigurationError(
                "n is more than 1 and streaming is on; LangChain adds a stream up to one message",
                hint="Leave streaming off, or n at 1",
                field="n",
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that are set."""
        fields = self.__dict__
        return {name: fields[name] for name in NAMES if fields.get(name) is not None}


def _with_params(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with each entry of `params` as the argument of its name.

    Raises:
        ConfigurationError: a parameter is unknown, or given twice with different values.
    """
    params = params_as_dict(settings.get("params"))
    if not params:
        return settings
    refuse_unknown(params, NAMES, "params")
    for name, value in params.items():
        if settings.get(name) is not None and settings[name] != value:
            raise ConfigurationError(
                f"{name} is given both in params and as an argument, with different values",
                hint="Give it once",
                field=name,
            )
    return {**settings, **params, "params": None}


def _with_plain_schemas(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with classes given as schemas in the shape of the wire, which JSON can carry."""
    classes = {
        name: settings[name] for name in ("response_format", "guided_json") if isinstance(settings.get(name), type)
    }
    return {**settings, **normal(classes)} if classes else settings


def _without_stale_profile(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without a profile that was found for another model (as `configurable_fields` copies it)."""
    profile = settings.get("profile")
    if isinstance(profile, ShippedProfile) and profile.model_id != settings.get("model_id"):
        return {name: value for name, value in settings.items() if name != "profile"}
    return settings
