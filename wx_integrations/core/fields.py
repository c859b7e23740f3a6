"""The fields every adapter of both frameworks has: the connection's, and the model's.

An adapter is a framework's class with these mixed in:

    class WatsonxEmbeddings(ModelFields, Embeddings): ...

Construction opens nothing: fields and environment become a frozen
Connection, model or deployment becomes a target, contradictions raise
ConfigurationError.
"""

import contextlib
import copy
import os
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

import httpx
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)

from wx_integrations.core.calls import Deployment, Gateway, Model, Target
from wx_integrations.core.client import AsyncClient, Client
from wx_integrations.core.connection import Connection
from wx_integrations.core.environment import fill_from_environment
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.login import AuthType
from wx_integrations.core.retry import RetryPolicy
from wx_integrations.core.secrets import SECRETS, Guarded, seal, unguarded
from wx_integrations.core.session import Session
from wx_integrations.core.settings import check_urls, unknown_argument
from wx_integrations.core.wire.late import Late

_ALIASES = {"apikey": "api_key"}
_SCOPES = ("project_id", "space_id")
_GUARDED = ("headers", "proxies")


class _Held:
    """The session an adapter keeps open; whether it does makes no difference between equal adapters."""

    def __init__(self) -> None:
        self.session: Session | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    __hash__ = None  # type: ignore[assignment]  # as of any model that holds it

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Held, ())


class ConnectionFields(BaseModel):
    """A Connection's settings as an adapter's arguments; see `Connection` for each.

    `connection=` gives a ready one instead. What is left open comes from
    WATSONX_* variables.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        defer_build=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
    )

    url: str | None = None
    region: str | None = None
    api_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("api_key", "apikey"), exclude=True)
    token: SecretStr | None = Field(default=None, exclude=True)
    token_function: Callable[[], Any] | None = Field(default=None, exclude=True)
    atoken_function: Callable[[], Awaitable[Any]] | None = Field(default=None, exclude=True)
    username: str | None = None
    password: SecretStr | None = Field(default=None, exclude=True)
    zen_api_key: SecretStr | None = Field(default=None, exclude=True)
    instance_id: str | None = None
    version: str | None = None
    auth_type: AuthType | None = None
    trusted_profile_id: str | None = None
    bedrock_url: str | None = None
    auth_url: str | None = None
    platform_url: str | None = None
    project_id: str | None = None
    space_id: str | None = None
    verify: bool | str | ssl.SSLContext | None = Field(default=None, exclude=True)
    proxies: Mapping[str, str] | None = Field(default=None, exclude=True)
    headers: Mapping[str, str] | None = Field(default=None, exclude=True)
    timeout: float | httpx.Timeout | None = Field(default=None, exclude=True)
    limits: httpx.Limits | None = Field(default=None, exclude=True)
    max_retries: int | None = None
    retry: Annotated[RetryPolicy, Late(RetryPolicy)] | None = Field(default=None, exclude=True)
    allow_http: bool = False
    use_private_token_url: bool = False
    pickle_secrets: bool = False
    httpx_client: httpx.Client | None = Field(default=None, exclude=True)
    async_httpx_client: httpx.AsyncClient | None = Field(default=None, exclude=True)
    connection: Annotated[Connection, Late(Connection)] | None = Field(default=None, exclude=True)

    _held: _Held = PrivateAttr(default_factory=_Held)
    _settled: Connection | None = PrivateAttr(default=None)
    _options: dict[str, Any] = PrivateAttr(default_factory=dict)
    """What `with_options` was given."""

    @field_validator(*_GUARDED, mode="before")
    @classmethod
    def _unguarded(cls, value: Any) -> Any:
        return unguarded(value) if isinstance(value, Mapping) else value

    @field_validator(*_GUARDED)
    @classmethod
    def _guarded(cls, value: Any) -> Any:
        return value if value is None else Guarded(value)

    OWN_ARGUMENTS: ClassVar[frozenset[str]] = frozenset()
    """Names that the adapter's own `__init__` or validators accept besides its fields."""

    def __init__(self, **settings: Any) -> None:
        seal(settings)
        check_urls(settings)
        settings = self._prepared(settings)
        check_urls(settings)
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise ConfigurationError.from_validation(error, type(self).__name__) from None
        self._settled = self._build_connection(Connection.of_checked)
        self._check()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(name, value) for name, value in super().__repr_args__() if name not in _SETTINGS]

    def _check(self) -> None:
        """Refuse contradictions among the fields; adapters extend it."""

    @classmethod
    def argument_names(cls) -> frozenset[str]:
        """The names the constructor accepts."""
        names = set(cls.model_fields) | set(_ALIASES) | cls.OWN_ARGUMENTS
        for field in cls.model_fields.values():
            if field.alias:
                names.add(field.alias)
            if isinstance(field.validation_alias, str):
                names.add(field.validation_alias)
            elif isinstance(field.validation_alias, AliasChoices):
                names.update(choice for choice in field.validation_alias.choices if isinstance(choice, str))
        return frozenset(names)

    @classmethod
    def _prepared(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments with unknown names refused and the environment's settings filled in."""
        known = cls.argument_names()
        for name in settings:
            if name not in known:
                raise unknown_argument(name, sorted(known), cls.__name__)
        if settings.get("api_key") is not None and settings.get("apikey") is not None:
            raise ConfigurationError("both api_key and apikey are set", hint="Give api_key only", field="apikey")
        names = [name for name in (*_CONNECTION_NAMES, "apikey") if name in settings]
        given = {name: settings[name] for name in names if settings[name] is not None}
        if settings.get("connection") is not None:
            extra = [name for name, value in given.items() if name not in _SCOPES and value is not False]
            if extra:
                raise ConfigurationError(
                    f"both connection and {', '.join(extra)} are given",
                    hint="Put them into the Connection",
                    field="connection",
                )
            return settings
        filled = fill_from_environment({_ALIASES.get(name, name): value for name, value in given.items()}, os.environ)
        rest = {name: value for name, value in settings.items() if name not in names}
        return rest | filled

    def _build_connection(self, make: Callable[..., Connection] = Connection) -> Connection:
        if self.connection is None:
            return make(**{name: getattr(self, name) for name in _CONNECTION_NAMES if self._is_given(name)})
        scope = {name: getattr(self, name) for name in _SCOPES if getattr(self, name) is not None}
        if not scope:
            return self.connection
        settings = {**self.connection.to_dict(), **scope}
        for name in set(_SCOPES) - set(scope):
            settings.pop(name, None)
        return Connection(**settings)

    def _is_given(self, name: str) -> bool:
        value = getattr(self, name)
        return value is not None and (value is not False or name == "verify")

    # ------------------------------------------------------------------ the live side

    @property
    def _private(self) -> dict[str, Any]:
        """The private attributes: each call needs some, and pydantic's own way to them is long."""
        private = self.__pydantic_private__
        assert private is not None
        return private

    @property
    def settled_connection(self) -> Connection:
        """The connection that fields and environment make."""
        own = self._private
        settled: Connection | None = own["_settled"]
        if settled is None:
            settled = own["_settled"] = self._build_connection()
        return settled

    @property
    def session(self) -> Session:
        """The live clients, shared with every adapter of an equal connection; nothing is opened yet."""
        held: _Held = self._private["_held"]
        if held.session is None:
            held.session = Session.of(self.settled_connection).with_options(**self._options)
        return held.session

    def _start_afresh(self) -> None:
        """Forget, in a copy, what was made for another session; adapters extend it."""
        self._held = _Held()

    def session_with(self, given: Mapping[str, Any]) -> Session:
        """Return the session for one call, with the `timeout` and the `retry` it was given, if it was."""
        timeout, retry = given.get("timeout"), given.get("retry")
        return self.session if timeout is None and retry is None else self.session.with_options(**options(given))

    def with_options(self, *, timeout: float | httpx.Timeout | None = None, retry: RetryPolicy | None = None) -> Self:
        """Return a copy whose calls have another timeout or retry policy; token and connections are the same ones.

        Args:
            timeout: seconds without a byte (or httpx.Timeout).
            retry: the policy.

        Raises:
            ConfigurationError: the timeout is none.
        """
        own = options({"timeout": timeout, "retry": retry})
        copied = self.model_copy()
        copied._options = {**self._options, **own}
        copied._start_afresh()
        copied._held.session = self.session.with_options(**own)
        return copied

    @property
    def client(self) -> Client:
        """The session's client for calls that wait."""
        return self.session.client

    @property
    def async_client(self) -> AsyncClient:
        """The session's client for coroutines."""
        return self.session.async_client

    def set_token(self, token: str) -> None:
        """Use this token from now on, for every adapter of an equal connection; it is not renewed."""
        self.client.set_token(token)

    # ------------------------------------------------------------------ copies and pickles

    def __getstate__(self) -> dict[Any, Any]:
        state = dict(super().__getstate__())
        fields = dict(state["__dict__"])
        connection = self.settled_connection
        shipped = connection.shipped()
        if not connection.pickle_secrets:
            fields |= {name: None for name in SECRETS if name in fields}
            fields |= {name: shipped.get(name) for name in _GUARDED if fields.get(name) is not None}
        private = dict(state.get("__pydantic_private__") or {})
        private |= {"_held": _Held(), "_settled": connection}
        return {**state, "__dict__": fields, "__pydantic_private__": private}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        # LlamaIndex makes the object anew out of its fields.
        self._options = dict((state.get("__pydantic_private__") or {}).get("_options") or {})
        if self._settled is None or self.connection is not None:
            return
        for name in SECRETS:
            if name in type(self).model_fields:
                self.__dict__[name] = getattr(self._settled, name)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy what is the adapter's own; its connection, and what is live, stays the same."""
        copied = self.__copy__()
        for name, value in copied.__dict__.items():
            if name not in _SETTINGS:
                with contextlib.suppress(TypeError):  # locks and the like
                    copied.__dict__[name] = copy.deepcopy(value, memo)
        return copied

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the adapter; changed settings make a connection of their own.

        Args:
            update: settings by name.
            deep: copy what the settings hold as well; what is live is shared.

        Raises:
            ConfigurationError: a setting is unknown, wrong or contradicts another.
        """
        changes = dict(update or {})
        seal(changes)
        check_urls(changes)
        changes |= {name: Guarded(unguarded(changes[name])) for name in _GUARDED if changes.get(name) is not None}
        known = type(self).model_fields
        for name in changes:
            if name not in known:
                raise unknown_argument(name, known, type(self).__name__)
        copied = super().model_copy(update=changes, deep=deep)
        if changes and copied.__pydantic_private__ is not None:
            if changes.keys() & _SETTINGS:
                copied._settled = None
                copied._start_afresh()
                copied._options = {name: value for name, value in self._options.items() if name not in changes}
                copied._settled = copied._build_connection()
            copied._check()
        return copied


CALL_OPTIONS = ("timeout", "retry")
"""What a call may bring of the connection's settings."""


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the timeout and the retry policy of a call, where given.

    Raises:
        ConfigurationError: the retry policy is none; what a timeout is, is checked where it is used.
    """
    found = {name: given[name] for name in CALL_OPTIONS if given.get(name) is not None}
    if "retry" in found and not isinstance(found["retry"], RetryPolicy):
        raise ConfigurationError("retry is no RetryPolicy", hint="RetryPolicy(retry_total=...)", field="retry")
    return found


_SETTINGS = frozenset(ConnectionFields.model_fields)
"""Who asks whom: shared by copies of an adapter, and not in its text, which may end in logs."""
_CONNECTION_NAMES = tuple(name for name in ConnectionFields.model_fields if name != "connection")


class ModelFields(ConnectionFields):
    """What runs: a model of the catalogue, a deployment, or a model of the Model Gateway."""

    model_id: str | None = None
    """A model of the catalogue, such as "ibm/granite-4-h-small"; needs a project or a space."""
    deployment_id: str | None = None
    """A deployment's id or serving name."""
    model: str | None = None
    """A model of the Model Gateway, by its provider's id or alias."""

    _usual: tuple[tuple[Any, ...], Target] | None = PrivateAttr(default=None)
    """The target of the fields, and the fields it was made of."""

    def _check(self) -> None:
        super()._check()
        _ = self.target

    @property
    def target(self) -> Target:
        """What the calls go to."""
        return self.target_for()

    def target_for(
        self, model_id: str | None = None, deployment_id: str | None = None, model: str | None = None
    ) -> Target:
        """Return the target, with one of its names overridden for a call.

        Args:
            model_id: a model of the catalogue.
            deployment_id: a deployment.
            model: a model of the Model Gateway; on an adapter for the catalogue it
                overrides `model_id`, as frameworks call every model `model`.

        Raises:
            ConfigurationError: none or more than one is named, or the scope is missing.
        """
        if not (model_id or deployment_id or model):
            return self._usual_target()
        if model is not None and model_id is None and deployment_id is None and self.model is None:
            model_id, model = model, None
        return self._named_target({"model_id": model_id, "deployment_id": deployment_id, "model": model})

    def _usual_target(self) -> Target:
        fields = self.__dict__
        made_of = (fields["model_id"], fields["deployment_id"], fields["model"], self.settled_connection)
        usual: tuple[tuple[Any, ...], Target] | None = self._private["_usual"]
        if usual is None or usual[0] != made_of:
            names = {name: fields[name] for name in ("model_id", "deployment_id", "model")}
            usual = self._usual = made_of, self._named_target(names)
        return usual[1]

    def _named_target(self, names: Mapping[str, str | None]) -> Target:
        given = {name: value for name, value in names.items() if value is not None}
        if len(given) != 1:
            some = " and ".join(given)
            raise ConfigurationError(
                f"both {some} are set" if given else "no model: model_id is not set",
                hint="Give exactly one of model_id (catalogue), deployment_id (deployment) and model (Model Gateway)",
                field=next(iter(given), "model_id"),
            )
        name, value = next(iter(given.items()))
        if not value.strip() or value != value.strip() or not value.isprintable():
            raise ConfigurationError(f"{name} is empty or has white space around it", field=name)
        return self._target(name, value)

    def _target(self, name: str, value: str) -> Target:
        connection = self.settled_connection
        if name == "deployment_id":
            return Deployment(value)
        if name == "model":
            return Gateway(value, connection.project_id, connection.space_id)
        return Model(value, **connection.scope())
