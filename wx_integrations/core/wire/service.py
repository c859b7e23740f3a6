"""What the services around inference say when they refuse: error envelopes."""

from typing import Any

from pydantic import Field

from wx_integrations.core.wire.shapes import Received


class ErrorTarget(Received):
    type: str | None = None
    name: str | None = None


class ErrorItem(Received):
    """One entry of the ML API's `errors`."""

    code: str | None = None
    message: str | None = None
    more_info: str | None = None
    target: ErrorTarget | None = None


class ErrorEnvelope(Received):
    """The union of the service's error bodies; each family fills its own fields.

    `errors` ML API and platform assets; `errorCode` and friends IAM; `code`,
    `reason`, `description` agent tools; `error` an object (gateway, files)
    or plain text (text schemas).
    """

    errors: list[ErrorItem] | None = None
    trace: str | None = None
    status_code: int | None = None
    error_code: str | None = Field(default=None, alias="errorCode")
    error_message: str | None = Field(default=None, alias="errorMessage")
    error_details: str | None = Field(default=None, alias="errorDetails")
    error: str | dict[str, Any] | None = None
    code: int | str | None = None
    message: str | None = None
    reason: str | None = None
    description: str | None = None
    more_info: str | None = None
