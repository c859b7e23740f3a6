"""The witnesses are heard once for all tests, by the lenient emulator and by the strict one."""

from __future__ import annotations

import pytest

from tests.oracle.comparison import Comparison
from tests.oracle.recording import Evidence, compare_all, hear_witnesses, record_ours


@pytest.fixture(scope="session")
def lenient() -> Evidence:
    """What the witnesses got from the lenient emulator."""
    return hear_witnesses(strict=False)


@pytest.fixture(scope="session")
def strict() -> Evidence:
    """What the witnesses got from the strict emulator."""
    return hear_witnesses(strict=True)


@pytest.fixture(scope="session")
def comparisons(lenient: Evidence) -> list[Comparison]:
    """Each witness beside ours."""
    return compare_all(lenient, record_ours(lenient))
