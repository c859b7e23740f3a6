"""Fields whose shapes few programs need: they are loaded and built when there is a value for them."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class Late:
    """A field's shape, or several told apart by their `type`, by file and class:

        tool: Annotated[Any, Late("functions.Tool")]
        part: Annotated[Any, Late({"text": "parts.TextPart", "image_url": "parts.ImagePart"})]

    A value is taken, refused and written as if the shapes stood there.
    """

    def __init__(self, homes: str | Mapping[str, str]) -> None:
        self._homes = homes
        self._readers: dict[str, Callable[[Any], Any]] = {}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def _read(self, value: Any) -> Any:
        home = self._homes if isinstance(self._homes, str) else self._chosen(value, self._homes)
        read: Callable[[Any], Any] | None = self._readers.get(home)
        if read is None:
            file, _, name = home.partition(".")
            shape = getattr(import_module(f"{__package__}.{file}"), name)
            read = getattr(shape, "model_validate", None) or shape.validate_python
            self._readers[home] = read
        return read(value)

    @staticmethod
    def _chosen(value: Any, homes: Mapping[str, str]) -> str:
        kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
        if kind is None:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": "'type'"})
        home = homes.get(kind) if isinstance(kind, str) else None
        if home is None:
            known = ", ".join(repr(name) for name in homes)
            found = {"discriminator": "'type'", "tag": str(kind), "expected_tags": known}
            raise PydanticKnownError("union_tag_invalid", found)
        return home
