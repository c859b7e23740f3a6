"""Tokens of texts.

Source: watsonx.ai API reference, "Text tokenization".
"""

from wx_integrations.core.wire.shapes import Received, Sent
from wx_integrations.core.wire.shared import MaybeCrypto


class TokenizationParameters(Sent):
    return_tokens: bool | None = None


class TokenizationRequest(Sent):
    input: str
    parameters: TokenizationParameters | None = None
    crypto: MaybeCrypto = None


class TokenizationResult(Received):
    token_count: int
    tokens: list[str] | None = None


class Tokenization(Received):
    model_id: str | None = None
    result: TokenizationResult
