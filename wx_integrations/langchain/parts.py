"""Blocks of user messages to parts on the wire: text, images, video and audio.

Accepts LangChain's standard blocks (v1, and v0 with `source_type`), OpenAI's
chat blocks and Anthropic's, plus the API's own parts with `data_asset`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from wx_integrations.core.wire.parts import (
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
from wx_integrations.langchain.content import Block, MediaRules, plain_text, refuse, unknown

_AUDIO_FORMATS = {
    "wav": "wav",
    "x-wav": "wav",
    "wave": "wav",
    "vnd.wave": "wav",
    "mp3": "mp3",
    "mpeg": "mp3",
}


def part(block: Block, rules: MediaRules) -> Part:
    """Return a block of a user message as a part.

    Raises:
        ConfigurationError: it cannot be carried.
    """
    match block:
        case str(text) | {"type": "text", "text": str(text)}:
            return TextPart(text=text)
        case {"type": "text-plain"}:
            return TextPart(text=plain_text(block))
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
            return part(value, rules)
    raise unknown(block, "a user message")


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
