"""Embeddings and relevance without weights: texts that share words, or parts of words, are near."""

from __future__ import annotations

import itertools
import math
import zlib
from functools import lru_cache

from wx_integrations.emulator.words import STOP, stem, stems, words

_BIGRAM_WEIGHT = 0.4
_GRAM_WEIGHT = 0.15
_STOP_WEIGHT = 0.1


def embed(text: str, dimension: int) -> list[float]:
    """Return a vector of length 1 made from hashed words, pairs of words and letter triples."""
    vector = [0.0] * dimension
    found = words(text) or [text.strip() or "empty"]
    for word in found:
        for slot, weight in _features(word, dimension):
            vector[slot] += weight
    for first, second in itertools.pairwise(found):
        slot, sign = _slot(f"{first} {second}", dimension)
        vector[slot] += sign * _BIGRAM_WEIGHT
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        vector[_slot(text, dimension)[0]], length = 1.0, 1.0
    return [value / length for value in vector]


@lru_cache(maxsize=65_536)
def _features(word: str, dimension: int) -> tuple[tuple[int, float], ...]:
    weight = _STOP_WEIGHT if word in STOP else 1.0
    slot, sign = _slot(stem(word), dimension)
    features = [(slot, sign * weight)]
    padded = f"<{word}>"
    for start in range(len(padded) - 2):
        slot, sign = _slot(padded[start : start + 3], dimension)
        features.append((slot, sign * weight * _GRAM_WEIGHT))
    return tuple(features)


def _slot(feature: str, dimension: int) -> tuple[int, float]:
    number = zlib.crc32(feature.encode("utf-8", "surrogatepass"))
    return number % dimension, 1.0 if number & 0x8000_0000 else -1.0


def relevance(query: str, passage: str, dimension: int) -> float:
    """Return an unbounded score for how well a passage answers a query, about -5 to 9."""
    wanted = stems(query)
    shared = len(wanted & stems(passage)) / len(wanted) if wanted else 0.0
    near = sum(a * b for a, b in zip(embed(query, dimension), embed(passage, dimension), strict=True))
    return 14 * (0.7 * shared + 0.3 * near) - 5
