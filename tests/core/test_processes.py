"""Processes, threads and event loops: nothing left open, nothing said at the end, nothing shared that must not be.

Each script runs in an interpreter of its own with every warning an error.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from tests.support import interpreter, lifecycle
from tests.support.interpreter import ROOT
from tests.support.server import HANG, Script, Server, answer, frames, stream
from tests.support.tokens import iam

Serve = Callable[..., Server]
SPECS = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})
IMPORTS = """
from wx_integrations.core.calls import StreamCall, model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.session import Session
CALL = model_specs()
STREAM = StreamCall(path="/ml/v1/text/chat_stream", parse=bytes, is_last=lambda data: data == b'"end"', body=b"{}")
def session(**settings):
    return Session.of(Connection(**{"url": URL, "api_key": "the-canary-key", **settings}))
"""
LIFE = """
make = session
def ask(s):
    return s.client.run(CALL)
async def aask(s):
    return await s.async_client.run(CALL)
def stream(s):
    return s.client.stream(STREAM)
def astream(s):
    return s.async_client.stream(STREAM)
"""


def run(server: Server, script: str, **environ: str) -> str:
    """Run a script in an interpreter of its own."""
    return interpreter.run(server, IMPORTS, script, **environ)


def test_event_loops_and_threads_of_one_process(serve: Serve) -> None:
    """Ends with clients open, which says nothing either."""
    streamed = stream(*frames(1, 2), HANG, end=False)
    server = serve(script := Script(lambda seen: streamed if "stream" in seen.path else SPECS, token=iam()))
    out = run(
        server,
        """
        s = session()

        async def a_loop():
            await asyncio.gather(s.async_client.run(CALL), s.async_client.run(CALL))
            s.async_client.stream(STREAM)  # never begun
        for _ in range(100):
            asyncio.run(a_loop())
        print("a hundred loops in turn:", sockets(), len(s.async_client._loops) <= 1)

        async def nested():
            await s.async_client.run(CALL)
            s.client.run(CALL)  # a synchronous call in the middle of a loop, as in notebooks
            inner = asyncio.to_thread(asyncio.run, s.async_client.run(CALL))
            await asyncio.gather(inner, s.async_client.run(CALL))
        threads = [threading.Thread(target=lambda: asyncio.run(nested())) for _ in range(10)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        s.client.close()
        print("loops at the same time and inside another:", sockets())

        kept = []
        async def left():
            for _ in range(5):
                agen = s.async_client.stream(STREAM)
                await anext(agen)
                kept.append(agen)
            tasks = [asyncio.create_task(anext(agen)) for agen in kept]
            await asyncio.sleep(0.01)
        asyncio.run(left())
        kept.clear()
        print("streams left when the loop ends:", sockets())

        for end in (s.async_client.aclose, None):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(s.async_client.run(CALL))
            loop.run_until_complete(end() if end else loop.shutdown_asyncgens())
            loop.close()
        print("loops ended by hand:", sockets())

        async def dropped():
            baseline = sockets()  # what a loop has for itself
            for number in range(10):
                mine = session(timeout=number + 1)
                await mine.async_client.run(CALL)
                mine.client.run(CALL)
                del mine
                gc.collect()
            await asyncio.sleep(0.05)
            print("clients dropped while the loop goes on:", sockets() - baseline)
        asyncio.run(dropped())
        print("and after:", sockets())

        barrier = threading.Barrier(64)
        sessions = []
        def construct():
            barrier.wait()
            mine = session(timeout=100)
            sessions.append(mine)
            mine.client.run(CALL)
        threads = [threading.Thread(target=construct) for _ in range(64)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        print("sessions of 64 threads:", len(set(map(id, sessions))))

        s.client.run(CALL)
        async def ends_open():
            await asyncio.gather(*(s.async_client.run(CALL) for _ in range(30)))
        asyncio.run(ends_open())
        """,
    )
    assert out.splitlines() == [
        "a hundred loops in turn: 0 True",
        "loops at the same time and inside another: 0",
        "streams left when the loop ends: 0",
        "loops ended by hand: 0",
        "clients dropped while the loop goes on: 0",
        "and after: 0",
        "sessions of 64 threads: 1",
    ]
    assert script.tokens == 1 + 10 + 1  # one for each session
    assert len(server.calls("/ml/v1/foundation_model_specs")) == 200 + 40 + 2 + 20 + 64 + 31
    assert all(seen.left.wait(10) for seen in server.calls("/ml/v1/text/chat_stream"))


def test_loops_within_loops_as_in_notebooks(serve: Serve) -> None:
    streamed = stream(*frames(1, 2), HANG, end=False)
    server = serve(script := Script(lambda seen: streamed if "stream" in seen.path else SPECS, token=iam()))
    out = interpreter.run(server, IMPORTS + LIFE, lifecycle.NESTED)
    assert out.splitlines() == ["loops known: 1", "loops known: 1", "loops known: 1", "nested: 0"]
    assert script.tokens == 1


def test_fifty_threads_need_the_shapes_for_the_first_time(serve: Serve) -> None:
    """Pydantic builds a shape when it is first used, and others are loaded when there is a value for them."""
    out = interpreter.run(
        serve(Script(lambda seen: SPECS)),
        """
        from wx_integrations import Connection
        from wx_integrations.core.wire.chat import ChatRequest, Completion
        """,
        """
        sys.setswitchinterval(1e-6)
        SAID = [{"role": role, "content": role} for role in ("system", "user", "assistant", "control")]
        TOLD = b'{"choices":[{"message":{"tool_calls":[{"id":"c"}]}}],"system":{"warnings":[{"message":"note"}]}}'
        found = []
        def use():
            connection = Connection(url=URL, token="t", project_id="p", retry={"retry_total": 2})
            request = ChatRequest(messages=SAID, crypto={"key_ref": "k"}, tools=[{"function": {"name": "f"}}])
            answer = Completion.model_validate_json(TOLD)
            found.append((
                connection.retry.retry_total, request.to_wire()["messages"] == SAID, answer.warnings[0].message,
                answer.choices[0].message.tool_calls,
            ))
        together(50, use)
        print(len(found), {str(one) for one in found})
        """,
    )
    assert out == "50 {\"(2, True, 'note', [{'id': 'c'}])\"}\n"


def test_the_end_of_the_interpreter(serve: Serve) -> None:
    """With streams and clients open, and a thread in the middle of one: it says nothing."""
    streamed = stream(*frames(1, 2), HANG, end=False)
    server = serve(Script(lambda seen: streamed if "stream" in seen.path else SPECS, token=iam()))
    assert interpreter.run(server, IMPORTS + LIFE, lifecycle.END) == "over\n"


def test_fork_in_the_middle_of_a_stream(serve: Serve) -> None:
    streamed = stream(*frames(1, 2), HANG, end=False)
    server = serve(script := Script(lambda seen: streamed if "stream" in seen.path else SPECS, token=iam()))
    assert interpreter.run(server, IMPORTS + LIFE, lifecycle.FORK) == "child\nparent\n"
    assert script.tokens == 1
    [left] = server.calls("/ml/v1/text/chat_stream")
    assert left.left.wait(10)


def test_fork_after_use(serve: Serve) -> None:
    """The child opens connections of its own; the parent's go on."""
    server = serve(script := Script(SPECS, token=iam()))
    out = run(
        server,
        """
        s = session()
        s.client.run(CALL)
        asyncio.run(s.async_client.run(CALL))
        held = threading.Event()
        def hold():  # locks that another thread holds at the fork
            from wx_integrations.core import session as module
            with s.client._shared.lock, module._registry.lock, s.client._shared.cell._lock:
                held.set()
                release.wait()
        release = threading.Event()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)  # Python 3.12 advises
        pid = os.fork()
        if pid == 0:
            s.client.run(CALL)
            asyncio.run(s.async_client.run(CALL))
            Session.of(s.connection).client.run(CALL)
            os._exit(7)
        release.set()
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        s.client.run(CALL)
        if os.fork() == 0:  # a child that ends like any process
            s.client.run(CALL)
            print("child")
            sys.exit()
        os.wait()
        s.client.run(CALL)
        print("parent")
        """,
    )
    assert out == "child\nparent\n"
    assert script.tokens == 1  # the children inherit the token
    first, _, *children, fourth, fifth, sixth = server.calls("/ml/v1/foundation_model_specs")
    assert first.connection == fourth.connection == sixth.connection
    assert first.connection not in {seen.connection for seen in (*children, fifth)}
    assert len(children) == 3


def test_spawned_processes_take_secrets_from_their_environment(serve: Serve, tmp_path: Path) -> None:
    server = serve(script := Script(SPECS, token=iam()))
    (tmp_path / "jobs.py").write_text(
        textwrap.dedent(
            """
            from wx_integrations.core.calls import model_specs
            def job(session):
                try:
                    return len(session.client.run(model_specs()).resources)
                except Exception as error:
                    return f"{type(error).__name__}: {error}"
            """
        )
    )
    out = run(
        server,
        """
        import multiprocessing, jobs
        s = session(project_id="p", verify=None)
        assert b"canary" not in pickle.dumps(s)
        s.client.run(CALL)
        spawn = multiprocessing.get_context("spawn")
        for key in ("", "the-canary-key"):
            os.environ["WATSONX_API_KEY"] = key
            with spawn.Pool(1) as pool:
                print(pool.map(jobs.job, [s]))
                pool.close()
                pool.join()
        """,
        PYTHONPATH=str(tmp_path),
    )
    without, with_key = out.splitlines()
    assert "ConfigurationError: api_key: not pickled" in without
    assert "WATSONX_API_KEY" in without
    assert with_key == "[0]"
    assert script.tokens == 2


def test_the_base_import_pulls_httpx_and_pydantic_only() -> None:
    code = """
import sys
import httpx
from pydantic import BaseModel, SecretStr
class Model(BaseModel):
    secret: SecretStr
floor = {name.split(".")[0] for name in sys.modules}
import wx_integrations
from wx_integrations import *
import wx_integrations.core.fields
new = {name.split(".")[0] for name in sys.modules} - floor - sys.stdlib_module_names
print(sorted(name for name in new if not name.startswith("_sysconfigdata")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    assert done.stdout == "['wx_integrations']\n"


def test_building_is_silent(tmp_path: Path) -> None:
    """No socket, file, clock or thread: an audit hook and broken clocks would tell."""
    code = """
import sys, threading, time
import httpx
from wx_integrations.core.connection import Connection
from wx_integrations.core.client import AsyncClient, Client
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.session import Session
import copy, pickle

class Adapter(ModelFields):
    pass

def everything():
    c = Connection(url="https://eu-de.ml.cloud.ibm.com", api_key="k", project_id="p", verify="/nowhere.pem",
                   proxies={"https": "http://p:1"}, headers={"X-A": "a"}, timeout=5, max_retries=2)
    Connection(url="https://cpd.example.com", username="u", password="p")
    s = Session.of(c)
    s.client, s.async_client, repr(c), hash(c), c.hosts, c.scope(), c.to_dict()
    Client(c), AsyncClient(c)
    a = Adapter(model_id="m", url="us-south", api_key="k", project_id="p")
    a.target, a.session, a.client, a.async_client, repr(a), copy.deepcopy(a), a.model_copy(update={"project_id": "q"})
    return c, a

everything()
def forbid(*args):
    raise AssertionError("clock")
events = []
watched = ("open", "socket.", "os.listdir", "os.scandir", "subprocess", "os.putenv", "_thread.start")
def hook(event, args):
    if armed and event.startswith(watched):
        events.append((event, str(args)[:80]))
armed = False
sys.addaudithook(hook)
for name in ("time", "monotonic", "perf_counter", "sleep"):
    setattr(time, name, forbid)
armed = True
everything()
armed = False
print(events, threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "[] 1\n"
