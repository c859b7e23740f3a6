"""Parts of a chat message's content: text, images, video and audio."""

from typing import Literal, Self

from pydantic import model_validator

from wx_integrations.core.wire.shapes import Sent
from wx_integrations.core.wire.shared import NonEmpty


class DataAsset(Sent):
    """A platform asset that stands in for inline data."""

    id: NonEmpty


class TextPart(Sent):
    type: Literal["text"] = "text"
    text: str


class ImageUrl(Sent):
    """An image as a `data:` URL (base64)."""

    url: NonEmpty
    detail: Literal["low", "high", "auto"] | None = None


class VideoUrl(Sent):
    """A video as a `data:` URL (base64)."""

    url: NonEmpty


class InputAudio(Sent):
    """Audio as bare base64, with its format ("wav" or "mp3")."""

    data: NonEmpty
    format: NonEmpty


class _MediaPart(Sent):
    """A part that carries inline data or names a data asset, exactly one of them."""

    data_asset: DataAsset | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        inline = getattr(self, self.type)  # type: ignore[attr-defined]
        if (inline is None) == (self.data_asset is None):
            raise ValueError(f"give exactly one of {self.type} and data_asset")  # type: ignore[attr-defined]
        return self


class ImagePart(_MediaPart):
    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl | None = None


class VideoPart(_MediaPart):
    type: Literal["video_url"] = "video_url"
    video_url: VideoUrl | None = None


class AudioPart(_MediaPart):
    type: Literal["input_audio"] = "input_audio"
    input_audio: InputAudio | None = None


Part = TextPart | ImagePart | VideoPart | AudioPart
