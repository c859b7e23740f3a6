"""`init_chat_model("watsonx:ibm/granite-4-h-small")`: a ChatWatsonx by name, fixed or chosen at run time.

LangChain's own `init_chat_model` knows a closed set of providers; this helper
has its signature for ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from pydantic import SecretStr

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.secrets import GUARDED, SECRETS, seal
from wx_integrations.langchain.chat_models import ChatWatsonx

PROVIDERS = ("watsonx", "ibm")
_LATER = ("bind_tools", "with_structured_output")
_KEPT = 32


def init_chat_model(
    model: str | None = None,
    *,
    model_provider: str | None = None,
    configurable_fields: Literal["any"] | Sequence[str] | None = None,
    config_prefix: str | None = None,
    **settings: Any,
) -> ChatWatsonx | ConfigurableChatWatsonx:
    """Return a ChatWatsonx, or one whose settings are chosen at run time.

    Args:
        model: `"watsonx:<model_id>"` or a model id; may be left out when
            `deployment_id` is given or when it is configured at run time.
        model_provider: "watsonx" (or "ibm", as LangChain calls it).
        configurable_fields: names that `config={"configurable": {...}}` may set, or
            "any" (which lets whoever writes the config change keys and URLs, too). Give
            secrets there as `SecretStr`: chains put plain texts of a config into traces.
        config_prefix: the configurable names begin with it and an underscore.
        **settings: arguments of ChatWatsonx; defaults, if they are configurable.

    Raises:
        ConfigurationError: another provider, or nothing that names a model.
    """
    seal(settings)
    named = _settings(model, model_provider, settings)
    has_model = any(named.get(name) for name in ("model_id", "deployment_id", "model"))
    if configurable_fields is None and has_model:
        return ChatWatsonx(**named)
    if configurable_fields is None:
        configurable_fields = ("model", "model_id", "model_provider")
    return ConfigurableChatWatsonx(named, configurable_fields, f"{config_prefix}_" if config_prefix else "")


def _settings(model: str | None, provider: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return ChatWatsonx's arguments for a name such as "watsonx:ibm/granite-4-h-small"."""
    if provider is None and model is not None and ":" in model:
        provider, _, model = model.partition(":")
    elif model is not None and model.startswith(tuple(f"{name}:" for name in PROVIDERS)):
        model = model.partition(":")[2]
    if provider is not None and provider not in PROVIDERS:
        raise ConfigurationError(
            f"the provider {provider!r} is not ours",
            hint='Write "watsonx:<model_id>", or use langchain.chat_models.init_chat_model',
            field="model_provider",
        )
    named = dict(settings)
    if model:
        named["model_id"] = model
    return named


def _hashable(value: Any) -> Any:
    """Return what tells settings apart, secrets included: printed, they all look alike."""
    match value:
        case Mapping():
            return tuple(sorted((str(name), _hashable(inner)) for name, inner in value.items()))
        case list() | tuple():
            return tuple(map(_hashable, value))
    try:
        hash(value)
    except TypeError:
        return ("object", id(value))
    return (type(value), value)


class ConfigurableChatWatsonx(Runnable[LanguageModelInput, Any]):
    """A ChatWatsonx that is made when it runs, from defaults and the run's configuration.

    `bind_tools` and `with_structured_output` are remembered and applied to the
    model that is made.
    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        fields: Literal["any"] | Sequence[str],
        prefix: str,
        later: Sequence[tuple[str, tuple[Any, ...], Mapping[str, Any]]] = (),
    ) -> None:
        self._defaults = dict(defaults)
        self._fields: Literal["any"] | tuple[str, ...] = "any" if fields == "any" else tuple(fields)
        self._prefix = prefix
        self._later = tuple(later)
        self._made: dict[Any, ChatWatsonx] = {}

    def model(self, config: RunnableConfig | None = None) -> ChatWatsonx:
        """Return the model a configuration makes, without what was bound."""
        chosen = self._chosen(config)
        settings = {**self._defaults}
        name = chosen.pop("model", None) or chosen.pop("model_id", None)
        settings |= _settings(name, chosen.pop("model_provider", None), chosen)
        key = _hashable(settings)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _KEPT:
                self._made.pop(next(iter(self._made)))
            made = self._made[key] = ChatWatsonx(**settings)  # kept, as a model that is dropped drops its connections
        return made

    def _chosen(self, config: RunnableConfig | None) -> dict[str, Any]:
        given = ensure_config(config).get("configurable", {})
        chosen = {
            name.removeprefix(self._prefix): value for name, value in given.items() if name.startswith(self._prefix)
        }
        seal(chosen)
        known = ChatWatsonx.argument_names() | {"model_provider"}
        if self._fields == "any":
            return {name: value for name, value in chosen.items() if name in known}
        return {name: value for name, value in chosen.items() if name in self._fields}

    def _rest_of(self, config: RunnableConfig | None) -> RunnableConfig | None:
        """Return a configuration without the secrets that made the model: LangChain puts what is left into traces."""
        if config is None or not config.get("configurable"):
            return config
        used = {f"{self._prefix}{name}" for name in (*SECRETS, "apikey", *GUARDED)}
        left = {name: value for name, value in config["configurable"].items() if name not in used}
        return {**config, "configurable": left}

    def _runnable(self, config: RunnableConfig | None) -> Runnable[LanguageModelInput, Any]:
        made: Any = self.model(config)
        for name, arguments, settings in self._later:
            made = getattr(made, name)(*arguments, **settings)
        return made  # type: ignore[no-any-return]

    def __copy__(self) -> ConfigurableChatWatsonx:
        return ConfigurableChatWatsonx(self._defaults, self._fields, self._prefix, self._later)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> ConfigurableChatWatsonx:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        defaults = self._defaults
        if not defaults.get("pickle_secrets"):
            defaults = {name: value for name, value in defaults.items() if name not in (*SECRETS, "apikey")}
            for name in GUARDED:
                if any(isinstance(value, SecretStr) for value in (defaults.get(name) or {}).values()):
                    raise ConfigurationError(
                        f"{name}: hold secrets, which a pickle does not carry unless pickle_secrets=True", field=name
                    )
        return (ConfigurableChatWatsonx, (defaults, self._fields, self._prefix, self._later))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in _LATER:
            return self._remember(name)
        return getattr(self.model(), name)

    def _remember(self, name: str) -> Callable[..., ConfigurableChatWatsonx]:
        def remember(*arguments: Any, **settings: Any) -> ConfigurableChatWatsonx:
            return ConfigurableChatWatsonx(
                self._defaults, self._fields, self._prefix, (*self._later, (name, arguments, settings))
            )

        return remember

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._runnable(config).invoke(input, self._rest_of(config), **kwargs)

    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return await self._runnable(config).ainvoke(input, self._rest_of(config), **kwargs)

    def stream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        yield from self._runnable(config).stream(input, self._rest_of(config), **kwargs)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        async for value in self._runnable(config).astream(input, self._rest_of(config), **kwargs):
            yield value
