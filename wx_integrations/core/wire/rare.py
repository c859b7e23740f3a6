"""What several families of operations have, and few requests and answers."""

from typing import Any

from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import NonEmpty


class Crypto(Sent):
    """The key that prompts and answers are encrypted with at rest."""

    key_ref: NonEmpty


class Warning(Received):
    """A note of the service about the request (`system.warnings`)."""

    message: str = ""
    id: str | None = None
    more_info: str | None = None
    additional_properties: dict[str, Any] | None = None


class SystemDetails(Received):
    warnings: list[Warning] | None = None
