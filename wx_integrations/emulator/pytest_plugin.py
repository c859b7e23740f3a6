"""The pytest plugin: fixtures `watsonx` and `watsonx_server`; it comes with the package.

Script an answer, and check what the model was told:

```python
def test_report(watsonx):
    watsonx.reply("It is sunny in Rome.")
    assert weather_report("Rome") == "It is sunny in Rome."
    watsonx.expect_chat("Rome", system="You are a weather expert", temperature=0)
```

An agent: the model calls a tool, and gets the tool's result. What is not
scripted is answered by rule:

```python
def test_agent(watsonx):
    watsonx.call("weather", city="Rome").reply("Take a hat.")
    assert advice("What shall I wear in Rome?") == "Take a hat."
    watsonx.expect_chat(tool_result="sunny", tools=["weather"], times=1)
```

Trouble, with a marker that gives arguments of `emulated` and `served` in
`wx_integrations.emulator.testing`:

```python
@pytest.mark.watsonx(models=["acme/own-model"], strict=False)
def test_trouble(watsonx):
    watsonx.fail(503, times=2).fail("reset").reply("At last.")
    assert weather_report("Rome", model="acme/own-model") == "At last."
    assert len(watsonx.chats) == 4
```

A test that passed fails afterwards when a scripted answer was never asked
for; the report of one that failed lists the requests. `watsonx_server` is the
same on a port of this machine. Nothing but this file is imported before a
fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wx_integrations.emulator.testing import Watsonx

_REPORTER = "watsonx-reporter"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "watsonx(**options): arguments of the fixtures watsonx and watsonx_server, such as strict=False"
    )


@pytest.fixture
def watsonx(request: pytest.FixtureRequest) -> Iterator[Watsonx]:
    """watsonx.ai within this process: every httpx client reaches it, WATSONX_* lead to it, the network is blocked.

    Script answers with `reply`, `call`, `refuse`, `replay`; trouble with `fail`; check requests with `expect`,
    `expect_chat`, `expect_embedded`, `expect_nothing`, or read `requests` and `chats`. Type: `Watsonx` of
    `wx_integrations.emulator.testing`. A test that passed fails afterwards if scripted answers were never asked for.
    """
    from wx_integrations.emulator.testing import emulated

    yield from _given(request, emulated)


@pytest.fixture
def watsonx_server(request: pytest.FixtureRequest) -> Iterator[Watsonx]:
    """watsonx.ai on a port of this machine, for other processes; WATSONX_* lead to it. Needs the extra `local`."""
    try:
        import wx_integrations.emulator.server  # noqa: F401
    except ModuleNotFoundError as error:
        pytest.fail(f"watsonx_server needs {error.name}: pip install 'wx-integrations[local]'", pytrace=False)
    from wx_integrations.emulator.testing import served

    yield from _given(request, served)


def _given(
    request: pytest.FixtureRequest, open_service: Callable[..., AbstractContextManager[Watsonx]]
) -> Iterator[Watsonx]:
    options: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("watsonx"))):
        if marker.args:
            pytest.fail("@pytest.mark.watsonx takes keyword arguments only", pytrace=False)
        options |= marker.kwargs
    reporter = _reporter(request.config)
    name = request.node.nodeid
    with ExitStack() as stack:
        try:
            service = stack.enter_context(open_service(**options))
        except TypeError as error:
            if "argument" not in str(error):
                raise
            pytest.fail(f"@pytest.mark.watsonx: {error}", pytrace=False)
        reporter.services.setdefault(name, []).append(service)
        stack.callback(reporter.services.pop, name, None)
        yield service
        if name in reporter.passed:
            _verify(service)


def _verify(service: Watsonx) -> None:
    said = None
    try:
        service.verify()
    except AssertionError as error:
        said = str(error)
    if said is not None:  # beyond the handler, or pytest shows both errors
        pytest.fail(said, pytrace=False)


class _Reporter:
    """Adds what was asked to the report of a failed test; registered when the first fixture is used."""

    def __init__(self) -> None:
        self.services: dict[str, list[Watsonx]] = {}
        self.passed: set[str] = set()

    @pytest.hookimpl(hookwrapper=True)  # the older way, so that no pytest breaks because we are installed
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Note whether the test passed, and show its requests if not."""
        outcome = yield
        report: pytest.TestReport = outcome.get_result()
        if report.when == "setup":
            self.passed.discard(item.nodeid)
        if report.when == "call" and report.passed:
            self.passed.add(item.nodeid)
        if report.when == "call" and report.failed:
            for service in self.services.get(item.nodeid, ()):
                report.sections.append((f"requests to {service.url}", service.journal.summary()))


def _reporter(config: pytest.Config) -> _Reporter:
    found = config.pluginmanager.get_plugin(_REPORTER)
    if isinstance(found, _Reporter):
        return found
    made = _Reporter()
    config.pluginmanager.register(made, _REPORTER)
    return made
