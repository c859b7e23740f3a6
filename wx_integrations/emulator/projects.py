"""The platform routes that clients read on their way to inference: version, projects and spaces."""

from __future__ import annotations

from typing import Any

from wx_integrations.emulator.exchange import Reply, json_reply
from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import Route, Visit


def version(visit: Visit) -> Reply:
    """Return the software's version, by which clients tell Cloud Pak for Data."""
    return json_reply(200, {"version": visit.service.version})


def project(visit: Visit) -> Reply:
    """Return a project with its storage and its associated runtime."""
    return json_reply(200, _container(visit, "project"))


def space(visit: Visit) -> Reply:
    """Return a space with its storage and its associated runtime."""
    return json_reply(200, _container(visit, "space"))


def _container(visit: Visit, kind: str) -> dict[str, Any]:
    name = visit.arguments["id"]
    known = visit.service.projects
    if known is not None and name not in known:
        raise Refused(404, "not_found", f"{kind.capitalize()} {name} does not exist")
    runtime = {"type": "machine_learning", "name": "watsonx.ai Runtime", "guid": "emulator", "crn": "crn:v1:emulator"}
    entity: dict[str, Any] = {
        "name": f"Emulated {kind}",
        "storage": {"type": "bmcos_object_storage", "guid": "emulator", "properties": {}},
        "compute": [runtime],
    }
    if kind == "space":
        entity["status"] = {"state": "active"}
    metadata = {"guid" if kind == "project" else "id": name, "url": f"/v2/{kind}s/{name}"}
    return {"metadata": {**metadata, "created_at": "2024-01-01T00:00:00.000Z"}, "entity": entity}


ROUTES = (
    Route("GET", "/ml/wml_services/v2/version", version, token=False),
    Route("GET", "/v2/projects/{id}", project, place="platform", family="platform"),
    Route("GET", "/v2/spaces/{id}", space, place="platform", family="platform"),
)
