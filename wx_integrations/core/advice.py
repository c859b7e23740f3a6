"""What to say when the service refuses a model: what may be meant, what follows it, what can do the job; pure."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from wx_integrations.core.errors import NotFound, ServiceError

if TYPE_CHECKING:
    from wx_integrations.core.wire.models import ModelSpec

_CODES = frozenset({"model_not_supported", "model_no_support_for_function"})


def concerns_model(error: ServiceError) -> bool:
    """Whether a refusal may be about the model, so that looking it up may help."""
    return error.code in _CODES or (isinstance(error, NotFound) and error.code is None)


def advice(
    model_id: str, specs: Iterable[ModelSpec], *, function: str = "text_chat", today: str | None = None
) -> str | None:
    """Return the next step for a refused model, or None if the list does not explain the refusal.

    Args:
        model_id: the model that was asked for.
        specs: the model list, withdrawn models included.
        function: what it should have done: text_chat, text_generation, embedding, rerank, ...
        today: YYYY-MM-DD; stages that begin later do not count. By default the date of the call.
    """
    today = today or datetime.date.today().isoformat()
    models = list(specs)
    spec = next((spec for spec in models if spec.model_id == model_id), None)
    if spec is None:
        near = _near(model_id, [spec.model_id for spec in models])
        return f"Did you mean {' or '.join(map(repr, near))}?" if near else None
    stage, successors = _stage(spec, today)
    if stage == "withdrawn" and successors:
        return f"{model_id} is withdrawn; its successor is {' or '.join(map(repr, successors))}"
    if spec.functions is not None and function not in {item.id for item in spec.functions}:
        able = [item.model_id for item in models if function in {each.id for each in item.functions or ()}]
        some = _near(model_id, able) or sorted(able)[:3]
        others = f"; models that do: {', '.join(map(repr, some))}" if some else ""
        return f"{model_id} does not offer {function}{others}"
    if successors:
        return f"{model_id} is {stage}; its successor is {' or '.join(map(repr, successors))}"
    return f"{model_id} is {stage}" if stage in ("withdrawn", "constricted") else None


def _near(model_id: str, known: Sequence[str]) -> list[str]:
    """Return the ids that look like this one, with or without the provider in front."""
    found: list[str] = []
    for form in (_whole, _bare):
        by_form = {form(item): item for item in known}
        found += [by_form[name] for name in difflib.get_close_matches(form(model_id), by_form)]
    return list(dict.fromkeys(found))[:2]


def _whole(model_id: str) -> str:
    return model_id.lower()


def _bare(model_id: str) -> str:
    return model_id.lower().rpartition("/")[2]


def _stage(spec: ModelSpec, today: str) -> tuple[str, list[str]]:
    """Return the stage a model is in today, and the successors that its stages up to now name."""
    begun = [stage for stage in spec.lifecycle or () if not stage.start_date or stage.start_date[:10] <= today]
    ids = [stage.id for stage in begun]
    names = [name for stage in begun for name in stage.alternative_model_ids or ()]
    worst = next((stage for stage in ("withdrawn", "constricted", "deprecated") if stage in ids), "available")
    return worst, list(dict.fromkeys(names))
