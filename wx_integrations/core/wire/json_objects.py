"""What a user gives as JSON: checked to be it, all the way down."""

from pydantic import ConfigDict, JsonValue, TypeAdapter

OBJECT = TypeAdapter(
    dict[str, JsonValue], config=ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)
)
