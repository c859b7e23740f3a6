"""Where models are kept, and the lock."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from wx_integrations.emulator.local.cache import cache_folder, locked


@pytest.mark.parametrize(
    ("environment", "platform", "folder"),
    [
        ({"WX_CACHE_DIR": "/mine", "XDG_CACHE_HOME": "/xdg"}, "linux", Path("/mine/models")),
        ({"WX_CACHE_DIR": "~/mine"}, "linux", Path.home() / "mine" / "models"),
        ({"XDG_CACHE_HOME": "/xdg"}, "linux", Path("/xdg/wx-integrations/models")),
        ({"XDG_CACHE_HOME": "/xdg"}, "darwin", Path("/xdg/wx-integrations/models")),
        ({}, "linux", Path.home() / ".cache" / "wx-integrations" / "models"),
        ({}, "darwin", Path.home() / "Library" / "Caches" / "wx-integrations" / "models"),
        ({"LOCALAPPDATA": "/local"}, "win32", Path("/local/wx-integrations/models")),
        ({}, "win32", Path.home() / "AppData" / "Local" / "wx-integrations" / "models"),
    ],
)
def test_the_folder_is_the_platforms(environment: dict[str, str], platform: str, folder: Path) -> None:
    assert cache_folder(environment, platform) == folder


def test_the_lock_lets_one_in(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "lock", [0], [0]
    waits: list[int] = []

    def work() -> None:
        with locked(path, lambda: waits.append(1), pause=0.001):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            threading.Event().wait(0.01)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert waits


def test_an_error_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), locked(tmp_path / "lock"):
        raise ValueError("inside")
    with locked(tmp_path / "lock", lambda: pytest.fail("still locked")):
        assert (tmp_path / "lock").exists()
