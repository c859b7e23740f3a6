"""The small world that GoogleSearch, Wikipedia and Weather know: `corpus.json`, written for this package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wx_integrations.emulator.vectors import relevance
from wx_integrations.emulator.words import stems

_DIMENSION = 256


@dataclass(frozen=True)
class Article:
    """A page: `summary` is its first sentence or two, `text` the rest."""

    title: str
    url: str
    summary: str
    text: str


@dataclass(frozen=True)
class Place:
    """A city and readings that were made up for it."""

    city: str
    country: str
    temperature: float
    rain: float
    humidity: int
    wind: float


@cache
def _world() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(__file__).with_name("corpus.json").read_text("utf-8"))
    return data


@cache
def articles() -> tuple[Article, ...]:
    """Return every page."""
    return tuple(Article(**entry) for entry in _world()["articles"])


@cache
def places() -> tuple[Place, ...]:
    """Return every city."""
    return tuple(Place(**entry) for entry in _world()["places"])


def find(query: str, most: int) -> list[Article]:
    """Return the pages that share words with a query, the best first."""
    wanted = stems(query)
    found = []
    for article in articles():
        if named := wanted & stems(article.title):
            bonus = 4.0 * len(named) / len(stems(article.title))
        elif len(wanted & stems(f"{article.summary} {article.text}")) * 2 > len(wanted):
            bonus = 0.0
        else:
            continue
        score = relevance(query, f"{article.title} {article.summary}", _DIMENSION) + bonus
        found.append((score, article))
    found.sort(key=lambda pair: -pair[0])
    return [article for _, article in found[:most]]
