"""Deployments as the service describes them; they are configured, not created here.

Source: watsonx.ai API reference, "Deployments".
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from wx_integrations.emulator.exchange import Reply, json_reply
from wx_integrations.emulator.opening import check_scope, deployed_as
from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import Deployed, Route, Visit

_STATES = ("initializing", "updating", "ready", "failed")


def describe(visit: Visit) -> Reply:
    """Describe one deployment, by id or serving name."""
    _check_scope(visit)
    name = visit.arguments["deployment"]
    return json_reply(200, _shown(visit, name, deployed_as(visit, name, None)[1]))


def list_all(visit: Visit) -> Reply:
    """List the configured deployments."""
    _check_scope(visit)
    query = visit.request.query
    if query.get("state", "ready") not in _STATES:
        message = f"Invalid request: `state` must be one of {', '.join(_STATES)}"
        raise Refused(400, "invalid_input_argument", message, target=("parameter", "state"))
    known = visit.service.deployments or {}
    rows = [_shown(visit, name, deployed) for name, deployed in known.items() if _is_asked_for(name, query)]
    base = visit.request.url.partition("?")[0]
    return json_reply(200, {"limit": 100, "first": {"href": base}, "resources": rows})


def _is_asked_for(name: str, query: Mapping[str, str]) -> bool:
    """Whether a deployment, which is always ready, fits the filters."""
    serving_name = None if _is_id(name) else name
    fits = query.get("name", name) == name and query.get("serving_name", serving_name) == serving_name
    return fits and query.get("state", "ready") == "ready"


def _check_scope(visit: Visit) -> None:
    query = visit.request.query
    check_scope(visit, query.get("project_id"), query.get("space_id"))


def _shown(visit: Visit, name: str, deployed: Deployed) -> dict[str, Any]:
    parts = urlsplit(visit.request.url)
    base = f"{parts.scheme}://{parts.netloc}/ml/v1/deployments/{name}/text/"
    query = visit.request.query
    scope = {key: query[key] for key in ("project_id", "space_id") if key in query}
    named = not _is_id(name)
    asset = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/asset"))
    templated = deployed.template is not None
    entity: dict[str, Any] = {
        "prompt_template" if templated else "asset": {"id": asset},
        "online": {"parameters": {"serving_name": name}} if named else {},
        "deployed_asset_type": "foundation_model" if templated else "curated_foundation_model",
        "base_model_id": deployed.model_id,
        "status": {
            "state": "ready",
            "message": {"level": "info", "text": "The deployment is successful"},
            "inference": [
                {"url": base + operation, **({"sse": True} if "stream" in operation else {})}
                for operation in ("generation", "generation_stream", "chat", "chat_stream")
            ],
        },
    }
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, name)) if named else name
    return {
        "metadata": {"id": identity, "created_at": "2024-01-01T00:00:00.000Z", **scope, "name": name},
        "entity": entity,
    }


def _is_id(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True


ROUTES = (
    Route("GET", "/ml/v4/deployments", list_all, versioned=True, anchor="deployments-list"),
    Route("GET", "/ml/v4/deployments/{deployment}", describe, versioned=True, anchor="deployments-get"),
)
