"""Weather: made-up readings for a few cities, in the service's form, and marked as made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wx_integrations.emulator.tools import corpus
from wx_integrations.emulator.tools.card import Bench, Input, ToolCard, ToolFailed, check_config, text_of

CARD = ToolCard(
    name="Weather",
    description="Find the weather for a city.",
    agent_description="Find the weather for a city.",
    input_schema={
        "type": "object",
        "properties": {
            "location": {"title": "location", "description": "Name of the location", "type": "string"},
            "country": {"title": "country", "description": "Name of the state or country", "type": "string"},
        },
        "required": ["location"],
    },
)
"""As the documentation of langchain-ibm shows it; the form of the output is that of the official Java SDK's tests."""


@dataclass(frozen=True)
class Weather:
    """Tells the weather."""

    card: ToolCard = field(default=CARD, repr=False)

    def run(self, input: Input, config: Mapping[str, Any], bench: Bench) -> str:
        """Return the readings for a city."""
        check_config(config, ())
        asked, _, rest = text_of(input, "location", "input").partition(",")
        country = (input.get("country") if isinstance(input, Mapping) else None) or rest
        if not isinstance(country, str):
            raise ToolFailed("input.country must be a text")
        name, land = asked.strip().lower(), country.strip().lower()
        for place in corpus.places():
            if place.city == name and land in ("", place.country):
                return (
                    f"Current weather in {place.city}, {place.country}:\n"
                    f"Temperature: {place.temperature:g}°C\nRain: {place.rain:g}mm\n"
                    f"Relative humidity: {place.humidity}%\nWind: {place.wind:g}km/h\n"
                    "(made up by the emulator)\n"
                )
        known = ", ".join(place.city for place in corpus.places())
        raise ToolFailed(f"no network: the emulator has readings for {known} only, none for {asked!r}", status=501)
