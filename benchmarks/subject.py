"""What is measured: the checkout as it is, or one of its commits."""

from __future__ import annotations

import compileall
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ROOT


@dataclass(frozen=True)
class Subject:
    """A folder with the package in it.

    Attributes:
        root: the folder.
        commit: the commit's name, as short as it can be.
        dirty: whether the package differs from it.
    """

    root: Path
    commit: str
    dirty: bool


@contextmanager
def subject(revision: str) -> Iterator[Subject]:
    """Give the checkout, or for a revision a copy of that commit: nobody who edits meanwhile disturbs it."""
    if not revision or not _git("rev-parse", "HEAD"):
        dirty = bool(_git("status", "--porcelain", "--", "wx_integrations").strip())
        yield Subject(ROOT, _git("rev-parse", "--short", "HEAD").decode().strip(), dirty)
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = _git("archive", "--format=tar", revision, "wx_integrations")
        if not archive:
            sys.exit(f"no such commit: {revision}")
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        compileall.compile_dir(folder, quiet=2)  # as it would be installed
        yield Subject(Path(folder), _git("rev-parse", "--short", revision).decode().strip(), dirty=False)


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""
