"""What the services around inference say: token endpoints and error envelopes."""

from typing import Any

from pydantic import Field

from wx_integrations.core.wire.shapes import Received


class IamToken(Received):
    """IBM Cloud IAM's token (`POST /identity/token`); times in seconds."""

    access_token: str
    expires_in: float | None = None
    expiration: float | None = None
    token_type: str | None = None


class PlatformToken(Received):
    """The token of Cloud Pak for Data (`/icp4d-api/v1/authorize`) and of AWS and GovCloud."""

    token: str


class ValidatedToken(Received):
    """Cloud Pak for Data's answer to `GET /v1/preauth/validateAuth`."""

    access_token: str | None = Field(default=None, alias="accessToken")
    token: str | None = None


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
