"""Blocks of user messages to parts on the wire: text, images, audio and video. Pure.

Bytes travel inside the request (base64). A web address of an image is passed
on as it is, for the service to fetch; nothing is fetched here.
"""

from __future__ import annotations

from base64 import b64encode

from llama_index.core.base.llms.types import AudioBlock, ImageBlock, VideoBlock

from wx_integrations.core.wire.parts import AudioPart, ImagePart, ImageUrl, InputAudio, VideoPart, VideoUrl
from wx_integrations.llamaindex.media import Contents, MediaBlock, inline, refusal

_AUDIO_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}


def image_part(block: ImageBlock, contents: Contents) -> ImagePart:
    """Return an image as a part.

    Raises:
        ConfigurationError: it is empty, or of an unknown type.
    """
    url = _web_address(block, contents)
    if url is None:
        url = _written_out(block, contents, block.image_mimetype, "image/png")
    # an unknown level of detail is refused by the shape itself
    return ImagePart(image_url=ImageUrl(url=url, detail=block.detail))  # type: ignore[arg-type]


def video_part(block: VideoBlock, contents: Contents) -> VideoPart:
    """Return a video as a part.

    Raises:
        ConfigurationError: it is empty, of an unknown type, or only a web address.
    """
    for name in ("detail", "fps"):
        if getattr(block, name) is not None:
            raise refusal(f"the service knows no {name} for videos", f"Leave {name} out of the VideoBlock")
    url = _data_url(block, contents)
    if url is None:
        url = _written_out(block, contents, block.video_mimetype, "video/mp4")
    return VideoPart(video_url=VideoUrl(url=url))


def audio_part(block: AudioBlock, contents: Contents) -> AudioPart:
    """Return a sound as a part: bare base64 and its format, "wav" or "mp3".

    Raises:
        ConfigurationError: it is empty, of an unknown format, or only a web address.
    """
    url = _data_url(block, contents)
    if url is not None:
        head, _, data = url.partition(",")
        mime: str | None = head.removeprefix("data:").partition(";")[0]
        if not head.endswith(";base64"):
            raise refusal("the audio's data URL is not base64", "Give the bytes")
    else:
        data, mime = _content(block, contents, None)
    sound = block.format or _AUDIO_FORMATS.get(mime or "")
    if sound is None:
        raise refusal("the audio's format is unknown", 'Set format, "wav" or "mp3"')
    return AudioPart(input_audio=InputAudio(data=data, format=sound))


def _web_address(block: ImageBlock, contents: Contents) -> str | None:
    """Return the address to pass on, when the block has nothing else."""
    if inline(block) or id(block) in contents or block.url is None:
        return None
    url = str(block.url)
    if not url.startswith(("data:", "http://", "https://")):
        raise refusal("an image's url must be a data URL or a web address", "Give the bytes or the path")
    return url


def _data_url(block: AudioBlock | VideoBlock, contents: Contents) -> str | None:
    if inline(block) or id(block) in contents or block.url is None:
        return None
    url = str(block.url)
    if not url.startswith("data:"):
        raise refusal(
            f"the service takes {block.block_type} as data, not as an address",
            "Give the bytes, the path or a data URL",
        )
    return url


def _written_out(block: ImageBlock | VideoBlock, contents: Contents, mime: str | None, example: str) -> str:
    """Return the content as a data URL."""
    data, mime = _content(block, contents, mime)
    if mime is None:
        kind = block.block_type
        raise refusal(f"the {kind}'s type is unknown", f"Set {kind}_mimetype, such as {example}")
    return f"data:{mime};base64,{data}"


def _content(block: MediaBlock, contents: Contents, mime: str | None) -> tuple[str, str | None]:
    """Return the base64 text and the MIME type, guessed from the bytes when the block does not say."""
    source = inline(block)
    if isinstance(source, bytes) and source:
        return source.decode("ascii"), mime  # the framework has encoded and looked at it already
    data = contents.get(id(block), b"")
    if not data:
        raise refusal(f"the {block.block_type} is empty", "Give its bytes, path or url")
    return b64encode(data).decode("ascii"), mime or _guess(block, data)


def _guess(block: MediaBlock, data: bytes) -> str | None:
    """Return the MIME type that the framework sees in the bytes."""
    match block:
        case ImageBlock():
            return ImageBlock(image=data).image_mimetype
        case AudioBlock():
            sound = AudioBlock(audio=data).format
            return f"audio/{sound}" if sound else None
        case VideoBlock():
            return VideoBlock(video=data).video_mimetype
