"""Vectors kept on disk as they come, so that a job that was killed continues where it was.

A checkpoint is one SQLite file: in the standard library, safe against a
killed process and against several at a time, and never half written. A
vector is kept under a hash of its text, the model and the parameters, so an
unchanged corpus costs no request, and a changed parameter never finds old
vectors.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import threading
import time
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from wx_integrations.core.bulk import OnFailure
from wx_integrations.core.calls import Target
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.filing import Filing, Intake, chunks
from wx_integrations.core.wire.embeddings import EmbeddingParameters

FORMAT = 1
PATIENCE = 60.0
"""Seconds to wait for another process that writes."""

Precision = Literal["double", "single"]
_CODES = {"double": "d", "single": "f"}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL);
"""


def purpose_of(target: Target, parameters: EmbeddingParameters | None) -> bytes:
    """Return what besides its text decides a vector: the model and the parameters."""
    settings = parameters.to_wire() if parameters else {}
    settings.pop("return_options", None)  # changes what comes along, not the vector
    return json.dumps([type(target).__name__, target.name, settings], sort_keys=True).encode()


class Checkpoint:
    """An open checkpoint, seen with one model's eyes.

    Args:
        path: the file; it is made if it is missing.
        purpose: what besides its text decides a vector; see `purpose_of`.
        precision: of the numbers in a new file: "double" keeps them as they came, "single" halves the file.

    Raises:
        ConfigurationError: the file is something else.
    """

    def __init__(self, path: str | Path, purpose: bytes, *, precision: Precision = "double") -> None:
        if precision not in _CODES:
            raise ConfigurationError("precision: must be 'double' or 'single'", field="precision")
        self.path = Path(path)
        self._purpose = purpose
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        try:
            self._open(precision)
        except BaseException:
            self._database.close()
            raise

    def _open(self, precision: Precision) -> None:
        try:
            self._write_ahead()
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                self._database.execute(statement)
            new = [("format", str(FORMAT)), ("precision", precision)]
            self._database.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", new)
            self._database.execute("COMMIT")
            settings = dict(self._database.execute("SELECT name, value FROM settings"))
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        if settings.get("format") != str(FORMAT) or settings.get("precision") not in _CODES:
            raise ConfigurationError(
                f"{self.path}: a checkpoint of another version", hint="Give another path", field="path"
            )
        self._code = _CODES[settings["precision"]]

    def _write_ahead(self) -> None:
        """Turn the write-ahead log on; SQLite's own patience does not cover others who do so at the same moment."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _unusable(self, error: sqlite3.Error) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path}: not usable as a checkpoint ({error})",
            hint="Give the path of a checkpoint, or of a file that does not exist yet",
            field="path",
        )

    def close(self) -> None:
        """Close the file, after what another thread is writing."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock:
            count: int = self._database.execute("SELECT count(*) FROM vectors").fetchone()[0]
        return count

    # ------------------------------------------------------------------ vectors

    def key(self, text: str) -> bytes:
        """Return what a text's vector is kept under."""
        digest = hashlib.blake2b(self._purpose, digest_size=16)
        digest.update(b"\0")
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of a few hundred keys that have a vector."""
        return {key for (key,) in self._select("key", keys)}

    def keep(self, pairs: Iterable[tuple[bytes, Sequence[float]]]) -> None:
        """Keep vectors under their keys, all or none of them."""
        rows = [(key, self._packed(vector)) for key, vector in pairs]
        if not rows:
            return
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany("INSERT OR IGNORE INTO vectors (key, vector) VALUES (?, ?)", rows)
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def vectors(self, texts: Iterable[str]) -> Generator[list[float], None, None]:
        """Yield the vectors of texts, in their order.

        Raises:
            ConfigurationError: a text has none.
        """
        index = 0
        for chunk in chunks(texts):
            keys = [self.key(text) for text in chunk]
            found: dict[bytes, bytes] = dict(self._select("key, vector", list(set(keys))))
            for key in keys:
                if key not in found:
                    raise ConfigurationError(
                        f"{self.path} has no vector for texts[{index}]", hint="Run embed_to first", field="texts"
                    )
                yield self._unpacked(found[key])
                index += 1

    def _select(self, columns: str, keys: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
        marks = ",".join("?" * len(keys))
        query = f"SELECT {columns} FROM vectors WHERE key IN ({marks})"  # noqa: S608  # only question marks
        with self._lock:
            return iter(self._database.execute(query, keys).fetchall())

    def filing(self, on_failure: OnFailure | None) -> Filing:
        """Return what files a job's outcome into this checkpoint."""
        return Filing(self, Intake(self), on_failure)

    def _packed(self, vector: Sequence[float]) -> bytes:
        numbers = array(self._code, vector)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tobytes()

    def _unpacked(self, data: bytes) -> list[float]:
        numbers = array(self._code, data)
        if sys.byteorder == "big":
            numbers.byteswap()
        return [*numbers]
