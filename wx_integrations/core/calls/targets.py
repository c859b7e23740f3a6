"""Targets: what runs a call, and where model, scope, deployment path or gateway model go.

Deployments get neither a model nor a scope in the body; the gateway speaks
OpenAI's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire.shapes import Sent

_NOT_DEPLOYED = frozenset({"text/embeddings", "text/rerank"})
"""Operations without a deployment's path in the API reference and the official SDKs."""

_GATEWAY_PATHS = MappingProxyType(
    {
        "text/chat": "chat/completions",
        "text/chat_stream": "chat/completions",
        "text/generation": "completions",
        "text/generation_stream": "completions",
        "text/embeddings": "embeddings",
    }
)


class _Value:
    """What is equal when its class and its fields are."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Model(_Value):
    """A model of the catalogue, used within one project or one space."""

    versioned: ClassVar = True

    def __init__(self, model_id: str, project_id: str | None = None, space_id: str | None = None) -> None:
        self.model_id: Final = model_id
        self.project_id: Final = project_id
        self.space_id: Final = space_id

    @property
    def name(self) -> str:
        return self.model_id

    def path(self, operation: str) -> str:
        return f"/ml/v1/{operation}"

    def stamp(self, body: Sent) -> dict[str, Any]:
        if getattr(body, "context", None) is not None:
            raise ConfigurationError(
                "context is for deployments only",
                hint="Give deployment_id, or put the text in a message",
                field="context",
            )
        _refuse_two_scopes(self.project_id, self.space_id)
        if self.project_id:
            return {"model_id": self.model_id, "project_id": self.project_id, **body.to_wire()}
        if self.space_id:
            return {"model_id": self.model_id, "space_id": self.space_id, **body.to_wire()}
        raise ConfigurationError(
            "neither project_id nor space_id is set",
            hint="Give project_id (WATSONX_PROJECT_ID) or space_id (WATSONX_SPACE_ID)",
            field="project_id",
            env="WATSONX_PROJECT_ID",
        )

    def headers(self) -> Mapping[str, str] | None:
        return None


class Deployment(_Value):
    """A deployment, by id or serving name; the body names neither model nor scope."""

    versioned: ClassVar = True

    def __init__(self, deployment_id: str) -> None:
        self.deployment_id: Final = deployment_id

    @property
    def name(self) -> str:
        return self.deployment_id

    def path(self, operation: str) -> str:
        if operation in _NOT_DEPLOYED:
            raise ConfigurationError(
                f"deployments have no {operation.removeprefix('text/')}", hint="Use model_id", field="deployment_id"
            )
        return f"/ml/v1/deployments/{quote(self.deployment_id, safe='')}/{operation}"

    def stamp(self, body: Sent) -> dict[str, Any]:
        if getattr(body, "crypto", None) is not None:
            raise ConfigurationError("crypto does not apply to deployments", field="crypto")
        return body.to_wire()

    def headers(self) -> Mapping[str, str] | None:
        return None


class Gateway(_Value):
    """A model of the Model Gateway, by its provider's id or alias; the scope travels in a header."""

    versioned: ClassVar = False

    def __init__(self, model: str, project_id: str | None = None, space_id: str | None = None) -> None:
        self.model: Final = model
        self.project_id: Final = project_id
        self.space_id: Final = space_id

    @property
    def name(self) -> str:
        return self.model

    def path(self, operation: str) -> str:
        path = _GATEWAY_PATHS.get(operation)
        if path is None:
            raise ConfigurationError(
                f"the Model Gateway has no {operation.removeprefix('text/')}",
                hint="Use model_id or deployment_id instead of model",
                field="model",
            )
        return f"/ml/gateway/v1/{path}"

    def stamp(self, body: Sent) -> dict[str, Any]:
        from wx_integrations.core.wire import gateway  # its shapes cost milliseconds that few need

        try:
            return {"model": self.model, **gateway.translate(body)}
        except gateway.NotOnTheGateway as error:
            raise ConfigurationError(str(error), field=error.name) from None

    def headers(self) -> Mapping[str, str] | None:
        _refuse_two_scopes(self.project_id, self.space_id)
        if self.project_id:
            return {"X-IBM-Project-ID": self.project_id}
        return {"X-IBM-Space-ID": self.space_id} if self.space_id else None


Target = Model | Deployment | Gateway


def _refuse_two_scopes(project_id: str | None, space_id: str | None) -> None:
    if project_id and space_id:
        raise ConfigurationError(
            "both project_id and space_id are set",
            hint="Give one of them: project_id (WATSONX_PROJECT_ID) or space_id (WATSONX_SPACE_ID)",
            field="project_id",
            env="WATSONX_PROJECT_ID",
        )
