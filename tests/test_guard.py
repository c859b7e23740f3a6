"""The guard of the hot paths: it tells a rise, keeps reasons, and its baseline is about paths that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import guard
from benchmarks.guard import Change, Counts, compare
from benchmarks.hot_paths import PATHS, installed
from benchmarks.offline import Answering, go_offline
from wx_integrations.core import client

COUNTS: Counts = {
    "langchain chat": {"instructions": 2_000_000, "calls": 1500, "blocks": 160},
    "langchain stream": {"instructions": 40_000_000, "calls": 20_000, "blocks": 2500},
}


def risen(path: str, what: str, share: float) -> Counts:
    """Return the counts with one of them changed."""
    counts = {name: dict(found) for name, found in COUNTS.items()}
    counts[path][what] = round(counts[path][what] * (1 + share))
    return counts


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "guard.json"
    monkeypatch.setattr(guard, "BASELINE", file)
    guard.accept(COUNTS, "the first")
    return file


def run(monkeypatch: pytest.MonkeyPatch, counts: Counts, *arguments: str) -> None:
    def counted(*_: Any, **__: Any) -> Counts:
        return counts

    monkeypatch.setattr(guard, "count", counted)
    monkeypatch.setattr("sys.argv", ["guard", *arguments])
    guard.main()


# --------------------------------------------------------------------------- rises


@pytest.mark.parametrize("path", COUNTS)
@pytest.mark.parametrize("what", ["instructions", "calls", "blocks"])
def test_a_rise_is_told(
    path: str, what: str, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="rose"):
        run(monkeypatch, risen(path, what, 0.1))
    [line] = [line for line in capsys.readouterr().out.splitlines() if "ROSE" in line]
    assert line.startswith(path)
    assert what in line
    assert "+10.0" in line


@pytest.mark.parametrize("share", [-0.2, 0.0, 0.005])
def test_what_is_less_or_within_the_tolerance_is_no_rise(
    share: float, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, risen("langchain stream", "instructions", share))
    out = capsys.readouterr().out
    assert "ROSE" not in out
    assert ("fell" in out) == (share < -0.03)


def test_few_calls_more_are_within_the_slack_and_one_too_many_is_not() -> None:
    assert not Change("langchain chat", "calls", 100, 103).matters
    assert Change("langchain chat", "calls", 100, 104).rose


def test_only_what_both_have_counted_is_compared() -> None:
    found = compare(COUNTS, {"langchain chat": {"calls": 1500}, "new": {"calls": 1}})
    assert found == [Change("langchain chat", "calls", 1500, 1500)]


# --------------------------------------------------------------------------- reasons


def test_an_accepted_rise_is_the_baseline_with_its_reason(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = risen("langchain chat", "instructions", 0.5)
    run(monkeypatch, more, "--accept", "answers are checked twice")
    run(monkeypatch, more)
    mine = json.loads(file.read_text())[guard.minor()]
    assert mine["counts"] == more
    assert [entry["reason"] for entry in mine["log"]] == ["the first", "answers are checked twice"]
    assert mine["log"][-1]["changes"] == ["langchain chat: instructions 2,000,000 -> 3,000,000 (+50.0%)"]


def test_accepting_without_instructions_keeps_those_that_were_counted(file: Path) -> None:
    guard.accept({"langchain chat": {"calls": 9}}, "counted without valgrind")
    counts = guard.load()[guard.minor()]["counts"]
    assert counts["langchain chat"] == {"instructions": 2_000_000, "calls": 9, "blocks": 160}
    assert counts["langchain stream"] == COUNTS["langchain stream"]


def test_other_pythons_keep_their_baselines(file: Path) -> None:
    other = {"counts": {"langchain chat": {"calls": 1}}, "versions": {}, "log": []}
    file.write_text(json.dumps(guard.load() | {"3.0": other}))
    guard.accept(COUNTS, "again")
    assert guard.load()["3.0"] == other


def test_other_versions_than_the_baselines_are_named() -> None:
    baseline = {"counts": COUNTS, "versions": guard.versions() | {"httpx": "0.1"}}
    assert "httpx 0.1 -> " in guard.report(baseline, COUNTS)[-1]
    assert "versions" not in guard.report(baseline | {"versions": guard.versions()}, COUNTS)[-1]


# --------------------------------------------------------------------------- the paths


def test_the_baseline_is_about_paths_that_exist() -> None:
    baselines = guard.load()
    assert baselines, "no baseline"
    for baseline in baselines.values():
        assert set(baseline["counts"]) == set(PATHS)
        assert baseline["log"]
        assert all(entry["reason"] for entry in baseline["log"])
        for counts in baseline["counts"].values():
            assert set(counts) == {"instructions", "calls", "blocks"}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_does_what_its_name_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert name in installed()
    monkeypatch.setattr(client, "sync_transport", None)  # put back afterwards
    transport = Answering(events=7, texts=100)
    go_offline(transport)
    found = PATHS[name]()()
    assert transport.last is not None
    kind = name.split()[1]
    assert transport.last.url.path == f"/ml/v1/text/{'chat_stream' if kind == 'stream' else kind}"
    if kind == "stream":
        assert len(found) >= 7
    elif kind == "embeddings":
        assert (len(found), len(found[0])) == (100, 768)
    else:
        assert "Arlington" in str(found)
