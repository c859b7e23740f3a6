"""Values grown from a JSON schema and a prompt: what the prompt says goes in, the schema's shape is kept."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from wx_integrations.emulator.bounds import Impossible, found_in, least_number, options_of, sized, within
from wx_integrations.emulator.patterns import Unsupported, example
from wx_integrations.emulator.words import Prompt, words

_QUERY_NAMES = frozenset(
    {"query", "question", "text", "input", "prompt", "search", "q", "message", "request", "sentence"}
)
_CODE_NAMES = frozenset({"expression", "code", "formula", "equation", "math", "calculation"})
_FORMATS: Mapping[str, tuple[str, str]] = {
    "date": (r"\d{4}-\d{2}-\d{2}", "2025-01-01"),
    "date-time": (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[-+]\d{2}:\d{2})", "2025-01-01T12:00:00Z"),
    "time": (r"\d{2}:\d{2}:\d{2}(?:Z|[-+]\d{2}:\d{2})?", "12:00:00Z"),
    "duration": (r"P(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?", "P1D"),
    "email": (r"[\w.+-]+@[\w-]+\.[\w.-]*\w", "user@example.com"),
    "uri": (r"https?://[^\s\"'<>]+", "https://example.com/"),
    "url": (r"https?://[^\s\"'<>]+", "https://example.com/"),
    "hostname": (r"(?:[a-z0-9-]+\.)+[a-z]{2,}", "example.com"),
    "ipv4": (r"\d{1,3}(?:\.\d{1,3}){3}", "192.0.2.1"),
    "ipv6": (r"[0-9a-fA-F:]+:[0-9a-fA-F:]+", "2001:db8::1"),
    "uuid": (r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "00000000-0000-4000-8000-000000000000"),
}
_DEPTH = 24


class Grower:
    """Grows values for one prompt; what was used for one field is not used for the next.

    Args:
        schema: the whole schema, to resolve `$ref` against.
        prompt: what to take values from.
        first: texts to use before all others.
        taken: texts not to use.
    """

    def __init__(
        self, schema: Mapping[str, Any], prompt: Prompt, *, first: Sequence[str] = (), taken: Sequence[str] = ()
    ) -> None:
        self._root = schema
        self._prompt = prompt
        self._numbers = list(prompt.numbers)
        self._texts = list(dict.fromkeys([*first, *(text for text in prompt.texts if text not in taken)]))

    def grow(self) -> Any:
        """Return a value that fits the schema.

        Raises:
            Impossible: the schema asks for something that cannot be grown.
        """
        return self._value(self._root, "", True, 0)

    # ------------------------------------------------------------------ any kind

    def _value(self, schema: Any, name: str, required: bool, depth: int) -> Any:
        if depth > _DEPTH:
            raise Impossible("the schema nests without end")
        if schema is True or schema == {}:
            return self._text({}, name)
        if not isinstance(schema, Mapping):
            raise Impossible(f"{name or 'the schema'} allows nothing")
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._picked(schema, name)
        kind = self._kind(schema)
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return self._number(schema, name, whole=kind == "integer")
            case "boolean":
                return self._boolean(schema, name)
            case "null":
                return None
            case _:
                return self._text(schema, name)

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Follow `$ref`, merge `allOf`, choose one of `anyOf` and `oneOf`."""
        for _ in range(_DEPTH):
            if "$ref" in schema:
                found = self._find(str(schema["$ref"]))
                schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
            elif "allOf" in schema:
                schema = self._merged(schema)
            elif "anyOf" in schema or "oneOf" in schema:
                schema = self._chosen(schema)
            else:
                return schema
        raise Impossible("the schema refers to itself without end")

    def _find(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        if not reference.startswith("#"):
            raise Impossible(f"{reference} lies outside the schema")
        for step in reference.removeprefix("#").strip("/").split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if step and not (isinstance(found, Mapping) and step in found):
                raise Impossible(f"{reference} leads nowhere")
            found = found[step] if step else found
        if not isinstance(found, Mapping):
            raise Impossible(f"{reference} is not a schema")
        return found

    def _merged(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            part = self._resolved(part, 0)
            properties = {**merged.get("properties", {}), **part.get("properties", {})}
            needed = [*merged.get("required", ()), *part.get("required", ())]
            merged = {**part, **merged}
            if properties:
                merged |= {"properties": properties, "required": list(dict.fromkeys(needed))}
        return merged

    def _chosen(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the branch that the prompt has a value for, else the first one that is not null."""
        key = "anyOf" if "anyOf" in schema else "oneOf"
        branches = [self._resolved(branch, 0) for branch in schema[key] if isinstance(branch, Mapping)]
        real = [branch for branch in branches if branch.get("type") != "null"] or branches
        if not real:
            raise Impossible("anyOf has no branch")
        fitting = [branch for branch in real if self._speaks_of(branch)]
        kept = {name: value for name, value in schema.items() if name not in (key, "default")}
        return {**kept, **(fitting or real)[0]}

    def _speaks_of(self, branch: Mapping[str, Any]) -> bool:
        names = [str(branch.get("title", "")), *branch.get("properties", {})]
        if self._kind(branch) in ("integer", "number"):
            return bool(self._numbers)
        return self._kind(branch) == "object" and any(self._prompt.names_it(name) for name in names)

    @staticmethod
    def _kind(schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((name for name in kind if name != "null"), "null")
        if isinstance(kind, str):
            return kind
        if "properties" in schema or "required" in schema or "additionalProperties" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if "minimum" in schema or "maximum" in schema or "multipleOf" in schema:
            return "number"
        return "string"

    # ------------------------------------------------------------------ each kind

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        needed = list(schema.get("required", ()))
        value: dict[str, Any] = {}
        for name in [name for name in properties if name in needed or self._wanted(name, properties[name])]:
            value[name] = self._value(properties[name], name, name in needed, depth + 1)
        for name in needed:
            if name not in properties:
                value[name] = self._value(schema.get("additionalProperties", True) or True, name, True, depth + 1)
        while len(value) < schema.get("minProperties", 0):
            extra = next((name for name in properties if name not in value), f"key{len(value) + 1}")
            value[extra] = self._value(
                properties.get(extra, schema.get("additionalProperties", True)), extra, True, depth + 1
            )
        return value

    def _wanted(self, name: str, schema: Any) -> bool:
        """Whether the prompt has something for a field that may be left out."""
        if not isinstance(schema, Mapping):
            return False
        options = options_of(schema)
        if options:
            return any(isinstance(option, str) and self._prompt.names_it(option) for option in options)
        return self._prompt.names_it(name)

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self._value(item, name, True, depth + 1) for item in schema["prefixItems"]]
        item = schema.get("items", True)
        item = self._resolved(item, depth) if isinstance(item, Mapping) else item
        least, most = int(schema.get("minItems", 0)), int(schema.get("maxItems", 64))
        kind = self._kind(item) if isinstance(item, Mapping) else "string"
        available = {"integer": len(self._numbers), "number": len(self._numbers), "string": len(self._texts)}.get(kind)
        options = options_of(item) if isinstance(item, Mapping) else []
        if options:
            chosen = [option for option in options if self._prompt.names_it(str(option))][:most]
            rest = itertools.cycle([option for option in options if option not in chosen] or options)
            return chosen + list(itertools.islice(rest, max(0, min(most, max(least, 1)) - len(chosen))))
        count = min(most, max(least, available or 1))
        values = [self._value(item, name, True, depth + 1) for _ in range(count)]
        if schema.get("uniqueItems"):
            values = [value for index, value in enumerate(values) if value not in values[:index]]
            if len(values) < least:
                raise Impossible(f"{name or 'the array'} needs more different values than there are")
        return values

    def _picked(self, schema: Mapping[str, Any], name: str) -> Any:
        options = list(schema["enum"])
        if not options:
            raise Impossible(f"{name} allows no value")
        for option in options:
            if str(option).lower() in self._prompt.text.lower() or self._prompt.names_it(str(option)):
                if option in self._texts:
                    self._texts.remove(option)
                return option
        return schema["default"] if "default" in schema and schema["default"] in options else options[0]

    def _boolean(self, schema: Mapping[str, Any], name: str) -> bool:
        spoken = "|".join(map(re.escape, words(name))) or "$^"
        if re.search(
            rf"\b(?:no|not|without|don't|never|disable)\W+(?:\w+\W+){{0,2}}(?:{spoken})", self._prompt.text.lower()
        ):
            return False
        return bool(schema.get("default", True))

    def _number(self, schema: Mapping[str, Any], name: str, *, whole: bool) -> int | float:
        fitting = [pair for pair in self._numbers if within(pair[0], schema, whole=whole)]
        if fitting:
            best = min(fitting, key=lambda pair: (self._distance(name, pair[1]), pair[1]))
            self._numbers.remove(best)
            return int(best[0]) if whole else best[0]
        if isinstance(schema.get("default"), int | float):
            return schema["default"]  # type: ignore[no-any-return]
        return least_number(schema, whole=whole)

    def _distance(self, name: str, position: int) -> int:
        """How many characters a number stands from the field's name; the same for all if the name is not there."""
        spoken = "|".join(re.escape(word) for word in words(name) if len(word) > 2)
        places = (
            [match.start() for match in re.finditer(rf"\b(?:{spoken})", self._prompt.text.lower())] if spoken else []
        )
        return min((abs(position - place) for place in places), default=0)

    def _text(self, schema: Mapping[str, Any], name: str) -> str:
        known = _FORMATS.get(str(schema.get("format", "")))
        if known:
            match = re.search(known[0], self._prompt.text)
            return match.group() if match else known[1]
        if "pattern" in schema:
            return self._patterned(str(schema["pattern"]), schema)
        text = self._free_text(schema, name)
        return sized(text, schema)

    def _patterned(self, pattern: str, schema: Mapping[str, Any]) -> str:
        for text in [*self._texts, *(word for word in self._prompt.text.split())]:
            if found_in(pattern, text) and sized(text, schema) == text:
                return text
        try:
            return example(pattern)
        except Unsupported as error:
            raise Impossible(str(error)) from None

    def _free_text(self, schema: Mapping[str, Any], name: str) -> str:
        spoken = set(words(name))
        if spoken & _CODE_NAMES and self._prompt.expression:
            return self._prompt.expression
        labelled = self._labelled(name)
        if labelled:
            return labelled
        if spoken & _QUERY_NAMES and not self._prompt.quoted:
            return self._prompt.text.strip()
        if self._texts:
            return self._texts.pop(0)
        if isinstance(schema.get("default"), str) and schema["default"]:
            return str(schema["default"])
        return f"{name}: {self._prompt.text.strip()}" if name else self._prompt.text.strip()

    def _labelled(self, name: str) -> str | None:
        """Take what the prompt gives after the field's own name, as in "city: Paris"."""
        spoken = r"[\s_]*".join(map(re.escape, words(name)))
        if not spoken:
            return None
        match = re.search(
            rf"\b{spoken}\s*(?:=|:|is|named|called)\s*[\"'“‘]?([^\n,;.\"'”’]+)", self._prompt.text, re.IGNORECASE
        )
        if match is None:
            return None
        found = match.group(1).strip()
        self._texts = [text for text in self._texts if text not in found]
        return found or None
