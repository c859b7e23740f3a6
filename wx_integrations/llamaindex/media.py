"""Images, audio and video of a message, as parts on the wire.

Bytes travel inside the request (base64). A web address of an image is passed
on as it is, for the service to fetch; nothing is fetched here. Reading files
is the one piece of I/O, so it is apart: `unread` says what has to be read,
`read` reads it, the rest is pure.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from io import IOBase
from typing import cast

from llama_index.core.base.llms.types import AudioBlock, ChatMessage, ImageBlock, VideoBlock

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.wire.chat import (
    AudioPart,
    ImagePart,
    ImageUrl,
    InputAudio,
    VideoPart,
    VideoUrl,
)

MediaBlock = ImageBlock | AudioBlock | VideoBlock
Contents = Mapping[int, bytes]
"""What was read, by the `id` of the block it belongs to."""

_AUDIO_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}


def unread(messages: Iterable[ChatMessage]) -> list[MediaBlock]:
    """Return the blocks whose content is in a file, on disk or open."""
    return [
        block
        for message in messages
        for block in message.blocks
        if isinstance(block, MediaBlock)
        and not isinstance(_inline(block), bytes)
        and (isinstance(_inline(block), IOBase) or block.path is not None)
    ]


def read(blocks: Sequence[MediaBlock]) -> dict[int, bytes]:
    """Read the blocks' files; an open file is left where it was.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    contents = {}
    for block in blocks:
        source = _inline(block)
        try:
            if isinstance(source, IOBase):
                contents[id(block)] = _read_open(source)
            elif block.path is not None:
                contents[id(block)] = block.path.read_bytes()
        except OSError as error:
            raise _refusal(f"cannot read the {block.block_type}'s file: {error}") from None
    return contents


def _read_open(file: IOBase) -> bytes:
    position = file.tell()
    try:
        file.seek(0)
        return cast(bytes, file.read())
    finally:
        file.seek(position)


def image_part(block: ImageBlock, contents: Contents) -> ImagePart:
    """Return an image as a part.

    Raises:
        ConfigurationError: it is empty, or of an unknown type.
    """
    url = _web_address(block, contents)
    if url is None:
        data, mime = _content(block, contents, block.image_mimetype)
        if mime is None:
            raise _refusal("the image's type is unknown", "Set image_mimetype, such as image/png")
        url = f"data:{mime};base64,{data}"
    # an unknown level of detail is refused by the shape itself
    return ImagePart(image_url=ImageUrl(url=url, detail=block.detail))  # type: ignore[arg-type]


def video_part(block: VideoBlock, contents: Contents) -> VideoPart:
    """Return a video as a part.

    Raises:
        ConfigurationError: it is empty, of an unknown type, or only a web address.
    """
    for name in ("detail", "fps"):
        if getattr(block, name) is not None:
            raise _refusal(f"the service knows no {name} for videos", f"Leave {name} out of the VideoBlock")
    url = _data_url(block, contents)
    if url is None:
        data, mime = _content(block, contents, block.video_mimetype)
        if mime is None:
            raise _refusal("the video's type is unknown", "Set video_mimetype, such as video/mp4")
        url = f"data:{mime};base64,{data}"
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
            raise _refusal("the audio's data URL is not base64", "Give the bytes")
    else:
        data, mime = _content(block, contents, None)
    sound = block.format or _AUDIO_FORMATS.get(mime or "")
    if sound is None:
        raise _refusal("the audio's format is unknown", 'Set format, "wav" or "mp3"')
    return AudioPart(input_audio=InputAudio(data=data, format=sound))


def _inline(block: MediaBlock) -> bytes | IOBase | None:
    match block:
        case ImageBlock():
            return block.image
        case AudioBlock():
            return block.audio
        case VideoBlock():
            return block.video


def _web_address(block: ImageBlock, contents: Contents) -> str | None:
    """Return the address to pass on, when the block has nothing else."""
    if _inline(block) or id(block) in contents or block.url is None:
        return None
    url = str(block.url)
    if not url.startswith(("data:", "http://", "https://")):
        raise _refusal("an image's url must be a data URL or a web address", "Give the bytes or the path")
    return url


def _data_url(block: AudioBlock | VideoBlock, contents: Contents) -> str | None:
    if _inline(block) or id(block) in contents or block.url is None:
        return None
    url = str(block.url)
    if not url.startswith("data:"):
        raise _refusal(
            f"the service takes {block.block_type} as data, not as an address",
            "Give the bytes, the path or a data URL",
        )
    return url


def _content(block: MediaBlock, contents: Contents, mime: str | None) -> tuple[str, str | None]:
    """Return the base64 text and the MIME type, guessed from the bytes when the block does not say."""
    source = _inline(block)
    if isinstance(source, bytes) and source:
        return source.decode("ascii"), mime  # the framework has encoded and looked at it already
    data = contents.get(id(block), b"")
    if not data:
        raise _refusal(f"the {block.block_type} is empty", "Give its bytes, path or url")
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


def _refusal(message: str, hint: str | None = None) -> ConfigurationError:
    return ConfigurationError(message, hint=hint, field="messages")
