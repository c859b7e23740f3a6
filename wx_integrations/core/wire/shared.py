"""What several families of operations have."""

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import JsonValue, StringConstraints

from wx_integrations.core.wire.late import Late
from wx_integrations.core.wire.shapes import Received

NonEmpty = Annotated[str, StringConstraints(min_length=1)]

if TYPE_CHECKING:
    from wx_integrations.core.wire.rare import Crypto, SystemDetails

    MaybeCrypto: TypeAlias = Crypto | None
    MaybeDetails: TypeAlias = SystemDetails | None
    JsonObject = dict[str, JsonValue]
else:
    MaybeCrypto = Annotated[Any, Late("rare.Crypto")] | None
    MaybeDetails = Annotated[Any, Late("rare.SystemDetails")] | None
    JsonObject = Annotated[Any, Late("json_objects.OBJECT")]


class Usage(Received):
    """Token counts of one answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None
