"""The kept corpus of coverage-guided fuzzing, tried without atheris."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.guided import TARGETS as NAMES
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", NAMES)
def test_the_corpus_holds(target: str) -> None:
    samples = corpus.load(target)
    assert len(samples) > 50
    for sample in samples:
        TARGETS[target](sample)


@pytest.mark.parametrize("target", NAMES)
def test_small_inputs(target: str) -> None:
    tried = [b"", *(bytes([byte]) for byte in range(256)), *(bytes([byte, 10]) for byte in range(256))]
    for data in tried:
        TARGETS[target](data)
    assert len(tried) == 513


def test_every_target_can_be_asked_for() -> None:
    assert set(NAMES) == set(TARGETS)


def test_samples_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path / "new")
    samples = [bytes([byte]) for byte in range(256)] + [b"", b"'\"", b"\r\n\xe2\x80\xa8\\n", b""]
    assert corpus.load("t") == []
    corpus.save("t", samples)
    assert corpus.load("t") == sorted(set(samples), key=lambda sample: (len(sample), sample))
    assert len((tmp_path / "new" / "t.txt").read_bytes().split(b"\n")) == len(set(samples)) + 1


def test_a_wrong_reading_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets can fail."""
    from tests.fuzz import targets

    with monkeypatch.context() as patched:
        patched.setattr(targets, "decode", lambda body: [])
        with pytest.raises(AssertionError, match="not what is there"):
            TARGETS["events"](b"\x00data: x\n\n")
    with monkeypatch.context() as patched:
        patched.setattr(targets, "whole_call", lambda said, reason: None)
        with pytest.raises(AssertionError, match="not the calls"):
            TARGETS["arguments"](b'0ab|{"x": 1}')
