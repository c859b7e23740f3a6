"""What any adapter must bear: threads, event loops, processes and the end of the interpreter.

Each script runs where `make(**settings)`, `ask(model)`, `aask(model)`,
`stream(model)` and `astream(model)` are defined for the adapter.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.echo import recorded, recorded_stream
from tests.support.server import HANG, Script, Seen, Step, stream
from tests.support.tokens import iam

THREADS = """
made = []
def construct():
    model = make(timeout=100)
    made.append(model)
    ask(model)
together(64, construct)
print("sessions of 64 threads:", len({id(model.session) for model in made}))
made.clear()
print("and none is left:", sockets())
"""

LOOPS = """
model = make()
async def both():
    await asyncio.gather(aask(model), aask(model))
for _ in range(100):
    asyncio.run(both())
print("a hundred loops in turn:", sockets())

async def within():
    await aask(model)
    ask(model)  # a synchronous call in the middle of a loop, as in notebooks
    inner = asyncio.to_thread(asyncio.run, aask(model))
    await asyncio.gather(inner, aask(model))
together(10, lambda: asyncio.run(within()))
model.client.close()
print("loops at the same time and inside another:", sockets())

for _ in range(5):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(aask(model))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    del loop
    gc.collect()
print("loops ended by hand:", sockets(), len(model.async_client._loops) <= 1)

kept = []
async def left():
    for _ in range(5):
        pieces = astream(model)
        await anext(pieces)
        kept.append(pieces)
asyncio.run(left())
kept.clear()
print("streams left when the loop ends:", sockets())
"""

NESTED = """
import nest_asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
nest_asyncio.apply(loop)
model = make()
async def cell():
    await aask(model)
    asyncio.run(aask(model))  # within the running loop, which this patch allows
    loop.run_until_complete(aask(model))
    ask(model)
    async for _ in astream(model):
        asyncio.run(aask(model))
        break
    print("loops known:", len(model.async_client._loops))
async def notebook():
    for _ in range(3):
        await cell()
    await model.async_client.aclose()
    gc.collect()
    await asyncio.sleep(0.05)
    loop.stop()
task = loop.create_task(notebook())
loop.run_forever()
task.result()
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
model.client.close()
print("nested:", sockets())
"""

LEFT_OPEN = """
model = make()
ask(model)
open_stream = stream(model)
next(open_stream)
async def ends_open():
    global open_astream
    await aask(model)
    open_astream = astream(model)
    await anext(open_astream)
asyncio.run(ends_open())
print("over")
"""

END = (
    LEFT_OPEN
    + """
began = threading.Event()
def reader():
    for _ in stream(make(timeout=99)):
        began.set()
threading.Thread(target=reader, daemon=True).start()  # in the middle of a stream when the interpreter ends
began.wait()
import time
time.sleep(0.3)  # until it waits for more: Python itself does not bear daemon threads that compute at its end
"""
)

FORK = """
model = make()
ask(model)
asyncio.run(aask(model))
held = stream(model)
next(held)  # a stream that the child inherits and leaves alone
warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)  # Python 3.12 advises
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    ask(model)
    asyncio.run(aask(model))
    ask(make())
    print("child", flush=True)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
ask(model)
held.close()
print("parent")
"""

SPAWN = """
import multiprocessing, jobs
model = make(verify=None)
ask(model)
assert b"the-canary-key" not in pickle.dumps(model)
context = multiprocessing.get_context("spawn")
os.environ["WATSONX_API_KEY"] = "the-canary-key"
with context.Pool(1) as pool:
    print(pool.map(jobs.job, [model]))
    pool.close()
    pool.join()
"""
JOB = """
def job(model):
    try:
        ask(model)
        return "asked"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def answers() -> Script:
    """Return a handler that answers as recorded and lets streams hang before their end."""

    def handle(seen: Seen) -> Sequence[Step]:
        if not seen.path.endswith("_stream"):
            return recorded(seen)
        return stream(*(event + b"\n\n" for event in recorded_stream(seen.path).split(b"\n\n")[:2]), HANG, end=False)

    return Script(handle, token=iam())
