"""The folder where fetched models live: where it is, who may write, what in it is trusted.

A model's file appears under its final name only after its hash was right.
Beside it lies a small stamp with size and modification time, so that a
gigabyte is not hashed again at every start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from wx_integrations.emulator.local.catalogue import LocalModel

_BLOCK = 1 << 20


def cache_folder(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Return the folder for models: WX_CACHE_DIR, else the platform's cache folder."""
    environment = os.environ if environment is None else environment
    if chosen := environment.get("WX_CACHE_DIR"):
        return Path(chosen).expanduser() / "models"
    if platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif chosen := environment.get("XDG_CACHE_HOME"):
        base = Path(chosen)
    elif platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "wx-integrations" / "models"


def sha256_of(path: Path, update: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of a file in hex; `update` hears of every block's length."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            if update:
                update(len(block))
    return digest.hexdigest()


def verified(model: LocalModel, folder: Path) -> Path | None:
    """Return the model's file if it is there and right; a wrong one is removed.

    The stamp vouches for a file that has not changed since it was hashed.
    """
    path = folder / model.filename
    try:
        status = path.stat()
    except OSError:
        return None
    mark = {"sha256": model.sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    if status.st_size == model.size:
        if _read_stamp(path) == mark:
            return path
        if sha256_of(path) == model.sha256:
            with contextlib.suppress(OSError):  # a read-only cache serves too, only slower
                _write_stamp(path, mark)
            return path
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def admit(model: LocalModel, candidate: Path, folder: Path) -> Path:
    """Give a file whose hash is known to be right its final name, atomically."""
    path = folder / model.filename
    candidate.replace(path)
    status = path.stat()
    _write_stamp(path, {"sha256": model.sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns})
    return path


def _stamp(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(_stamp(path).read_text())
    except (OSError, ValueError):
        return None


def _write_stamp(path: Path, mark: dict[str, object]) -> None:
    part = _stamp(path).with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(mark))
    part.replace(_stamp(path))


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None, pause: float = 0.2) -> Iterator[None]:
    """Hold an exclusive lock on a file, across threads and processes; the system frees it when a process dies.

    Args:
        waiting: called before every further try while somebody else holds the lock.
        pause: seconds between two tries.
    """
    with path.open("a+b") as file:
        while not _try_lock(file.fileno()):
            if waiting:
                waiting()
            time.sleep(pause)
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
