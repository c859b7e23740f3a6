"""The hot paths that the guard counts, without a network: each a function to call again and again.

```
python -m benchmarks.hot_paths run '{"langchain chat": 10}'    # call them so often, under a counter of instructions
python -m benchmarks.hot_paths profile "langchain chat"        # count function calls and memory blocks of one
```
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.offline import Answering, go_offline

EVENTS, TEXTS = 200, 100
_WHERE: dict[str, Any] = {"url": "http://127.0.0.1:9", "api_key": "key", "project_id": "project", "model_id": "m"}
Path = Callable[[], Any]


def langchain_chat() -> Path:
    """One `invoke`."""
    from wx_integrations.langchain import ChatWatsonx

    model = ChatWatsonx(**_WHERE)
    return lambda: model.invoke("Where was the World Series of 2020 played?")


def langchain_stream() -> Path:
    """One stream of 200 events."""
    from wx_integrations.langchain import ChatWatsonx

    model = ChatWatsonx(**_WHERE)
    return lambda: list(model.stream("Where was the World Series of 2020 played?"))


def langchain_embeddings() -> Path:
    """100 texts of 768 dimensions."""
    from wx_integrations.langchain import WatsonxEmbeddings

    embeddings = WatsonxEmbeddings(**_WHERE)
    texts = [f"text {number}" for number in range(TEXTS)]
    return lambda: embeddings.embed_documents(texts)


def llamaindex_chat() -> Path:
    """One `chat`."""
    from llama_index.core.llms import ChatMessage

    from wx_integrations.llamaindex import WatsonxLLM

    model = WatsonxLLM(**_WHERE)
    return lambda: model.chat([ChatMessage(content="Where was the World Series of 2020 played?")])


def llamaindex_stream() -> Path:
    """One stream of 200 events."""
    from llama_index.core.llms import ChatMessage

    from wx_integrations.llamaindex import WatsonxLLM

    model = WatsonxLLM(**_WHERE)
    return lambda: list(model.stream_chat([ChatMessage(content="Where was the World Series of 2020 played?")]))


PATHS: dict[str, Callable[[], Path]] = {
    "langchain chat": langchain_chat,
    "langchain stream": langchain_stream,
    "langchain embeddings": langchain_embeddings,
    "llamaindex chat": llamaindex_chat,
    "llamaindex stream": llamaindex_stream,
}
TIMES = {"chat": 40, "stream": 4, "embeddings": 6}
"""How often a path is called for its instructions."""


def installed() -> list[str]:
    """Return the paths whose framework is there."""
    modules = {"langchain": "langchain_core", "llamaindex": "llama_index"}
    return [name for name in PATHS if importlib.util.find_spec(modules[name.split()[0]]) is not None]


def times(name: str) -> int:
    """Return how often a path is called for its instructions."""
    return TIMES[name.split()[1]]


def ready(name: str) -> Path:
    """Return a path, called until everything that is made once is made."""
    path = PATHS[name]()
    for _ in range(3):
        path()
    return path


def run(wanted: dict[str, int]) -> None:
    """Call paths so often; cycles wait, as when the collector runs hangs on what else is in memory."""
    paths = {name: ready(name) for name in wanted}
    gc.collect()
    gc.disable()
    for name, count in wanted.items():
        for _ in range(count):
            paths[name]()


def profile(name: str) -> dict[str, int]:
    """Count, for one call: function calls (Python's and C's), and memory blocks that answer and garbage hold."""
    path = ready(name)
    gc.collect()
    gc.disable()
    before = sys.getallocatedblocks()
    kept = path()
    blocks = sys.getallocatedblocks() - before
    del kept
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    path()
    sys.setprofile(None)
    return {"calls": calls, "blocks": blocks}


def main(command: str, given: str) -> None:
    go_offline(Answering(EVENTS, TEXTS))
    if command == "run":
        run(json.loads(given))
    else:
        print(json.dumps(profile(given)))


if __name__ == "__main__":
    main(*sys.argv[1:3])
