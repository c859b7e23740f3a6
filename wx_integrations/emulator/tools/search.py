"""GoogleSearch and Wikipedia over the bundled corpus; what it does not have needs a network, and they say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wx_integrations.emulator.tools import corpus
from wx_integrations.emulator.tools.card import Bench, Input, ToolCard, ToolFailed, check_config, count_of, text_of

GOOGLE = ToolCard(
    name="GoogleSearch",
    description="Search for online trends, news, current events, real-time information, or research topics.",
    agent_description="Search for online trends, news, current events, real-time information, or research topics.",
    config_schema={
        "title": "config schema for GoogleSearch tool",
        "type": "object",
        "properties": {
            "maxResults": {
                "title": "Max number of results to return",
                "type": "integer",
                "minimum": 1,
                "maximum": 20,
                "wx_ui_name": "Max results",
                "wx_ui_field_type": "numberInput",
                "wx_ui_default": 10,
            }
        },
    },
)
"""As in the API reference's list."""

WIKIPEDIA = ToolCard(
    name="Wikipedia",
    description="Search a query on Wikipedia.",
    agent_description="Search a query on Wikipedia.",
    input_schema={
        "type": "object",
        "properties": {
            "query": {"title": "query", "description": "Wikipedia search query", "type": "string"},
        },
        "required": ["query"],
    },
)
"""The input's name and the form of the output are those of the official Java SDK's tests."""

_PAGES = 3


@dataclass(frozen=True)
class GoogleSearch:
    """Finds pages: a JSON array of title, description and url."""

    card: ToolCard = field(default=GOOGLE, repr=False)

    def run(self, input: Input, config: Mapping[str, Any], bench: Bench) -> str:
        """Return the pages found as JSON."""
        check_config(config, ("maxResults",))
        query = text_of(input, "q", "query", "input")
        found = corpus.find(query, count_of(config, "maxResults", 10, 20)) or _nothing(query)
        results = [
            {"title": article.title, "description": f"{article.summary} {article.text}", "url": article.url}
            for article in found
        ]
        return json.dumps(results, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Wikipedia:
    """Finds articles: `Page: <title>` and `Summary: <text>` for each."""

    card: ToolCard = field(default=WIKIPEDIA, repr=False)

    def run(self, input: Input, config: Mapping[str, Any], bench: Bench) -> str:
        """Return the articles found as text."""
        check_config(config, ())
        query = text_of(input, "query", "input")
        found = corpus.find(query, _PAGES) or _nothing(query)
        return "\n\n".join(f"Page: {page.title}\nSummary: {page.summary} {page.text}" for page in found)


def _nothing(query: str) -> list[corpus.Article]:
    raise ToolFailed(
        f"no network: the emulator searches {len(corpus.articles())} bundled pages, and none is about {query[:200]!r}",
        status=501,
    )
