"""Event streams for the oracle: a decoder that sees the whole body at once, and what its events say together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.fuzz.arguments import Said, assembled
from tests.fuzz.json_reading import ANYTHING, Unsure, Wrong, an_object, counted, objects, optional, parse, text
from tests.fuzz.reading import NO_STREAM, Facts, about, delta, gateway_generation, generation
from tests.fuzz.seeds import Answer, Kind

_LINES = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Frame:
    """One event."""

    name: str
    data: bytes


def decode(body: bytes) -> list[Frame]:
    """Return the events of a whole body, the last one too if nothing but its end is missing."""
    lines = _LINES.split(body.removeprefix(_BOM))
    rest = lines.pop()
    events: list[Frame] = []
    data: list[bytes] = []
    name = "message"
    for line in lines:
        if not line:
            if data or name != "message":
                events.append(Frame(name, b"\n".join(data)))
            name, data = "message", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace") or "message"
    if rest.startswith(b"data:"):
        data.append(rest.removeprefix(b"data:").removeprefix(b" "))
        if name != "error" and not _is_whole(b"\n".join(data)):
            return events
    if data or name != "message":
        events.append(Frame(name, b"\n".join(data)))
    return events


def _is_whole(data: bytes) -> bool:
    try:
        return data == b"[DONE]" or isinstance(parse(data), dict | list)
    except Wrong:
        return False


def read_stream(kind: Kind, answer: Answer) -> Facts:
    """Return what a stream says.

    Raises:
        Wrong: it must be refused.
        Unsure: it may be.
    """
    if answer.content_type.split(";")[0].strip().lower() in NO_STREAM:
        raise Wrong("not a stream")
    documents, done = _documents(answer.body)
    folded = _chat(documents) if kind == "chat_stream" else _text(kind, documents)
    if not (folded.pop("complete") or (done and documents)):
        raise Wrong("cut off")
    return folded


def _documents(body: bytes) -> tuple[list[dict[str, Any]], bool]:
    found: list[dict[str, Any]] = []
    for frame in decode(body):
        if frame.data == b"[DONE]":
            return found, True
        if not frame.data or frame.data == b"{}":
            continue
        if frame.name == "error":
            raise Wrong("an error event")
        data = an_object(parse(frame.data))
        if data.get("error") or data.get("errors"):
            if data.get("choices") or data.get("results"):
                raise Unsure("a frame and an error in one")
            raise Wrong("an error frame")
        found.append(data)
    return found, False


def _one_model(before: Any, now: str | None) -> Any:
    """Return the model that answers; frames that name several leave it open."""
    return ANYTHING if before is ANYTHING or (before and now and before != now) else before or now


# --------------------------------------------------------------------------- chat


def _chat(documents: list[dict[str, Any]]) -> Facts:
    facts: Facts = {"model": None, "usage": None, "warnings": [], "complete": False, "first": None}
    facts["explained"] = facts["doubled"] = False
    choices: dict[int, Facts] = {}
    for data in documents:
        said = about(data)
        facts["model"] = _one_model(facts["model"], said["model"])
        facts["usage"] = said["usage"] if said["usage"] is not None else facts["usage"]
        facts["warnings"] += said["warnings"]
        facts["explained"] |= bool(said["warnings"] or data.get("moderations") or data.get("detections"))
        speaks = False
        spoken = objects(data["choices"]) if "choices" in data else []
        if facts["first"] is None and spoken:
            facts["first"] = min(counted(choice, "index") for choice in spoken)
        facts["doubled"] |= len({counted(choice, "index") for choice in spoken}) < len(spoken)
        for choice in spoken:
            speaks |= _add(choice, choices)
            facts["complete"] |= bool(choice.get("finish_reason"))
        facts["complete"] |= said["usage"] is not None and not speaks
    for choice in choices.values():
        choice["calls"] = assembled(choice.pop("tool_calls"), choice["reason"])
    facts["choices"] = [choices[index] for index in sorted(choices)]
    said_something = any(choice["said"] or choice["calls"] for choice in choices.values())
    words = [message or id for id, message in facts["warnings"] if id == "UNSUITABLE_INPUT"]
    facts["blocked"] = words[0] if words and not said_something else None
    return facts


def _add(choice: dict[str, Any], choices: dict[int, Facts]) -> bool:
    """Add a choice of a frame to what was said before; returns whether it says something."""
    index = counted(choice, "index")
    message = optional(choice, "delta", an_object) or {}
    said = delta(message)
    reason = optional(choice, "finish_reason", text)
    logprobs = optional(choice, "logprobs", an_object)
    whole = choices.setdefault(
        index,
        {
            "index": index,
            "text": "",
            "thought": "",
            "refusal": "",
            "tool_calls": [],
            "reason": None,
            "said": False,
            "logprobs": None,
        },
    )
    for name in ("text", "thought", "refusal"):
        whole[name] += said[name]
    late: list[Said] = said["tool_calls"]
    if late and whole["reason"]:
        whole["tool_calls"] = [*whole["tool_calls"], Said(None, "", "", 0)]  # calls after the end: anybody's guess
    whole["tool_calls"] += late
    whole["reason"] = reason or whole["reason"]
    whole["said"] |= bool(said["text"])
    whole["logprobs"] = ANYTHING if logprobs is not None else whole["logprobs"]
    return any((*said.values(), message.get("role")))


# --------------------------------------------------------------------------- text


def _text(kind: Kind, documents: list[dict[str, Any]]) -> Facts:
    read = gateway_generation if kind == "gateway_generation_stream" else generation
    facts: Facts = {"text": "", "reason": None, "read": 0, "written": 0, "model": None, "complete": False}
    facts["silent"] = True
    for data in documents:
        frame = read(data)
        facts["model"] = _one_model(facts["model"], frame["model"])
        if len(frame["results"]) > 1:
            raise Unsure("several results in one frame")
        for result in frame["results"]:
            facts["silent"] = False
            facts["text"] += result["text"]
            facts["read"] = max(facts["read"], result["read"] or 0)
            facts["written"] = max(facts["written"], result["written"] or 0)
            if result["reason"] and result["reason"].lower() != "not_finished":
                facts["reason"] = result["reason"]
                facts["complete"] = True
    return facts
