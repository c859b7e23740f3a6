"""The kept corpus: what coverage-guided fuzzing found worth keeping, one file for each target, one sample a line."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).with_name("corpora")


def load(target: str) -> list[bytes]:
    """Return a target's samples."""
    path = FOLDER / f"{target}.txt"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [ast.literal_eval(line) for line in lines]


def save(target: str, samples: Iterable[bytes]) -> None:
    """Keep a target's samples, as Python writes bytes, the shortest first."""
    FOLDER.mkdir(exist_ok=True)
    ordered = sorted(set(samples), key=lambda sample: (len(sample), sample))
    (FOLDER / f"{target}.txt").write_text("".join(f"{sample!r}\n" for sample in ordered), encoding="ascii")
