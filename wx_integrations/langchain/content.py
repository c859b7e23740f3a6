"""The content of LangChain messages: its text, the calls in it, and the media it links.

The API carries text, images, video and audio in user messages (see `parts`)
and text everywhere else; whatever it cannot carry is refused by name.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire.chat import Part

MediaPolicy = Literal["refuse", "forward", "fetch"]
"""What to do with `http(s)` URLs of media: refuse them, send them on as they are, or fetch and embed them."""

Block = str | dict[Any, Any]
Content = str | Sequence[Block]

_FILES = frozenset({"file", "input_file", "document", "pdf", "container_upload"})
_REASONING = frozenset({"reasoning", "reasoning_content", "thinking", "redacted_thinking"})
_CALLS = frozenset({"tool_use", "tool_call", "tool_call_chunk", "function_call", "invalid_tool_call"})
_FRAGMENTS = frozenset({"input_json_delta"})
"""Pieces of Anthropic's streamed arguments, which the message's tool_calls hold whole."""


class MediaRules(NamedTuple):
    """How media URLs travel.

    Attributes:
        forward: send `http(s)` URLs on as they are.
        fetched: `http(s)` URLs already turned into `data:` URLs.
    """

    forward: bool = False
    fetched: Mapping[str, str] = MappingProxyType({})


def refuse(what: str, hint: str | None = None) -> ConfigurationError:
    """Return the error for content that cannot be sent."""
    return ConfigurationError(what, hint=hint, field="messages")


# --------------------------------------------------------------------------- user messages


def to_parts(content: Content, rules: MediaRules) -> str | list[Part]:
    """Return the content of a user message.

    Raises:
        ConfigurationError: a block cannot be carried.
    """
    if isinstance(content, str):
        return content
    if not content:
        raise refuse("it has no content", "Give it a text or another block")
    from wx_integrations.langchain.parts import part  # most messages are text

    return [part(block, rules) for block in content]


def unknown(block: Block, where: str) -> ConfigurationError:
    """Return the error for a block that cannot be carried."""
    kind = block.get("type") if isinstance(block, dict) else type(block).__name__
    if kind in _FILES:
        return refuse(
            f"watsonx.ai chat does not take files, and {where} holds a block of type {kind!r}",
            "Extract the text first (a document loader, or text extraction) and send it as text",
        )
    if kind == "tool_result":
        return refuse(f"{where} holds a tool_result block", "Send the result as a ToolMessage")
    if kind in ("text", "image", "image_url", "video_url", "input_audio"):
        keys = ", ".join(sorted(str(key) for key in block)) if isinstance(block, dict) else ""
        return refuse(f"a block of type {kind!r} in {where} lacks its content; it has only: {keys}")
    return refuse(
        f"watsonx.ai chat cannot carry a block of type {kind!r} in {where}", "Send text, image, audio or video"
    )


def plain_text(block: Mapping[Any, Any]) -> str:
    """Return the text of a text-plain block, under its title and context."""
    text = block.get("text")
    if not isinstance(text, str):
        data = block.get("base64")
        if not isinstance(data, str):
            raise refuse("a text-plain block has neither text nor base64", "Read the file and send its text")
        try:
            text = base64.b64decode(data, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise refuse("a text-plain block's base64 is not UTF-8 text") from None
    heads = [block[key] for key in ("title", "context") if isinstance(block.get(key), str)]
    return "\n".join([*heads, text])


def media_urls(content: Content) -> Iterator[str]:
    """Yield the `http(s)` URLs of media in a user message's content."""
    if isinstance(content, str):
        return
    for block in content:
        match block:
            case {"type": "non_standard", "value": dict(value)}:
                yield from media_urls([value])
                continue
            case {"type": "image_url", "image_url": str(url) | {"url": str(url)}}:
                pass
            case {"type": "video_url", "video_url": str(url) | {"url": str(url)}}:
                pass
            case {"type": "image" | "video" | "audio", "url": str(url)}:
                pass
            case {"type": "image" | "video" | "audio", "source": {"url": str(url)}}:
                pass
            case _:
                continue
        if url[:5].lower() in ("http:", "https"):
            yield url


# --------------------------------------------------------------------------- text only


def to_text(content: Content, where: str, *, separator: str = "\n") -> str:
    """Return the text of content that can only be text.

    Raises:
        ConfigurationError: a block is not text.
    """
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for block in content:
        match block:
            case str(text) | {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "text-plain"}:
                texts.append(plain_text(block))
            case {"type": "non_standard", "value": dict(value)}:
                texts.append(to_text([value], where))
            case {"type": "image" | "image_url" | "video" | "video_url" | "audio" | "input_audio" as kind}:
                raise refuse(
                    f"watsonx.ai chat carries text only in {where}, and it holds a block of type {kind!r}",
                    "Put it in a HumanMessage that follows",
                )
            case _:
                raise unknown(block, where)
    return separator.join(texts)


class Said(NamedTuple):
    """What the blocks of an assistant message say.

    Attributes:
        text: all text blocks, joined without a separator.
        refusal: the refusal, if one block is one.
        calls: calls written as blocks: id, name and arguments, which are parsed or text.
    """

    text: str
    refusal: str | None = None
    calls: tuple[tuple[str | None, str | None, Any], ...] = ()


def to_said(content: Content) -> Said:
    """Return what an assistant message's content says; thoughts are left out, the API has no place for them.

    Raises:
        ConfigurationError: a block cannot be carried.
    """
    if isinstance(content, str):
        return Said(content)
    texts: list[str] = []
    refusal: str | None = None
    calls: list[tuple[str | None, str | None, Any]] = []
    for block in content:
        match block:
            case {"type": "refusal", "refusal": str(refusal)}:
                pass
            case {"type": str(kind)} if kind in _REASONING or kind in _FRAGMENTS:
                pass
            case {"type": str(kind)} if kind in _CALLS and isinstance(block, dict):
                arguments = next((block[key] for key in ("input", "args", "arguments") if key in block), None)
                id_, name = block.get("id") or block.get("call_id"), block.get("name")
                if not (isinstance(id_, str | None) and isinstance(name, str | None)):
                    raise refuse(f"a block of type {kind!r} has an id or a name that is no text")
                calls.append((id_, name, arguments))
            case {"type": "non_standard", "value": dict(value)}:
                inner = to_said([value])
                texts.append(inner.text)
                calls.extend(inner.calls)
                refusal = inner.refusal or refusal
            case _:
                texts.append(to_text([block], "an assistant message"))
    return Said("".join(texts), refusal, tuple(calls))
