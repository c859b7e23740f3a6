"""What is shipped: wheel and sdist hold what they should and nothing else, and two builds give the same bytes."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import wx_integrations

ROOT = Path(__file__).parent.parent
NAME = f"wx_integrations-{wx_integrations.__version__}"
INFO = f"{NAME}.dist-info"
CACHES = ("__pycache__", ".*_cache", ".hypothesis", ".git", ".benchmarks", ".venv*", "venv", "dist", "build", "out")
STRAYS = {
    "wx_integrations/notes.txt": "",
    "wx_integrations/.env": "WATSONX_API_KEY=secret",
    "wx_integrations/core/__pycache__/errors.cpython-311.pyc": "",
    "wx_integrations/cli/documents/draft.docx": "",
    "tests/__pycache__/test_packaging.cpython-311.pyc": "",
    "tests/.env": "WATSONX_API_KEY=secret",
    ".hypothesis/examples/1": "",
    ".mypy_cache/3.11/cache.json": "",
    "build/lib/wx_integrations/__init__.py": "",
    "scratch.py": "",
}
"""What may lie around in a working copy."""

CODE = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "wx_integrations").rglob("*.py"))
DATA = [
    "wx_integrations/cli/documents/LICENCE.txt",
    "wx_integrations/cli/documents/animals-and-bicycles.md",
    "wx_integrations/cli/documents/fleet.md",
    "wx_integrations/cli/documents/history.md",
    "wx_integrations/cli/documents/safety.md",
    "wx_integrations/cli/documents/tickets-and-refunds.md",
    "wx_integrations/cli/documents/timetable.md",
    "wx_integrations/emulator/tools/corpus.json",
    "wx_integrations/py.typed",
]
"""What the package reads besides its code; a new file is named here and in pyproject.toml."""
LOCK = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
PAPERS = ["CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "uv.lock"]
BESIDE = [
    *("tests/*.py", "tests/*.json", "tests/*.sse", "tests/*.md", "tests/*.ambr", "tests/*.txt", "tests/*.bin"),
    *("notebooks/*.ipynb", "notebooks/*.json", "notebooks/*.md", "notebooks/*.png"),
    *("benchmarks/*.py", "benchmarks/*.md", "benchmarks/*.txt", "benchmarks/*.json", "benchmarks/*.png"),
]
"""What the sdist holds besides the package and its papers; `*` stands for folders too."""


def build(folder: Path, source: Path = ROOT, *, age: float = 0, mode: int = 0o644) -> dict[str, bytes]:
    """Build both from a copy of the source, with strays, and return them by name.

    Args:
        folder: where the copy goes.
        source: the working copy, or a copy of it.
        age: seconds since the files were changed.
        mode: who may read them.
    """
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*CACHES))
    for name, text in STRAYS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for path in folder.rglob("*.*"):
        if path.is_file():
            path.chmod(mode)
            os.utime(path, (time.time() - age,) * 2)
    program = "import hatchling.build as build; build.build_sdist('out'); build.build_wheel('out')"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both were built."""
    folder = tmp_path_factory.mktemp("packaging") / "one"
    build(folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(built / "out" / f"{NAME}-py3-none-any.whl")


@pytest.fixture(scope="module")
def sdist(built: Path) -> list[str]:
    """The files in the sdist, below its folder."""
    with tarfile.open(built / "out" / f"{NAME}.tar.gz") as archive:
        assert all(member.isfile() for member in archive)
        return sorted(member.name.removeprefix(f"{NAME}/") for member in archive)


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    return HeaderParser().parsestr(wheel.read(f"{INFO}/METADATA").decode())


# --------------------------------------------------------------------------- contents


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    about = ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"]
    assert sorted(wheel.namelist()) == sorted([*CODE, *DATA, *(f"{INFO}/{name}" for name in about)])
    assert wheel.read(f"{INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_data_files_are_named() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "wx_integrations").rglob("*") if path.is_file()}
    assert {name for name in found if "__pycache__" not in name} - set(CODE) == set(DATA)


def test_the_sdist_holds_what_the_tests_need_and_nothing_else(sdist: list[str]) -> None:
    rest = set(sdist) - {*CODE, *DATA, *PAPERS, "pyproject.toml", "PKG-INFO", ".gitignore", ".ci/run"}
    assert [name for name in sorted(rest) if not any(fnmatch.fnmatchcase(name, kind) for kind in BESIDE)] == []
    assert {*CODE, *DATA, *PAPERS, "pyproject.toml", ".ci/run"} - set(sdist) == set()
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.*") if path.is_file()}
    assert {name for name in tests if "__pycache__" not in name} == {name for name in rest if name.startswith("tests/")}
    assert [name for name in sdist if name.startswith("notebooks/")]


def test_strays_stay_behind(sdist: list[str], wheel: zipfile.ZipFile) -> None:
    assert not {name for name in STRAYS if name in sdist or name in wheel.namelist()}


# --------------------------------------------------------------------------- metadata


def test_metadata(wheel: zipfile.ZipFile) -> None:
    about = metadata_of(wheel)
    assert (about["Name"], about["Version"]) == ("wx-integrations", wx_integrations.__version__)
    assert (about["License-Expression"], about.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])
    assert about["Requires-Python"] == ">=3.11"
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Typing :: Typed" in about.get_all("Classifier", [])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(about.get_all("Provides-Extra", [])) == set(extras)
    base = [need for need in about.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert sorted(need.partition(">")[0] for need in base) == ["httpx", "pydantic"]


def test_commands_and_plugins(wheel: zipfile.ZipFile) -> None:
    lines = wheel.read(f"{INFO}/entry_points.txt").decode().split("\n")
    assert [line for line in lines if line] == [
        "[console_scripts]",
        "wx = wx_integrations.cli:main",
        "[pytest11]",
        "watsonx = wx_integrations.emulator.pytest_plugin",
    ]


def test_the_changelog_knows_the_version() -> None:
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:3] == "## "]
    assert any(
        heading == "## [Unreleased]" or heading.startswith(f"## [{wx_integrations.__version__}]")
        for heading in headings
    )


# --------------------------------------------------------------------------- the lock


def test_the_lock_is_of_these_requirements() -> None:
    """After a change of `dependencies` or extras: `uv lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    [own] = [package for package in LOCK["package"] if package["name"] == "wx-integrations"]
    locked = {
        (row.get("marker", "").partition("'")[2].rstrip("'"), row["name"], row.get("specifier", ""))
        for row in own["metadata"]["requires-dist"]
    }
    extras = project["project"]["optional-dependencies"]
    wanted = {("", *needed(line)) for line in project["project"]["dependencies"]}
    wanted |= {(extra, *needed(line)) for extra in extras for line in flat(extra, extras)}
    assert locked == wanted
    groups = {name: {needed(line) for line in lines} for name, lines in project["dependency-groups"].items()}
    held = own["metadata"]["requires-dev"].items()
    assert {name: {(row["name"], row.get("specifier", "")) for row in rows} for name, rows in held} == groups


def needed(line: str) -> tuple[str, str]:
    """Return the name and the versions of a requirement."""
    requirement = Requirement(line)
    return requirement.name, str(requirement.specifier)


def flat(extra: str, extras: dict[str, list[str]]) -> list[str]:
    """Return the requirements of an extra, with those of the extras that it takes in."""
    lines = []
    for line in extras[extra]:
        requirement = Requirement(line)
        own = requirement.name == "wx-integrations"
        lines += [further for name in requirement.extras for further in flat(name, extras)] if own else [line]
    return lines


def test_the_lock_names_public_places_only() -> None:
    sources = {next(iter(package["source"].items())) for package in LOCK["package"]}
    assert sources == {("editable", "."), ("registry", "https://pypi.org/simple")}
    files = [
        file["url"]
        for package in LOCK["package"]
        for file in (*package.get("wheels", ()), package.get("sdist", {}))
        if file
    ]
    assert files
    assert [url for url in files if not url.startswith("https://files.pythonhosted.org/packages/")] == []


# --------------------------------------------------------------------------- reproducible, and of use


def test_two_builds_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in sorted((built / "out").iterdir())}
    assert sorted(first) == [f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz"]
    second = build(tmp_path / "elsewhere" / "two", built, age=1e6, mode=0o600)
    assert [name for name in first if second[name] != first[name]] == []


def test_the_sdist_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(built / "out" / f"{NAME}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    program = "import hatchling.build as build; build.build_wheel('out')"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path / NAME, env=environment, check=True)
    made = (tmp_path / NAME / "out" / f"{NAME}-py3-none-any.whl").read_bytes()
    assert made == (built / "out" / f"{NAME}-py3-none-any.whl").read_bytes()


INSTALLED = """
import sys
sys.path.insert(0, sys.argv[1])
import wx_integrations
from wx_integrations.emulator.testing import emulated
from wx_integrations.core import calls
with emulated(tools=True) as watsonx:
    client = wx_integrations.Client()
    print("Temperature" in client.run(calls.run_tool("Weather", {"location": "Toronto"})).output)
    print(client.run(calls.embed(calls.Model("ibm/slate-30m-english-rtrvr", watsonx.project_id), ["a"])).model_id)
print(wx_integrations.__file__)
"""


def test_what_is_in_the_wheel_is_enough_to_run(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-c", INSTALLED, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "True",
        "ibm/slate-30m-english-rtrvr",
        str(tmp_path / "wx_integrations" / "__init__.py"),
    ]
