"""Fields whose shapes few programs need: they are loaded and built when there is a value for them."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class Late:
    """A field's shape, or several told apart by their `type`, by file and class, or a class that is there already:

        tool: Annotated[Any, Late("functions.Tool")]
        retry: Annotated[RetryPolicy, Late(RetryPolicy)]
        part: Annotated[Any, Late({"text": "parts.TextPart", "image_url": "parts.ImagePart"})]

    `by` names another field that tells them apart. A value is taken, refused and written as if the shapes stood there.
    """

    def __init__(self, homes: str | Mapping[str, str] | type[BaseModel], by: str = "type") -> None:
        self._homes = homes
        self._by = by
        self._readers: dict[str, Callable[[Any], Any]] = {}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def _read(self, value: Any) -> Any:
        if isinstance(self._homes, type):
            return value if isinstance(value, self._homes) else self._homes.model_validate(value)
        home = self._homes if isinstance(self._homes, str) else self._chosen(value, self._homes)
        read: Callable[[Any], Any] | None = self._readers.get(home)
        if read is None:
            file, _, name = home.partition(".")
            shape = getattr(import_module(f"{__package__}.{file}"), name)
            read = getattr(shape, "model_validate", None) or shape.validate_python
            self._readers[home] = read
        return read(value)

    def _chosen(self, value: Any, homes: Mapping[str, str]) -> str:
        kind = value.get(self._by) if isinstance(value, Mapping) else getattr(value, self._by, None)
        if kind is None:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": f"'{self._by}'"})
        home = homes.get(kind) if isinstance(kind, str) else None
        if home is None:
            known = ", ".join(repr(name) for name in homes)
            found = {"discriminator": f"'{self._by}'", "tag": str(kind), "expected_tags": known}
            raise PydanticKnownError("union_tag_invalid", found)
        return home
