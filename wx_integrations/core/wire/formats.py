"""Response formats: the shape that a chat answer is to have."""

from typing import Literal

from pydantic import Field

from wx_integrations.core.wire.shapes import Sent
from wx_integrations.core.wire.shared import JsonObject, NonEmpty


class TextFormat(Sent):
    type: Literal["text"] = "text"


class JsonObjectFormat(Sent):
    type: Literal["json_object"] = "json_object"


class JsonSchema(Sent):
    name: NonEmpty
    description: str | None = None
    schema_: JsonObject = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Sent):
    type: Literal["json_schema"] = "json_schema"
    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat
