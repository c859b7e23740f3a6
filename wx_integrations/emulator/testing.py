"""watsonx.ai in your tests, without a network and without an account.

```python
with emulated() as watsonx:
    watsonx.reply("It is sunny in Rome.")
    assert weather_report("Rome") == "It is sunny in Rome."
    watsonx.expect_chat("Rome", system="You are a weather expert", temperature=0)
```

With pytest the same is the fixture `watsonx`, and `served` the fixture
`watsonx_server`. With unittest:

```python
class TestReport(WatsonxTestCase):
    watsonx_options = {"script_only": True}

    def test_report(self):
        self.watsonx.reply("It is sunny in Rome.")
        self.assertEqual(weather_report("Rome"), "It is sunny in Rome.")
```

For programs of other languages, a real port:

```python
with served(tls=True) as watsonx:
    subprocess.run(["node", "app.js"], env={**os.environ, **watsonx.environment}, check=True)
    watsonx.expect_chat("Rome")
```
"""

from __future__ import annotations

import functools
import inspect
import os
import unittest
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.brain import Brain, Calling, ModelCard, Reasoning, Text
from wx_integrations.emulator.cards import CARDS
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.interception import Interception, NetworkBlocked, intercepted
from wx_integrations.emulator.scripted import ScriptedBrain, calling
from wx_integrations.emulator.watsonx import PROJECT, URL, Watsonx, host_of

_FUNCTIONS = ("text_chat", "text_generation", "embedding", "rerank")


@contextmanager
def emulated(
    *,
    url: str = URL,
    project_id: str = PROJECT,
    strict: bool = True,
    script_only: bool = False,
    models: Sequence[str | ModelCard] = (),
    brain: Brain | None = None,
    allow_hosts: Collection[str] = (),
    **emulator: Any,
) -> Iterator[Watsonx]:
    """Answer every httpx client of this process by an emulator; the network is blocked for httpx.

    WATSONX_* variables lead to the emulator, whatever they were before.

    Args:
        url: where it pretends to be; IBM's other hosts answer as well.
        project_id: the project of the environment; any project works.
        strict: refuse what the API reference does not know; False suits other clients than this package's.
        script_only: a chat or generation without a scripted answer is an error, instead of answered by rule.
        models: further models to serve, by id (able to do everything) or as cards.
        brain: what answers where there is no script, such as real local models.
        allow_hosts: hosts that may be reached for real; "*" allows all.
        **emulator: further arguments of `Emulator`: `api_keys`, `projects`, `pacing`, `deployments`, `tools`, ...
    """
    script = _script(models, brain, script_only=script_only)
    watsonx = Watsonx(_emulator(script, strict=strict, **emulator), script, url, project_id)
    interception = Interception(watsonx.emulator, hosts=[host_of(url)], allow=allow_hosts)
    with intercepted(interception), _environment(watsonx.environment):
        yield watsonx


@contextmanager
def served(
    *,
    project_id: str = PROJECT,
    strict: bool = True,
    script_only: bool = False,
    models: Sequence[str | ModelCard] = (),
    brain: Brain | None = None,
    tls: bool = False,
    **emulator: Any,
) -> Iterator[Watsonx]:
    """Serve an emulator on a free port of this machine, for other processes and other kinds of clients.

    Nothing is blocked. Needs the extra `local`.

    Args:
        project_id, strict, script_only, models, brain: as of `emulated`.
        tls: serve https with a throw-away certificate, which SSL_CERT_FILE makes trusted.
        **emulator: further arguments of `Emulator`.
    """
    from wx_integrations.emulator.server import LocalServer

    script = _script(models, brain, script_only=script_only)
    with ExitStack() as stack:
        server = stack.enter_context(LocalServer(_emulator(script, strict=strict, **emulator), tls=tls))
        watsonx = Watsonx(server.emulator, script, server.url, project_id, server.ca_path)
        stack.enter_context(_environment(watsonx.environment))
        yield watsonx


class WatsonxTestCase(unittest.TestCase):
    """A test case with the service in each of its tests; for asynchronous ones, name it before the other base.

    Attributes:
        watsonx: the service of the running test.
        watsonx_options: arguments of `emulated`.
    """

    watsonx: Watsonx
    watsonx_options: ClassVar[Mapping[str, Any]] = {}

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test with the service around it, `setUp` and `tearDown` included; `result` as of unittest."""
        name = self.id().rpartition(".")[2]
        method = getattr(self, name)
        with emulated(**self.watsonx_options) as self.watsonx:
            setattr(self, name, self._verified(method))
            try:
                return super().run(result)
            finally:
                setattr(self, name, method)

    def _verified(self, method: Callable[[], Any]) -> Callable[[], Any]:
        """Return a test that ends with the check that every scripted answer was asked for."""
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def test_async() -> None:
                await method()
                self.watsonx.verify()

            return test_async

        @functools.wraps(method)
        def test() -> Any:
            answer = method()
            self.watsonx.verify()
            return answer

        return test


def _script(models: Sequence[str | ModelCard], brain: Brain | None, *, script_only: bool) -> ScriptedBrain:
    if brain is not None and models:
        raise TypeError("models are the brain's own: give either")
    further = [model if isinstance(model, ModelCard) else _able(model) for model in models]
    cards = (*CARDS, *further)
    if script_only:
        return ScriptedBrain(cards=cards if brain is None else brain.cards)
    return ScriptedBrain(DeterministicBrain(cards) if brain is None else brain)


def _able(model_id: str) -> ModelCard:
    """Return a model that can do everything."""
    provider, _, label = model_id.partition("/")
    return ModelCard(model_id, label or model_id, provider, "Named by the test.", _FUNCTIONS, 131_072, 16_384)


def _emulator(script: ScriptedBrain, **settings: Any) -> Emulator:
    return Emulator(script, **{"any_token": True, "tools": False, **settings})


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and unset all other WATSONX_* ones, for a while."""
    names = {name for name in os.environ if name.startswith("WATSONX_")} | set(variables)
    before = {name: os.environ.get(name) for name in names}
    for name in names:
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


__all__ = [
    "Calling",
    "NetworkBlocked",
    "Reasoning",
    "Text",
    "Watsonx",
    "WatsonxTestCase",
    "calling",
    "emulated",
    "served",
]
