"""The envelope of an inference request: which model answers, in which scope, or behind which deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wx_integrations.emulator.bodies import read_object
from wx_integrations.emulator.brain import ModelCard
from wx_integrations.emulator.exchange import Reply, json_reply
from wx_integrations.emulator.refusals import Refused
from wx_integrations.emulator.service import (
    Deployed,
    Visit,
    missing_deployment,
    missing_function,
    unsupported_model,
)

SSE = {"content-type": "text/event-stream"}


@dataclass(frozen=True)
class Opened:
    """A request after its envelope: the model, the deployment if it is one, and the rest of the body."""

    card: ModelCard
    rest: dict[str, Any]
    deployed: Deployed | None = None


def open_body(visit: Visit, function: str | None) -> Opened:
    """Read the body and find who answers.

    Args:
        function: what the model must be able to do, None for anything.

    Raises:
        Refused: no JSON, no scope, no such model or deployment, or one that cannot do it.
    """
    data = read_object(visit)
    if "deployment" in visit.arguments:
        return _open_deployment(visit, data, function)
    model_id = data.pop("model_id", None)
    if model_id is None:
        raise Refused(
            400,
            "invalid_request_entity",
            "Invalid request: `model_id` is a required field",
            target=("field", "model_id"),
        )
    if not isinstance(model_id, str):
        raise Refused(
            400, "json_type_error", "Invalid request: `model_id` must be a string", target=("field", "model_id")
        )
    check_scope(visit, data.pop("project_id", None), data.pop("space_id", None))
    card = visit.service.card(model_id)
    if card is None or any(stage["id"] == "withdrawn" for stage in reached(visit, card)):
        raise unsupported_model(model_id)
    can(card, function)
    return Opened(card, data)


def _open_deployment(visit: Visit, data: dict[str, Any], function: str | None) -> Opened:
    for name in ("model_id", "project_id", "space_id"):
        if name in data and visit.service.strict:
            message = f"Invalid request: `{name}` is not a known field; the deployment says which model and where"
            raise Refused(400, "json_validation_error", message, target=("field", name))
        data.pop(name, None)
    card, deployed = deployed_as(visit, visit.arguments["deployment"], function)
    return Opened(card, data, deployed)


def deployed_as(visit: Visit, name: str, function: str | None) -> tuple[ModelCard, Deployed]:
    """Return what a deployment's id or serving name stands for.

    Raises:
        Refused: there is no such deployment, or its model cannot do what is asked.
    """
    if visit.service.deployments is None:
        fitting = [card for card in visit.service.brain.cards if function is None or function in card.functions]
        if not fitting:
            raise missing_deployment(name)
        return fitting[0], Deployed(fitting[0].model_id)
    deployed = visit.service.deployments.get(name)
    card = visit.service.card(deployed.model_id) if deployed else None
    if deployed is None or card is None:
        raise missing_deployment(name)
    can(card, function)
    return card, deployed


def check_scope(visit: Visit, project_id: Any, space_id: Any) -> None:
    """Check that a request names the project or the space it runs in.

    Raises:
        Refused: neither, both (when strict), not text, or one that does not exist.
    """
    for name, value in (("project_id", project_id), ("space_id", space_id)):
        if value is not None and not (isinstance(value, str) and value):
            raise Refused(400, "json_type_error", f"Invalid request: `{name}` must be a string", target=("field", name))
    if project_id is None and space_id is None:
        message = "Invalid request: either `project_id` or `space_id` is required"
        raise Refused(400, "invalid_request_entity", message, target=("field", "project_id"))
    if project_id is not None and space_id is not None and visit.service.strict:
        message = "Invalid request: give either `project_id` or `space_id`, not both"
        raise Refused(400, "invalid_request_entity", message, target=("field", "space_id"))
    name, value = ("project_id", project_id) if project_id is not None else ("space_id", space_id)
    if visit.service.projects is not None and value not in visit.service.projects:
        message = f"{name} {value} is not associated with a WML instance"
        raise Refused(403, "no_associated_service_instance_error", message)


def reached(visit: Visit, card: ModelCard) -> list[Mapping[str, Any]]:
    """Return the lifecycle stages that a model has reached."""
    today = visit.service.timestamp()[:10]
    return [stage for stage in card.lifecycle if str(stage.get("start_date", "")) <= today]


def can(card: ModelCard, function: str | None) -> None:
    """Check that a model can do something.

    Raises:
        Refused: it cannot.
    """
    if function is not None and function not in card.functions:
        raise missing_function(card.model_id, function)


def lifecycle_warnings(visit: Visit, card: ModelCard) -> list[dict[str, Any]]:
    """Return the notice that a deprecated model's answers carry."""
    stages = [stage for stage in reached(visit, card) if stage["id"] in ("deprecated", "constricted")]
    if not stages:
        return []
    others = ", ".join(stages[-1].get("alternative_model_ids", ())) or "none"
    text = (
        f"Model '{card.model_id}' is {stages[-1]['id']} since {stages[-1]['start_date']}. Alternative models: {others}"
    )
    return [{"message": text}]


def whole(visit: Visit, body: Any, tokens: int) -> Reply:
    """Return a whole answer, as late as its tokens take."""
    reply = json_reply(200, body)
    pacing = visit.service.pacing
    return Reply(200, reply.headers, reply.body, wait=pacing.first + pacing.each * max(0, tokens - 1))
