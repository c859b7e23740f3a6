"""Runs the code on its standard input under limits; a program of its own.

    python -I -B runner.py '{"memory": 1073741824, "cpu": 31, "file": 16777216}'

The limits are the operating system's where it has them (POSIX). The guard
stops code that opens connections, starts programs or touches files beyond
its folder by mistake; it is no wall against code that wants to break out.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

ERROR = "Error while executing Python code:\n\n"
REFUSED = {
    "socket.connect": "network access",
    "socket.bind": "network access",
    "socket.getaddrinfo": "network access",
    "socket.gethostbyname": "network access",
    "socket.sendto": "network access",
    "socket.sendmsg": "network access",
    "subprocess.Popen": "starting programs",
    "os.system": "starting programs",
    "os.exec": "starting programs",
    "os.fork": "starting programs",
    "os.forkpty": "starting programs",
    "os.posix_spawn": "starting programs",
    "os.spawn": "starting programs",
    "os.startfile": "starting programs",
    "os.kill": "signals to other programs",
    "os.killpg": "signals to other programs",
}
CHANGES = (
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link"),
    *("os.symlink", "os.chmod", "os.chown", "os.truncate", "os.utime"),
    "sqlite3.connect",
)
MEMORY = (":memory:", "")
"""Databases of sqlite3 that are no files."""
READABLE = (
    *("/usr", "/lib", "/lib64", "/bin", "/etc/localtime", "/etc/fonts"),
    *("/proc/cpuinfo", "/proc/meminfo", "/sys/devices"),
)
DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/zero")


def limit(limits: dict[str, int]) -> None:
    """Ask the operating system to enforce the limits, which the code cannot raise again."""
    try:
        import resource
    except ImportError:
        return
    for name, key in (("RLIMIT_AS", "memory"), ("RLIMIT_CPU", "cpu"), ("RLIMIT_FSIZE", "file")):
        resource.setrlimit(getattr(resource, name), (limits[key], limits[key]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def guard() -> None:
    """Refuse what code for a calculation does not need."""
    folder = os.path.realpath(".")
    roots = [folder, *(os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, f"{os.__file__}/.."))]
    readable = (*roots, *READABLE, *DEVICES)

    def below(path: Any, places: Sequence[str]) -> bool:
        if isinstance(path, int) or path is None:
            return True
        real = os.path.realpath(os.fsdecode(path))
        return any(real == place or real.startswith(place + os.sep) for place in places)

    def check(event: str, args: tuple[Any, ...]) -> None:
        if event in REFUSED:
            raise PermissionError(REFUSED[event] + " is not possible here")
        if event == "open":
            path, _, flags = args
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            if not below(path, (folder, *DEVICES) if writes else readable):
                raise PermissionError("files outside the working folder are out of reach")
        elif event in ("os.listdir", "os.scandir") and not below(args[0] or ".", readable):
            raise PermissionError("folders outside the working folder are out of reach")
        elif event in CHANGES and not all(path in MEMORY or below(path, (folder,)) for path in args[:2]):
            raise PermissionError("files outside the working folder are out of reach")

    sys.addaudithook(check)


def keep_figures() -> None:
    """Save what was drawn and not saved, as charts are shown by pictures."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    for number in pyplot.get_fignums() if pyplot else ():
        pyplot.figure(number).savefig(f"figure-{number}.png")


def told(error: BaseException) -> str:
    """Return a traceback without the lines of this program."""
    report = traceback.TracebackException.from_exception(error)
    here: traceback.TracebackException | None = report
    while here is not None:
        here.stack = traceback.StackSummary.from_list([frame for frame in here.stack if frame.filename != __file__])
        here = here.__cause__ or here.__context__
    return "".join(report.format())


def main() -> int:
    limits = json.loads(sys.argv[1])
    code = sys.stdin.buffer.read().decode("utf-8", "replace")
    sys.stdin = io.StringIO("")
    sys.argv = ["code"]
    warnings.filterwarnings("ignore", message=".*non-interactive.*")
    limit(limits)
    guard()
    try:
        exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})  # noqa: S102  # that is what it is for
        keep_figures()
    except SystemExit as leaving:
        return 0 if leaving.code in (None, 0) else 1
    except BaseException as error:
        sys.stdout.flush()
        sys.stdout.write(ERROR + told(error))
        return 1
    return 0


if __name__ == "__main__":
    status = 1
    try:
        status = main()
    finally:
        try:
            sys.stdout.flush()
        finally:
            os._exit(status)
