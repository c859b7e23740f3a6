"""Fields whose shapes few programs need: they are loaded and built when there is a value for them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from wx_integrations.core.wire.shapes import Sent


class Late:
    """A field's shape, or several told apart by their `type`, by file and class:

        tool: Annotated[Any, Late("functions.Tool")]
        part: Annotated[Any, Late({"text": "parts.TextPart", "image_url": "parts.ImagePart"})]

    A value is taken, refused and written as if the shapes stood there.
    """

    def __init__(self, homes: str | Mapping[str, str]) -> None:
        self._homes = homes
        self._found: dict[str, type[Sent]] = {}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def _read(self, value: Any) -> Any:
        home = self._homes if isinstance(self._homes, str) else self._chosen(value, self._homes)
        shape = self._found.get(home)
        if shape is None:
            file, _, name = home.partition(".")
            shape = self._found[home] = getattr(import_module(f"{__package__}.{file}"), name)
        return shape.__pydantic_validator__.validate_python(value)

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
