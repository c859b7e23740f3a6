"""Images, audio and video of a message: where their content is.

Reading files is the one piece of I/O of a request, so it is apart: `unread`
says what has to be read, `read` reads it, the rest (`parts`) is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import IOBase
from typing import cast

from llama_index.core.base.llms.types import AudioBlock, ChatMessage, ImageBlock, VideoBlock

from wx_integrations.core.errors import ConfigurationError

MediaBlock = ImageBlock | AudioBlock | VideoBlock
Contents = Mapping[int, bytes]
"""What was read, by the `id` of the block it belongs to."""


def unread(messages: Iterable[ChatMessage]) -> list[MediaBlock]:
    """Return the blocks whose content is in a file, on disk or open."""
    return [
        block
        for message in messages
        for block in message.blocks
        if isinstance(block, MediaBlock)
        and not isinstance(inline(block), bytes)
        and (isinstance(inline(block), IOBase) or block.path is not None)
    ]


def read(blocks: Sequence[MediaBlock]) -> dict[int, bytes]:
    """Read the blocks' files; an open file is left where it was.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    contents = {}
    for block in blocks:
        source = inline(block)
        try:
            if isinstance(source, IOBase):
                contents[id(block)] = _read_open(source)
            elif block.path is not None:
                contents[id(block)] = block.path.read_bytes()
        except OSError as error:
            raise refusal(f"cannot read the {block.block_type}'s file: {error}") from None
    return contents


def _read_open(file: IOBase) -> bytes:
    position = file.tell()
    try:
        file.seek(0)
        return cast(bytes, file.read())
    finally:
        file.seek(position)


def inline(block: MediaBlock) -> bytes | IOBase | None:
    """Return the content that a block holds itself: bytes (encoded already) or an open file."""
    match block:
        case ImageBlock():
            return block.image
        case AudioBlock():
            return block.audio
        case VideoBlock():
            return block.video


def refusal(message: str, hint: str | None = None) -> ConfigurationError:
    """Return the error for media that cannot be sent."""
    return ConfigurationError(message, hint=hint, field="messages")
