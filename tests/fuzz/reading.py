"""What whole answers say, read a second time and independently: the oracle that the package is compared with."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Any

from tests.fuzz.arguments import Said, whole_call
from tests.fuzz.json_reading import (
    ANYTHING,
    Unsure,
    Wrong,
    an_object,
    counted,
    items,
    number,
    objects,
    optional,
    parse,
    text,
    texts,
    whole,
)
from tests.fuzz.seeds import Answer, Kind

Facts = dict[str, Any]
NO_STREAM = ("application/json", "text/html", "application/xml", "text/xml")
_BLOCKED = "UNSUITABLE_INPUT"


def read_whole(kind: Kind, answer: Answer) -> Facts:
    """Return what an answer says.

    Raises:
        Wrong: it must be refused.
        Unsure: it may be.
    """
    if kind == "refusal":
        return refusal(answer)
    data = an_object(parse(answer.body.removeprefix(BOM_UTF8)))
    if data.get("error") or data.get("errors"):
        if any(data.get(name) for name in ("choices", "results", "resources", "result", "data", "output")):
            raise Unsure("an answer and an error in one")
        raise Wrong("an error")
    facts: Facts = _READERS[kind](data)
    return facts


# --------------------------------------------------------------------------- chat


def chat(data: dict[str, Any]) -> Facts:
    facts = about(data)
    if "choices" not in data:
        raise Wrong("no choices")
    facts["choices"] = [_choice(choice) for choice in objects(data["choices"])]
    silent = not any(choice["said"] for choice in facts["choices"])
    words = [message or _BLOCKED for id, message in facts["warnings"] if id == _BLOCKED]
    facts["blocked"] = words[0] if silent and words else None
    facts["explained"] = bool(facts["warnings"] or data.get("moderations") or data.get("detections"))
    return facts


def about(data: dict[str, Any]) -> Facts:
    """Return what every chat answer and frame says about itself."""
    usage = optional(data, "usage", an_object)
    system = optional(data, "system", an_object)
    notes = optional(system, "warnings", objects) if system else None
    for note in notes or ():
        counted_text(note, "message")
        for name in ("id", "more_info"):
            optional(note, name, text)
        optional(note, "additional_properties", an_object)
    for name in ("id", "model_version", "model"):
        optional(data, name, text)
    return {
        "model": optional(data, "model_id", text) or optional(data, "model", text),
        "usage": None if usage is None else usage_of(usage),
        "warnings": [(note.get("id"), note.get("message", "")) for note in notes or ()],
        "moderations": data.get("moderations"),
    }


def counted_text(data: dict[str, Any], name: str) -> str:
    """Return a text, empty if it is absent; null is wrong."""
    return "" if name not in data else text(data[name])


def usage_of(usage: dict[str, Any]) -> tuple[int, int, int]:
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        optional(usage, name, an_object)
    prompt, completion, total = (
        counted(usage, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    return prompt, completion, total


def log_probabilities(data: dict[str, Any] | None) -> list[list[tuple[str, float]]] | None:
    """Return each token with its alternatives, in the gateway's shape."""
    if data is None or not data.get("content"):
        return None
    found = []
    for token in objects(data["content"]):
        chosen = _scored(token)
        others = [_scored(other) for other in optional(token, "top_logprobs", objects) or ()]
        found.append([chosen, *(other for other in others if other[0] != chosen[0])])
    return found


def _scored(token: dict[str, Any]) -> tuple[str, float]:
    for name in ("bytes", "top_logprobs"):
        if not token.get(name) and not isinstance(token.get(name), list | None):
            raise Unsure("something empty instead of an empty list")
    given = optional(token, "bytes", lambda value: items(value, lambda byte: byte))
    if any(type(byte) is not int for byte in given or ()):
        raise Unsure("bytes that are none")
    return text(token.get("token")), number(token.get("logprob"))


def _choice(choice: dict[str, Any]) -> Facts:
    index = counted(choice, "index")
    message = optional(choice, "message", an_object)
    said = delta(message or {})
    reason = optional(choice, "finish_reason", text)
    calls = [whole_call(call, reason) for call in said.pop("tool_calls")]
    known = [call for call in calls if call is not None]
    return {
        **said,
        "index": index,
        "calls": known,
        "reason": reason,
        "logprobs": optional(choice, "logprobs", an_object),
        "mute": message is None,
        "said": bool(said["text"] or said["refusal"] or known),
    }


def delta(message: dict[str, Any]) -> Facts:
    """Return a message, or a piece of one."""
    optional(message, "role", text)
    return {
        "text": optional(message, "content", text) or "",
        "thought": optional(message, "reasoning_content", text) or optional(message, "reasoning", text) or "",
        "refusal": optional(message, "refusal", text) or "",
        "tool_calls": [Said.of(call) for call in optional(message, "tool_calls", objects) or ()],
    }


# --------------------------------------------------------------------------- text


def generation(data: dict[str, Any]) -> Facts:
    """A whole generation, or one frame of it; whether results are needed depends on which."""
    system = optional(data, "system", an_object)
    for note in (optional(system, "warnings", objects) if system else None) or ():
        about({"system": {"warnings": [note]}})
    optional(data, "model_version", text)
    if not {"results", "model_id", "created_at", "system", "model_version"} & set(data):
        raise Unsure("none of its fields")
    results = [] if "results" not in data else [_result(result) for result in objects(data["results"])]
    return {"results": results, "model": optional(data, "model_id", text)}


def _result(result: dict[str, Any]) -> Facts:
    if "generated_text" not in result:
        raise Wrong("a result without a text")
    optional(result, "seed", whole)
    optional(result, "input_tokens", objects)
    return {
        "text": text(result["generated_text"]),
        "reason": optional(result, "stop_reason", text),
        "read": optional(result, "input_token_count", whole),
        "written": optional(result, "generated_token_count", whole),
        "tokens": optional(result, "generated_tokens", objects),
    }


def generated_probabilities(tokens: list[dict[str, Any]] | None) -> None:
    """Check the log probabilities of generated tokens; tokens without one do not count."""
    for token in tokens or ():
        if token.get("logprob") is None:
            continue
        if not token.get("top_tokens") and not isinstance(token.get("top_tokens"), list | None):
            raise Unsure("something empty instead of an empty list")
        top = optional(token, "top_tokens", objects) or ()
        for item in (token, *top):
            text(item.get("text"))
        for item in (token, *(other for other in top if other["text"] != token["text"])):
            number(item.get("logprob"))


def gateway_generation(data: dict[str, Any]) -> Facts:
    usage = optional(data, "usage", an_object)
    prompt, completion, _ = usage_of(usage) if usage is not None else (None, None, None)
    results = []
    for choice in objects(data.get("choices")):
        counted(choice, "index")
        if "text" not in choice:
            raise Wrong("a choice without a text")
        results.append(
            {
                "text": text(choice["text"]),
                "reason": optional(choice, "finish_reason", text) or "not_finished",
                "read": prompt,
                "written": completion,
                "tokens": None,
            }
        )
    if not results and usage is not None:
        results = [{"text": "", "reason": "not_finished", "read": prompt, "written": completion, "tokens": None}]
    return {"results": results, "model": optional(data, "model", text)}


# --------------------------------------------------------------------------- vectors, ranks, tokens


def embeddings(data: dict[str, Any]) -> Facts:
    rows = items(data.get("results"), lambda row: items(an_object(row).get("embedding"), number))
    if not isinstance(data.get("model_id"), str | None) or not isinstance(data.get("system"), dict | None):
        raise Unsure("only the vectors are needed")
    about({"system": data.get("system")})
    return {"vectors": rows, "read": counted(data, "input_token_count")}


def gateway_embeddings(data: dict[str, Any]) -> Facts:
    if not isinstance(data.get("model"), str | None):
        raise Unsure("only the vectors are needed")
    usage = optional(data, "usage", an_object)
    read = 0 if usage is None else counted(usage, "prompt_tokens")
    try:
        _ = usage_of(usage or {})
    except Wrong:
        raise Unsure("only the tokens read are needed") from None
    rows = objects(data.get("data"))
    pairs = [(whole(row.get("index")), items(row.get("embedding"), number)) for row in rows]
    if sorted(index for index, _ in pairs) != list(range(len(pairs))):
        raise Wrong("indices that are none")
    return {"vectors": [vector for _, vector in sorted(pairs, key=lambda pair: pair[0])], "read": read}


def rerank(data: dict[str, Any]) -> Facts:
    places = [(whole(row.get("index")), number(row.get("score"))) for row in objects(data.get("results"))]
    facts = {"places": places, "read": counted(data, "input_token_count")}
    try:
        for name in ("model_id", "model_version", "query"):
            optional(data, name, text)
        about({"system": data.get("system")})
    except Wrong:
        raise Unsure("only the places are needed") from None
    return facts


def tokenization(data: dict[str, Any]) -> Facts:
    optional(data, "model_id", text)
    result = an_object(data.get("result"))
    return {"count": whole(result.get("token_count")), "tokens": optional(result, "tokens", texts)}


def specs(data: dict[str, Any]) -> Facts:
    if not {"resources", "total_count", "limit", "first", "next"} & set(data):
        raise Unsure("none of its fields")
    for name in ("total_count", "limit"):
        optional(data, name, whole)
    for name in ("first", "next"):
        page = optional(data, name, an_object)
        if page is not None:
            text(page.get("href"))
    return {"models": [_spec(spec) for spec in objects(data["resources"])] if "resources" in data else []}


def _spec(spec: dict[str, Any]) -> Facts:
    for name in ("label", "provider", "source", "short_description", "long_description", "input_tier", "output_tier"):
        optional(spec, name, text)
    optional(spec, "number_params", text)
    limits = optional(spec, "model_limits", an_object) or {}
    for stage in optional(spec, "lifecycle", objects) or ():
        text(stage.get("id"))
        for name in ("label", "start_date", "url"):
            optional(stage, name, text)
        optional(stage, "alternative_model_ids", texts)
    if not isinstance(spec.get("tech_preview"), bool | None):
        raise Wrong("tech_preview")
    functions = optional(spec, "functions", objects)
    return {
        "model": text(spec.get("model_id")),
        "functions": None if functions is None else [text(function.get("id")) for function in functions],
        "tasks": optional(spec, "task_ids", texts),
        "window": optional(limits, "max_sequence_length", whole),
        "most": optional(limits, "max_output_tokens", whole),
        "dimension": optional(limits, "embedding_dimension", whole),
    }


# --------------------------------------------------------------------------- tools, tokens, refusals


def tool_list(data: dict[str, Any]) -> Facts:
    tools = []
    for tool in objects(data.get("resources")):
        optional(tool, "config_schema", an_object)
        tools.append(
            {
                "name": text(tool.get("name")),
                "description": optional(tool, "agent_description", text) or text(tool.get("description")),
                "schema": optional(tool, "input_schema", an_object),
            }
        )
        text(tool.get("description"))
    return {"tools": tools}


def tool_run(data: dict[str, Any]) -> Facts:
    return {"output": text(data.get("output"))}


def token(data: dict[str, Any], name: str) -> Facts:
    value = text(data.get(name))
    if not value or value != value.strip() or not value.isascii() or not value.isprintable():
        raise Wrong("no token that can be sent")
    if any(
        type(data.get(other)) not in (int, float, type(None)) or abs(data.get(other) or 0) > 1e300
        for other in ("expires_in", "expiration")
    ):
        raise Unsure("a token with a strange lifetime")
    for other in ("token_type", "refresh_token", "scope"):
        if not isinstance(data.get(other), str | None):
            raise Unsure("a token with a strange remark")
    return {"header": f"Bearer {value}"}


def refusal(answer: Answer) -> Facts:
    """An error always has its status; its code and message count if the body is what it should be."""
    facts: Facts = {"status": answer.status, "code": ANYTHING, "message": ANYTHING}
    try:
        data = parse(answer.body.removeprefix(BOM_UTF8))
    except (Wrong, Unsure):
        return facts
    first = data["errors"] if isinstance(data, dict) and isinstance(data.get("errors"), list) else None
    if first and len(data) <= 3 and isinstance(data.get("trace"), str) and type(data.get("status_code")) is int:
        only = first[0]
        if len(first) == 1 and isinstance(only, dict) and set(only) <= {"code", "message", "more_info"}:
            code, message = only.get("code"), only.get("message")
            if _is_plain(code) and _is_plain(message) and isinstance(only.get("more_info"), str | None):
                facts |= {"code": code, "message": str(message).strip().rstrip(". ")}
    return facts


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and value.strip(". ") != "" and len(value) < 200


_READERS: dict[str, Any] = {
    "chat": chat,
    "generation": generation,
    "gateway_generation": gateway_generation,
    "embeddings": embeddings,
    "gateway_embeddings": gateway_embeddings,
    "rerank": rerank,
    "tokenization": tokenization,
    "specs": specs,
    "tool_list": tool_list,
    "tool_run": tool_run,
    "iam_token": lambda data: token(data, "access_token"),
    "platform_token": lambda data: token(data, "token"),
}
