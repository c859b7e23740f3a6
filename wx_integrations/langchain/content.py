"""Content blocks of LangChain messages to parts on the wire.

Accepts LangChain's standard blocks (v1, and v0 with `source_type`), OpenAI's
chat blocks and Anthropic's, plus the API's own parts with `data_asset`. The
API carries text, images, video and audio in user messages and text everywhere
else; whatever it cannot carry is refused by name.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire.chat import (
    AudioPart,
    DataAsset,
    ImagePart,
    ImageUrl,
    InputAudio,
    Part,
    TextPart,
    VideoPart,
    VideoUrl,
)

MediaPolicy = Literal["refuse", "forward", "fetch"]
"""What to do with `http(s)` URLs of media: refuse them, send them on as they are, or fetch and embed them."""

Block = str | dict[Any, Any]
Content = str | Sequence[Block]

_AUDIO_FORMATS = {
    "wav": "wav",
    "x-wav": "wav",
    "wave": "wav",
    "vnd.wave": "wav",
    "mp3": "mp3",
    "mpeg": "mp3",
}

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
    return [_part(block, rules) for block in content]


def _part(block: Block, rules: MediaRules) -> Part:
    match block:
        case str(text) | {"type": "text", "text": str(text)}:
            return TextPart(text=text)
        case {"type": "text-plain"}:
            return TextPart(text=_plain_text(block))
        case {"type": "image_url" | "video_url" | "input_audio" as kind, "data_asset": {"id": str(asset)}}:
            return _asset(kind, asset)
        case {"type": "image_url", "image_url": str(url) | {"url": str(url)}}:
            return _image(_usable(url, rules, "image"), block)
        case {"type": "video_url", "video_url": str(url) | {"url": str(url)}}:
            return VideoPart(video_url=VideoUrl(url=_usable(url, rules, "video")))
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            return AudioPart(input_audio=InputAudio(data=data, format=form))
        case {"type": "image"}:
            return _image(_usable(_source(block, "image"), rules, "image"), block)
        case {"type": "video"}:
            return VideoPart(video_url=VideoUrl(url=_usable(_source(block, "video"), rules, "video")))
        case {"type": "audio"}:
            return _audio(_usable(_source(block, "audio"), rules, "audio"))
        case {"type": "non_standard", "value": dict(value)}:
            return _part(value, rules)
    raise _unknown(block, "a user message")


def _unknown(block: Block, where: str) -> ConfigurationError:
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


def _plain_text(block: Mapping[Any, Any]) -> str:
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


def _asset(kind: str, asset: str) -> Part:
    reference = DataAsset(id=asset)
    match kind:
        case "image_url":
            return ImagePart(data_asset=reference)
        case "video_url":
            return VideoPart(data_asset=reference)
        case _:
            return AudioPart(data_asset=reference)


def _image(url: str, block: Block) -> ImagePart:
    detail: Any = None
    if isinstance(block, dict):
        for place in (block.get("image_url"), block.get("extras"), block):
            if isinstance(place, dict) and place.get("detail") is not None:
                detail = place["detail"]
                break
    return ImagePart(image_url=ImageUrl(url=url, detail=detail))


def _audio(url: str) -> AudioPart:
    head, _, data = url.removeprefix("data:").partition(";base64,")
    if not data:
        raise refuse(
            "watsonx.ai chat takes audio as base64 only, not as a URL",
            'Send {"type": "audio", "base64": ..., "mime_type": "audio/wav"}',
        )
    subtype = head.split(";")[0].rpartition("/")[2].lower()
    return AudioPart(input_audio=InputAudio(data=data, format=_AUDIO_FORMATS.get(subtype, subtype)))


def _source(block: Mapping[Any, Any], kind: str) -> str:
    """Return where a media block's bytes are: a `data:` or an `http(s)` URL."""
    source = block.get("source")
    if isinstance(source, dict):  # Anthropic's shape
        block = {
            "url": source.get("url"),
            "base64": source.get("data"),
            "mime_type": source.get("media_type"),
            "file_id": source.get("file_id"),
        }
    if isinstance(url := block.get("url"), str):
        return url
    data = block.get("base64")
    if data is None and block.get("source_type") == "base64":
        data = block.get("data")
    if isinstance(data, bytes):
        data = base64.b64encode(data).decode()
    if isinstance(data, str):
        mime = block.get("mime_type")
        if not isinstance(mime, str) or "/" not in mime:
            raise refuse(
                f"a block of type {kind!r} has base64 data but no mime_type", f'Add "mime_type", such as "{kind}/..."'
            )
        return f"data:{mime};base64,{data}"
    if block.get("file_id") or block.get("source_type") == "id":
        raise refuse(
            f"a block of type {kind!r} names a file id, which watsonx.ai chat does not know",
            f'Send base64, or a platform asset: {{"type": "{_WIRE_KINDS[kind]}", "data_asset": {{"id": ...}}}}',
        )
    raise refuse(f"a block of type {kind!r} has neither base64 nor url")


_WIRE_KINDS = {"image": "image_url", "video": "video_url", "audio": "input_audio"}


def _usable(url: str, rules: MediaRules, kind: str) -> str:
    if url[:5].lower() == "data:":
        return url
    if url in rules.fetched:
        return rules.fetched[url]
    if rules.forward and kind != "audio":
        return url
    raise refuse(
        f"the {kind} is given as a URL, and watsonx.ai chat takes base64",
        'Send base64, or set media_urls="fetch" (we fetch and embed it) or media_urls="forward" (sent as it is)',
    )


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
                texts.append(_plain_text(block))
            case {"type": "non_standard", "value": dict(value)}:
                texts.append(to_text([value], where))
            case {"type": "image" | "image_url" | "video" | "video_url" | "audio" | "input_audio" as kind}:
                raise refuse(
                    f"watsonx.ai chat carries text only in {where}, and it holds a block of type {kind!r}",
                    "Put it in a HumanMessage that follows",
                )
            case _:
                raise _unknown(block, where)
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
                calls.append((block.get("id") or block.get("call_id"), block.get("name"), arguments))
            case {"type": "non_standard", "value": dict(value)}:
                inner = to_said([value])
                texts.append(inner.text)
                calls.extend(inner.calls)
                refusal = inner.refusal or refusal
            case _:
                texts.append(to_text([block], "an assistant message"))
    return Said("".join(texts), refusal, tuple(calls))
