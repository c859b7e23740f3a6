"""What several families of operations have."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import JsonValue, StringConstraints

from wx_integrations.core.wire.late import Late
from wx_integrations.core.wire.shapes import Received, Sent

NonEmpty = Annotated[str, StringConstraints(min_length=1)]

if TYPE_CHECKING:
    JsonObject = dict[str, JsonValue]
else:
    JsonObject = Annotated[Any, Late("json_objects.OBJECT")]


class Crypto(Sent):
    """The key that prompts and answers are encrypted with at rest."""

    key_ref: NonEmpty


class Usage(Received):
    """Token counts of one answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class Warning(Received):
    """A note of the service about the request (`system.warnings`)."""

    message: str = ""
    id: str | None = None
    more_info: str | None = None
    additional_properties: dict[str, Any] | None = None


class SystemDetails(Received):
    warnings: list[Warning] | None = None
