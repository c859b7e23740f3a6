"""The pytest plugin: fixtures `watsonx` and `watsonx_server`; it comes with the package.

```python
def test_report(watsonx):
    watsonx.reply("It is sunny in Rome.")
    assert weather_report("Rome") == "It is sunny in Rome."
    watsonx.expect_chat("Rome", temperature=0)
```

`@pytest.mark.watsonx(strict=False, ...)` gives arguments of `emulated` and
`served` in `wx_integrations.emulator.testing`. Nothing but this file is
imported before a fixture is used.
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

    A test that passed fails afterwards if scripted answers were never asked for.
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
