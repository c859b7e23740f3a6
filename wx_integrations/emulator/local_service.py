"""The service that WATSONX_* variables lead to, or without any a local one: for notebooks and scripts.

```python
from wx_integrations.emulator.local_service import ensure_service

print(ensure_service())     # a local service with real models, unless WATSONX_* variables are set
```

The local one needs the extra `local`.
"""

from __future__ import annotations

import atexit
import os
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Brain

if TYPE_CHECKING:
    from wx_integrations.emulator.server import LocalServer

_PREFIX = "WATSONX_"
_lock = threading.Lock()
_running: list[Service] = []


@dataclass(frozen=True)
class Service:
    """Who answers.

    Attributes:
        is_local: whether it runs in this process.
        variables: the names of the WATSONX_* variables that lead to it.
        models: a local service's models by id, each with what it can do.
    """

    is_local: bool
    variables: tuple[str, ...]
    models: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _server: LocalServer | None = field(default=None, repr=False, compare=False)
    _environment: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def url(self) -> str | None:
        """Its address, if a variable names it."""
        return self._environment.get("WATSONX_URL") or os.environ.get("WATSONX_URL")

    def __str__(self) -> str:
        if not self.is_local:
            return f"The service of your own settings answers: {', '.join(self.variables)}."
        able = (f"{model_id}: {', '.join(functions)}" for model_id, functions in self.models.items())
        return "\n".join(
            ["No WATSONX_* variables are set: a local service answers, with these models.", *able],
        )


def ensure_service(*, small: bool = False, brain: Brain | None = None) -> Service:
    """Start a local service with real models, to which WATSONX_* variables lead then, unless some are set already.

    It runs in this process until that ends, or `stop` is called. The models
    are fetched once: 1.2 GB, or 0.2 GB of smaller ones.

    Args:
        small: take the smaller models.
        brain: what answers instead of the local models.

    Raises:
        FetchError: a model cannot be had; says what to do.
        MissingExtra: the extra `local` is not installed.
    """
    with _lock:
        given = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX) and value}
        if _running and given == _running[0]._environment:
            return _running[0]
        _end()  # its variables must not be mixed with the user's
        theirs = tuple(sorted(name for name in given if name in os.environ))
        if theirs:
            return Service(is_local=False, variables=theirs)
        service = _start(_local_brain(small=small) if brain is None else brain)
        _running.append(service)
        os.environ.update(service._environment)
        return service


def stop() -> None:
    """End the local service, if one was started, and unset the variables that lead to it."""
    with _lock:
        _end()


atexit.register(stop)


def _end() -> None:
    while _running:
        service = _running.pop()
        for name, value in service._environment.items():
            if os.environ.get(name) == value:
                del os.environ[name]
        if service._server is not None:
            service._server.stop()
            service._server.emulator.close()


def _start(brain: Brain) -> Service:
    from wx_integrations.emulator.server import LocalServer  # needs uvicorn, which the user's own service does not

    server = LocalServer(Emulator(brain)).start()
    environment = {
        "WATSONX_URL": server.url,
        "WATSONX_API_KEY": "local",
        "WATSONX_PROJECT_ID": str(uuid.UUID(int=0)),
    }
    models = {card.model_id: card.functions for card in brain.cards}
    return Service(True, tuple(environment), models, server, environment)


def _local_brain(*, small: bool) -> Brain:
    from wx_integrations.emulator.local_models import LocalBrain

    brain = LocalBrain("small" if small else "default")
    brain.prepare(Downloads())
    return brain


class Downloads:
    """Says how far downloads are, a line at every tenth."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def __call__(self, name: str, done_bytes: int, total_bytes: int) -> None:
        tenth = 10 * done_bytes // total_bytes if total_bytes else 0
        if tenth > self._said.get(name, -1):
            self._said[name] = tenth
            print(f"Fetching {name}: {done_bytes / 1e6:.0f} of {total_bytes / 1e6:.0f} MB", flush=True)  # noqa: T201
