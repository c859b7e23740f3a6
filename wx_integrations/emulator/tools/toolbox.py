"""The tools of one emulator, and the pictures they made."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from wx_integrations.emulator.tools.card import EmulatedTool
from wx_integrations.emulator.tools.python_interpreter import PythonInterpreter
from wx_integrations.emulator.tools.rag_query import RAGQuery
from wx_integrations.emulator.tools.search import GoogleSearch, Wikipedia
from wx_integrations.emulator.tools.vector_index import VectorIndex
from wx_integrations.emulator.tools.weather import Weather
from wx_integrations.emulator.tools.web_crawler import WebCrawler

_MOST_IMAGES = 64


class Toolbox:
    """What can be run.

    Args:
        tools: the tools; the usual ones by default.
        indexes: vector indexes for RAGQuery, by id.
    """

    def __init__(
        self, tools: Sequence[EmulatedTool] | None = None, *, indexes: Mapping[str, VectorIndex] | None = None
    ) -> None:
        usual = (
            GoogleSearch(),
            Wikipedia(),
            WebCrawler(),
            PythonInterpreter(),
            Weather(),
            RAGQuery(dict(indexes or {})),
        )
        self.tools: tuple[EmulatedTool, ...] = usual if tools is None else tuple(tools)
        self._images: OrderedDict[str, bytes] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def named(self, name: str) -> EmulatedTool | None:
        """Return the tool of that name."""
        return next((tool for tool in self.tools if tool.card.name == name), None)

    def keep_image(self, ending: str, data: bytes) -> str:
        """Store a picture and return its name; the oldest go when there are too many."""
        with self._lock:
            name = f"image-{next(self._numbers)}{ending.lower()}"
            self._images[name] = data
            while len(self._images) > _MOST_IMAGES:
                self._images.popitem(last=False)
        return name

    def image(self, name: str) -> bytes | None:
        """Return a stored picture."""
        return self._images.get(name)
