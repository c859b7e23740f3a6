"""What token endpoints answer."""

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
