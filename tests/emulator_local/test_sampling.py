"""Requests' parameters in the engine's words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.core.wire.chat import ChatParameters
from wx_integrations.core.wire.text import GenerationParameters
from wx_integrations.emulator.brain import Refusal
from wx_integrations.emulator.local.sampling import (
    chat_sampling,
    generation_sampling,
    grammar_of,
    is_json,
    json_grammar,
    literal,
)


def chat(choice: int = 0, **fields: Any) -> dict[str, Any]:
    return chat_sampling(ChatParameters.model_validate(fields), choice)


def generation(**fields: Any) -> dict[str, Any]:
    return generation_sampling(GenerationParameters.model_validate(fields))


def test_an_empty_chat_request_is_answered_greedily() -> None:
    assert chat() == {
        "temperature": 0.0,
        "cache_prompt": False,
        "top_p": 1.0,
        "max_tokens": 1024,
        "stop": [],
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
    }


def test_every_chat_parameter_arrives() -> None:
    body = chat(
        temperature=0.7,
        top_p=0.9,
        seed=7,
        max_tokens=5,
        stop=["x"],
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        repetition_penalty=1.1,
        logit_bias={"42": -100},
        logprobs=True,
        top_logprobs=3,
        chat_template_kwargs={"thinking": False},
    )
    assert body == {
        "temperature": 0.7,
        "cache_prompt": False,
        "top_p": 0.9,
        "seed": 7,
        "max_tokens": 5,
        "stop": ["x"],
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "repeat_penalty": 1.1,
        "repeat_last_n": -1,
        "logit_bias": [[42, -100]],
        "logprobs": True,
        "top_logprobs": 3,
        "chat_template_kwargs": {"thinking": False},
    }


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 1024),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 0}, -1),
        ({"max_completion_tokens": 0, "max_tokens": 5}, -1),
        ({"max_completion_tokens": 9, "max_tokens": 5}, 9),
    ],
)
def test_limits(fields: dict[str, int], limit: int) -> None:
    assert chat(**fields)["max_tokens"] == limit


def test_choices_differ() -> None:
    assert chat(1)["temperature"] > 0
    assert (chat(0, seed=7)["seed"], chat(1, seed=7)["seed"]) == (7, 8)
    assert chat(1, temperature=0.2)["temperature"] == 0.2


def test_the_effort_of_reasoning_is_the_templates_matter() -> None:
    assert chat(reasoning_effort="low")["chat_template_kwargs"] == {"reasoning_effort": "low"}
    given = {"reasoning_effort": "high", "x": 1}
    assert chat(reasoning_effort="low", chat_template_kwargs=given)["chat_template_kwargs"] == given


@pytest.mark.parametrize("token", ["word", "-1", "1.5", "²", ""])
def test_a_bias_on_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Refusal, match="logit_bias"):
        chat(logit_bias={token: 1})


def test_logprobs_without_alternatives() -> None:
    assert chat(logprobs=True)["top_logprobs"] == 0


def test_every_generation_parameter_arrives() -> None:
    body = generation(
        decoding_method="sample",
        temperature=0.5,
        top_p=0.8,
        top_k=3,
        typical_p=0.9,
        random_seed=4,
        max_new_tokens=8,
        stop_sequences=["."],
        repetition_penalty=1.2,
        return_options={"generated_tokens": True, "token_logprobs": True, "top_n_tokens": 4},
    )
    assert body == {
        "temperature": 0.5,
        "cache_prompt": False,
        "top_p": 0.8,
        "seed": 4,
        "n_predict": 8,
        "stop": ["."],
        "repeat_penalty": 1.2,
        "repeat_last_n": -1,
        "top_k": 3,
        "typical_p": 0.9,
        "n_probs": 4,
    }


def test_generation_is_greedy_unless_told_to_sample() -> None:
    assert generation()["n_predict"] == 20
    assert generation()["temperature"] == generation(temperature=0.9)["temperature"] == 0.0
    assert generation(decoding_method="sample")["temperature"] == 1.0
    assert generation(return_options={"generated_tokens": True})["n_probs"] == 1
    assert "n_probs" not in generation(return_options={"input_text": True})


def test_what_the_engine_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(Refusal, match="length_penalty"):
        chat(length_penalty=1.0)
    with pytest.raises(Refusal, match="length_penalty"):
        generation(length_penalty={"decay_factor": 1.5})


def grammar(**fields: Any) -> str | None:
    return grammar_of(ChatParameters.model_validate(fields))


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def schema_in(text: str | None) -> Any:
    assert text is not None
    assert is_json(text)
    return json.loads(text.partition("%json ")[2])


def test_grammars() -> None:
    assert grammar() is None
    assert grammar(response_format={"type": "text"}) is None
    assert grammar(guided_choice=["yes", 'a "b"\n']) == r'root ::= "yes" | "a \x22b\x22\x0a"'
    assert grammar(guided_grammar='root ::= "x"') == 'root ::= "x"'
    assert grammar(guided_regex="a+") == "root ::= ([a]){1,}"
    json_schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    assert grammar(response_format=json_schema) == grammar(guided_json=SCHEMA) == json_grammar(SCHEMA)
    assert schema_in(grammar(response_format={"type": "json_object"}))["type"] == "object"


def test_objects_are_closed_unless_the_schema_says_otherwise() -> None:
    inner = {"type": "object", "properties": {"b": SCHEMA, "c": {"type": "array", "items": SCHEMA}}}
    got = schema_in(json_grammar(inner))
    assert got["additionalProperties"] is False
    assert got["properties"]["b"]["additionalProperties"] is False
    assert got["properties"]["c"]["items"]["additionalProperties"] is False
    left_open: list[dict[str, Any]] = [{"additionalProperties": True}, {"patternProperties": {}}, {"allOf": []}]
    for open_ in left_open:
        got = schema_in(json_grammar({**SCHEMA, **open_}))
        assert {key: got.get(key) for key in open_} == open_
        assert got.get("additionalProperties") is not False
    assert "additionalProperties" not in SCHEMA
    assert "additionalProperties" not in schema_in(json_grammar({"type": "object"}))


@pytest.mark.parametrize(
    "fields",
    [
        {"guided_choice": ["a"], "guided_regex": "a"},
        {"guided_json": SCHEMA, "response_format": {"type": "json_object"}},
        {"guided_grammar": "root ::= x", "guided_json": SCHEMA},
    ],
)
def test_two_constraints_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="not several"):
        grammar(**fields)


def test_no_choice_at_all_is_refused() -> None:
    with pytest.raises(Refusal, match="guided_choice"):
        grammar(guided_choice=[])


@given(st.text())
def test_literals_say_the_text_and_nothing_else(text: str) -> None:
    inside = literal(text)[1:-1]
    read = re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), inside)
    assert read == text
    assert '"' not in inside
    assert "\n" not in inside


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("", '""'),
        ("^ab$", "[a] [b]"),
        (r"\d{3}-[a-c]+", r"([0-9]){3,3} [\x2D] ([a-c]){1,}"),
        ("(x|yy)?", "((([x] | [y] [y]))){0,1}"),
        ("(?:a|)", '([a] | "")'),
        (r"\w\s\D\W\S", r"[a-zA-Z0-9_] [ \t\n\r] [^0-9] [^a-zA-Z0-9_] [^ \t\n\r]"),
        (r"[^\d_]", r"[^0-9\x5F]"),
        (".*?", r"([^\n]){0,}"),
        ("[^a]", "[^a]"),
        ("ü€😀", r"[\xFC] [\u20AC] [\U0001F600]"),
        (r'"\\', r"[\x22] [\x5C]"),
        ("(?P<name>a)b", "([a]) [b]"),
    ],
)
def test_regular_expressions_become_grammars(pattern: str, rule: str) -> None:
    got = grammar(guided_regex=pattern)
    assert got == f"root ::= {rule}"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[", "not a regular expression"),
        ("a(?=b)", "assert"),
        ("(?<!a)b", "assert not"),
        (r"(a)\1", "groupref"),
        (r"\bx", "at"),
        ("a$b", "at"),
        ("(?i)a", "flag"),
        ("(?i:a)", "flag"),
        (r"[\D]x[\Wx]", "category"),
    ],
)
def test_expressions_that_cannot_be_enforced_are_refused(pattern: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        grammar(guided_regex=pattern)
