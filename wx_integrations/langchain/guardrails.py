"""Moderations of a text, in the words of the API or of the official SDK's `guardrails` arguments; pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from wx_integrations.core.errors import ConfigurationError

NAMES = (
    "moderations",
    "guardrails",
    "guardrails_hap_params",
    "guardrails_pii_params",
    "guardrails_granite_guardian_params",
)
"""Every argument that says how a text is moderated; a call that gives one says it all anew."""

_DETECTORS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "hap": frozenset({"input", "output", "threshold", "mask"}),
        "pii": frozenset({"input", "output", "mask"}),
        "granite_guardian": frozenset({"input", "threshold", "mask"}),
    }
)
"""What each detector takes (official Java and Node SDKs): PII has no threshold, Granite Guardian reads input only."""


def moderations_of(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return `moderations` as it is sent, or None for none.

    `guardrails=True` alone turns the HAP detector on for input and output,
    as in the official SDK; the detectors' parameters need `guardrails=True`.

    Raises:
        ConfigurationError: both ways are used, or a detector does not take a parameter.
    """
    said = {name: given[name] for name in NAMES if given.get(name) is not None}
    ready = said.pop("moderations", None)
    guarded = said.pop("guardrails", None)
    if ready is not None and (guarded or said):
        other = "guardrails" if guarded else next(iter(said))
        raise ConfigurationError(f"both moderations and {other} are given", hint="Give one", field=other)
    if ready is not None:
        return _mapping("moderations", ready) or None
    if said and not guarded:
        name = next(iter(said))
        raise ConfigurationError(f"{name} without guardrails=True has no effect", hint="Give both", field=name)
    if not guarded:
        return None
    wanted = {name.removeprefix("guardrails_").removesuffix("_params"): value for name, value in said.items()}
    if "hap" not in wanted and "granite_guardian" not in wanted:
        wanted = {"hap": {}, **wanted}
    return {name: _detector(name, _mapping(f"guardrails_{name}_params", value)) for name, value in wanted.items()}


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name}: must be a dictionary, not {type(value).__name__}", field=name)
    return dict(value)


def _detector(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    field = f"guardrails_{name}_params"
    known = _DETECTORS[name]
    for key in settings:
        if key not in known:
            raise ConfigurationError(
                f"{field}: {name} takes no {key!r}", hint=f"It takes {', '.join(sorted(known))}", field=field
            )
    sides: dict[str, Any] = {}
    for side in ("input", "output"):
        if side not in known:
            continue
        enabled = settings.get(side, True)
        if not isinstance(enabled, bool):
            raise ConfigurationError(f"{field}: {side} must be True or False", field=field)
        sides[side] = {"enabled": enabled}
        if enabled and "threshold" in settings:
            sides[side]["threshold"] = settings["threshold"]
    if "mask" in settings:
        sides["mask"] = settings["mask"]
    return sides
