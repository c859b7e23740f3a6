"""What every client is asked to send: the same inputs for the witnesses and for ours."""

from __future__ import annotations

from typing import Any

CHAT, GENERATION = "ibm/granite-4-h-small", "ibm/granite-3-3-8b-instruct"
SEEING = "meta-llama/llama-4-maverick-17b-128e-instruct-fp8"
TEMPLATED = "ibm-mistralai/mixtral-8x7b-instruct-v01-q"
"""A model of which litellm knows the prompt's form; the emulator has to be told of it."""
EMBEDDING, RERANK = "ibm/slate-125m-english-rtrvr", "cross-encoder/ms-marco-minilm-l-12-v2"
PROJECT = "12ac4cf1-252f-424b-b52d-5cdd9814987f"
DEPLOYMENT = "5c1f6ad3-4f4f-4d2b-9d38-0fd0a1b6a0f1"

TOKEN, REVOKED_TOKEN, OPAQUE_TOKEN = "static.bearer.token", "revoked.bearer.token", "opaque"
USER, SECOND_KEY, THIRD_KEY = "ada", "second-key", "third-key"
TOKEN_SECONDS = 4.0
"""How long a token lives when it shall run out."""

ASK_TEXT = "What is the weather in Rome?"
ASK: list[dict[str, Any]] = [{"role": "user", "content": ASK_TEXT}]
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hello, who is there?"},
    {"role": "user", "content": "Ada"},
]
STORY = "Once upon a time"
MANY = [f"text {number}" for number in range(1500)]
PASSAGES = ["bananas are yellow", "granite is a rock"]
QUERY = "granite rock"
PICTURE = "data:image/png;base64,iVBORw0KGgo="

PERSON: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FORCED: dict[str, Any] = {"type": "function", "function": {"name": "get_weather"}}
CHAT_PARAMETERS: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "presence_penalty": 0.25,
    "max_completion_tokens": 40,
    "seed": 7,
    "stop": ["zzz"],
    "temperature": 0.5,
    "time_limit": 60000,
    "top_p": 0.9,
}
GENERATION_PARAMETERS: dict[str, Any] = {
    "decoding_method": "sample",
    "max_new_tokens": 9,
    "min_new_tokens": 1,
    "random_seed": 7,
    "repetition_penalty": 1.1,
    "stop_sequences": ["zzz"],
    "temperature": 0.5,
    "time_limit": 60000,
    "top_k": 50,
    "top_p": 0.9,
}
