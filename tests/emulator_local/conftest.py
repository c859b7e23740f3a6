"""The real models, where the cache has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wx_integrations.emulator.local_models import PROFILES, LocalBrain, Profile, find_models


@pytest.fixture(autouse=True)
def weights_are_there(request: pytest.FixtureRequest) -> None:
    """Skip what needs weights that are not in the cache, and say how to get them."""
    for mark in request.node.iter_markers("weights"):
        profile = mark.args[0] if mark.args else "small"
        pytest.importorskip("xllamacpp", reason="needs the extra `local`")
        models = PROFILES[profile]
        missing = [model.name for model in models if model.name not in find_models(models)]
        if missing:
            flag = " --small" if profile == "small" else ""
            pytest.skip(f"{', '.join(missing)} not in the cache; `wx demo{flag}` fetches them")


def _brain(profile: Profile) -> Iterator[LocalBrain]:
    brain = LocalBrain(profile, offline=True)
    yield brain
    brain.close()


@pytest.fixture(scope="session")
def small_brain() -> Iterator[LocalBrain]:
    """SmolLM2 and MiniLM."""
    yield from _brain("small")


@pytest.fixture(scope="session")
def default_brain() -> Iterator[LocalBrain]:
    """Qwen and MiniLM."""
    yield from _brain("default")
