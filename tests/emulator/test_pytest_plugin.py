"""The pytest plugin as a user has it: a suite of its own in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import httpcore  # noqa: F401
import httpx
import pytest

import wx_integrations
from wx_integrations.core import calls, client  # noqa: F401
from wx_integrations.emulator import server, testing  # noqa: F401

# What is imported here is not imported anew by each session in this process, which would make two of each class.

pytest_plugins = ["pytester"]

APP = """
from wx_integrations import Client
from wx_integrations.core import calls
from wx_integrations.core.wire.chat import ChatRequest, UserMessage

def said(text="Hello", **settings):
    client = Client(**settings)
    request = ChatRequest(messages=[UserMessage(content=text)], max_tokens=9)
    target = calls.Model("ibm/granite-4-h-small", client.connection.project_id)
    return client.run(calls.chat(target, request)).choices[0].message.content
"""
QUIET = ["-p", "no:cacheprovider"]
ASYNCIO = [
    "-p",
    "pytest_asyncio.plugin",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
    "-o",
    "asyncio_mode=auto",
]
PLUGINS = ["-p", "wx_integrations.emulator.pytest_plugin", "-p", "pytest_socket", *ASYNCIO]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with an app; without the plugins that happen to be installed, which cost a second each session."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(app=APP)
    pytester.syspathinsert()
    return pytester


def run(suite: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    """Run a test module in a session of its own, in this process."""
    suite.makepyfile(test_it="from app import said\n" + source)
    sys.modules.pop("app", None)
    return suite.runpytest_inprocess(*QUIET, *PLUGINS, "--strict-markers", *arguments)


# --------------------------------------------------------------------------- the fixtures


def test_the_fixture(suite: pytest.Pytester) -> None:
    before = httpx.HTTPTransport.handle_request, {n: v for n, v in os.environ.items() if n.startswith("WATSONX_")}
    result = run(
        suite,
        """
def test_scripted(watsonx):
    watsonx.reply("scripted")
    assert said() == "scripted"
    watsonx.expect_chat("Hello", max_tokens=9, times=1)

def test_by_rule_and_nothing_left_from_before(watsonx):
    watsonx.expect_nothing()
    assert said("Ada") == "You said: Ada"

async def test_in_a_loop(watsonx):
    assert said("Ada") == "You said: Ada"

class TestClass:
    def test_in_a_class(self, watsonx):
        watsonx.fail(503)
        assert said(retry_total=1) == "You said: Hello"
""",
    )
    result.assert_outcomes(passed=4)
    after = httpx.HTTPTransport.handle_request, {n: v for n, v in os.environ.items() if n.startswith("WATSONX_")}
    assert after == before


def test_the_server(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
import os, pytest

def test_plain(watsonx_server):
    assert os.environ["WATSONX_URL"].startswith("http://127.0.0.1:")
    watsonx_server.reply("over a socket")
    assert said() == "over a socket"

@pytest.mark.watsonx(tls=True)
def test_tls(watsonx_server):
    assert os.environ["WATSONX_URL"].startswith("https://127.0.0.1:")
    assert said() == "You said: Hello"
    watsonx_server.expect_chat("Hello")

def test_both(watsonx_server, watsonx):
    assert said() == "You said: Hello"
    watsonx.expect_chat("Hello")
    watsonx_server.expect_nothing()
""",
    )
    result.assert_outcomes(passed=3)


def test_options_of_the_marker(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
import pytest
pytestmark = pytest.mark.watsonx(project_id="of the module", api_keys={"none"})

@pytest.mark.watsonx(project_id="mine", api_keys=None)
def test_the_nearest_counts(watsonx):
    assert said() == "You said: Hello"
    watsonx.expect_chat(project_id="mine")

def test_of_the_module(watsonx):
    from wx_integrations import Unauthorized
    with pytest.raises(Unauthorized):
        said()

@pytest.mark.watsonx(stric=True)
def test_misspelt(watsonx): ...

@pytest.mark.watsonx("strict")
def test_positional(watsonx): ...
""",
    )
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*@pytest.mark.watsonx: *unexpected keyword argument 'stric'*"])
    result.stdout.fnmatch_lines(["*@pytest.mark.watsonx takes keyword arguments only*"])


def test_what_was_asked_is_in_the_report_of_a_failure(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
def test_it(watsonx):
    watsonx.fail(503)
    said(retry_total=1)
    assert watsonx.chats[0] == {"max_tokens": 8}
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*requests to https://us-south.ml.cloud.ibm.com*",
            "#0 POST /identity/token -> 200",
            "#1 POST /ml/v1/text/chat -> 503 (Status)",
            "#2 POST /ml/v1/text/chat -> 200",
        ]
    )


def test_an_expectation_that_fails_shows_the_test_and_the_difference(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
def test_it(watsonx):
    said("Ada")
    watsonx.expect_chat("Bob", max_tokens=8)
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>   *watsonx.expect_chat("Bob", max_tokens=8)',
            "E   *the nearest is #1 POST /ml/v1/text/chat -> 200",
            "E   *no user message holds 'Bob'; user messages: ?'Ada'?",
            'E   *-  "max_tokens": 8',
            'E   *+  "max_tokens": 9',
        ]
    )
    result.stdout.no_fnmatch_line("*def _expect*")


def test_answers_that_nobody_asked_for_fail_a_test_that_passed(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
def test_unused(watsonx):
    watsonx.reply("never")

def test_failed_already(watsonx):
    watsonx.reply("never")
    assert False

def test_skipped(watsonx):
    import pytest
    watsonx.reply("never")
    pytest.skip("on purpose")
""",
    )
    result.assert_outcomes(passed=1, failed=1, skipped=1, errors=1)
    result.stdout.fnmatch_lines(["1 scripted answer was never asked for; next: 'never' (to chat)"])
    result.stdout.no_fnmatch_line("*another exception occurred*")


def test_the_network_is_blocked(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
import httpx, pytest

def test_blocked(watsonx):
    httpx.get("https://example.com/a")

@pytest.mark.watsonx(allow_hosts=["127.0.0.1"])
def test_allowed(watsonx):
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:9/")
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *NetworkBlocked: GET https://example.com/a: the network is blocked*"])


def test_with_sockets_disabled(suite: pytest.Pytester) -> None:
    result = run(suite, "def test_it(watsonx):\n    assert said() == 'You said: Hello'\n", "--disable-socket")
    result.assert_outcomes(passed=1)


def test_unittest_under_pytest(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
import unittest
from wx_integrations.emulator.testing import WatsonxTestCase

class Case(WatsonxTestCase, unittest.IsolatedAsyncioTestCase):
    def test_sync(self):
        self.watsonx.reply("hi")
        self.assertEqual(said(), "hi")

    async def test_async(self):
        self.assertEqual(said(), "You said: Hello")

    def test_unused(self):
        self.watsonx.reply("never")

    @unittest.skip("on purpose")
    def test_skipped(self): ...
""",
    )
    result.assert_outcomes(passed=2, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["E *1 scripted answer was never asked for*"])


def test_the_server_says_which_extra_is_missing(suite: pytest.Pytester) -> None:
    suite.makeconftest("import sys; sys.modules['uvicorn'] = None")
    suite.makepyfile(test_it="def test_it(watsonx_server): ...")
    result = suite.runpytest_subprocess(*QUIET, *PLUGINS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*watsonx_server needs uvicorn: pip install 'wx-integrations?local?'*"])


def test_the_marker_is_documented(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess(*QUIET, *PLUGINS, "--markers").stdout.fnmatch_lines(
        ["@pytest.mark.watsonx(?*options): *"]
    )
    result = suite.runpytest_inprocess(*QUIET, *PLUGINS, "--fixtures")
    result.stdout.fnmatch_lines(["watsonx*", "*every httpx client reaches it*", "watsonx_server*"])


# --------------------------------------------------------------------------- what it costs


def test_it_comes_with_the_package() -> None:
    points = metadata.distribution("wx-integrations").entry_points.select(group="pytest11")
    assert [(point.name, point.value) for point in points] == [("watsonx", "wx_integrations.emulator.pytest_plugin")]


def test_pytest_does_not_mind_that_the_package_is_imported_already() -> None:
    """pytest warns about packages with plugins that it can no longer rewrite, unless their docstring says this."""
    assert "PYTEST_DONT_REWRITE" in (wx_integrations.__doc__ or "")


HEAVY = ("httpx", "pydantic", "langchain_core", "llama_index", "typer", "uvicorn")
CONFTEST = """
import sys
def pytest_unconfigure():
    print("LOADED", sorted(name for name in sys.modules if name.startswith("wx_integrations")))
    print("HEAVY", [name for name in {heavy} if name in sys.modules])
"""


def loaded(folder: Path, *arguments: str, autoload: bool) -> dict[str, str]:
    """Return what a session of an empty test has imported."""
    (folder / "test_empty.py").write_text("def test_empty(): pass\n")
    (folder / "conftest.py").write_text(CONFTEST.format(heavy=HEAVY))
    environment = {**os.environ, "PYTHONPATH": str(Path(wx_integrations.__file__).parents[1])}
    environment.pop("PYTEST_PLUGINS", None)
    if not autoload:
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    return {name: rest for name, _, rest in lines if name in ("LOADED", "HEAVY")}


OWN = "['wx_integrations', 'wx_integrations.emulator', 'wx_integrations.emulator.pytest_plugin']"


@pytest.mark.parametrize("arguments", [[], ["--collect-only"]])
def test_unused_it_imports_nothing(tmp_path: Path, arguments: list[str]) -> None:
    found = loaded(tmp_path, "-p", "wx_integrations.emulator.pytest_plugin", *arguments, autoload=False)
    assert found == {"LOADED": OWN, "HEAVY": "[]"}


def test_unused_beside_other_plugins(tmp_path: Path) -> None:
    assert loaded(tmp_path, "--collect-only", autoload=True)["LOADED"] == OWN


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    assert loaded(tmp_path, "-p", "no:watsonx", autoload=True)["LOADED"] == "[]"
