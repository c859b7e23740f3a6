"""Reading a prompt without weights: tokens, word stems, and what looks like a value."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

_TOKEN = re.compile(r" ?[^\W\d_]{1,8}| ?\d{1,3}|[^\S ]+| ?[^\w\s]|_| ", re.UNICODE)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?", re.UNICODE)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.]*\w)")
_QUOTED = re.compile(
    r"\"([^\"\n]{1,400})\"|(?<!\w)'([^'\n]{1,400})'(?!\w)|“([^”\n]{1,400})”|‘([^’\n]{1,400})’|`([^`\n]{1,400})`|「([^」\n]{1,400})」"
)
_CAPITALISED = r"[A-Z\u00c0-\u00de][\w'’.&-]*[\w]|[A-Z]"
_NAME = re.compile(rf"(?:{_CAPITALISED})(?:,? (?:{_CAPITALISED}|of the(?= [A-Z])|of(?= [A-Z])|de(?= [A-Z])))*")
_AFTER = re.compile(
    r"\b(?:in|at|for|about|of|from|to|named|called|on|with) "
    r"(?:the |a |an |my )?([^\W\d_][\w-]*(?: [^\W\d_][\w-]*){0,2})"
)

_STOP_WORDS = """
a an and any are as at be been but by can could did do does for from get had has have how i if in into is it its me my
no not of on or our please should so some such tell than that the their them then there these they this those to too us
use used using value was we were what when where which who whose why will with would you your tool function call
returns return given give make let want need about
"""
_SENTENCE_STARTERS = """
add answer ask calculate compare compute convert create describe explain find generate hello hey hi list look multiply
now play read run search send set show subtract sum summarize summarise thanks translate write after also first next
finally before both each every let's okay ok yes what's who's check divide draw fetch book order plan schedule
question context user human assistant system here today tomorrow
"""
STOP = frozenset(_STOP_WORDS.split())
_STARTERS = STOP | frozenset(_SENTENCE_STARTERS.split())
_READ = 20_000
_LOOK_BACK = 24
_MOST = 50
_SUFFIXES = ("ations", "ation", "ers", "ing", "ies", "ed", "er", "es", "s")
SYNONYMS = {
    "+": ("add", "sum", "plus", "addition", "calculator", "calculate", "math"),
    "*": ("multiply", "product", "times", "multiplication", "calculator", "calculate", "math"),
    "-": ("subtract", "minus", "difference", "subtraction", "calculator", "calculate", "math"),
    "/": ("divide", "quotient", "division", "calculator", "calculate", "math"),
}
_OPERATOR = re.compile(r"\d\s*([-+*/×÷x])\s*\(?-?\d")
_VERBS = {"plus": "+", "times": "*", "minus": "-", "multiplied": "*", "divided": "/"}
_ARITHMETIC = re.compile(r"[\d\s.()+*/^%-]+")
_CALCULATION = re.compile(r"\d\s*\)*\s*[-+*/^%]\s*\(*\s*-?\d")


def tokenize(text: str) -> list[str]:
    """Split a text into tokens of up to eight letters or three digits; joined they are the text again."""
    return _TOKEN.findall(text)


def stem(word: str) -> str:
    """Return a word without its most common English endings."""
    word = word.lower()
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def words(text: str) -> list[str]:
    """Return the words of a text; snake_case and camelCase fall apart."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")
    return [word.lower() for word in _WORD.findall(spaced)]


def stems(text: str) -> frozenset[str]:
    """Return the stems of the words that carry meaning."""
    return frozenset(stem(word) for word in words(text) if word not in STOP)


def first_of(groups: Iterable[str]) -> str:
    """Return the first text that is not empty."""
    return next((group for group in groups if group), "")


def _begins_sentence(text: str, place: int) -> bool:
    before = text[max(0, place - _LOOK_BACK) : place]
    bare = before.rstrip(' \t"“')
    return "\n" in before[len(bare.rstrip()) :] or bare[-1:] in ("", ".", "!", "?", ":")


class Prompt:
    """A prompt and what in it looks like a value, most telling first; of a long one only the end is read."""

    def __init__(self, text: str) -> None:
        self.text = text[-_READ:]

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of the prompt, with words for the arithmetic in it."""
        found = set(stems(self.text))
        for sign in [*_OPERATOR.findall(self.text), *(_VERBS.get(word, "") for word in words(self.text))]:
            sign = {"×": "*", "x": "*", "÷": "/"}.get(sign, sign)
            found.update(stem(word) for word in SYNONYMS.get(sign, ()))
        return frozenset(found)

    @cached_property
    def numbers(self) -> list[tuple[float | int, int]]:
        """The numbers and where they stand."""
        found: list[tuple[float | int, int]] = []
        for match in _NUMBER.finditer(self.text):
            plain = match.group().replace(",", "")
            before = self.text[: match.start()].rstrip()
            if plain[0] in "+-" and before[-1:].isdigit():
                plain = plain[1:]
            found.append((int(plain) if re.fullmatch(r"[-+]?\d+", plain) else float(plain), match.start()))
        return found

    @cached_property
    def quoted(self) -> list[str]:
        """What stands in quotation marks."""
        return [first_of(groups) for groups in _QUOTED.findall(self.text)]

    @cached_property
    def names(self) -> list[str]:
        """Capitalised phrases; those that merely begin a sentence come last, common first words never."""
        sure: list[str] = []
        unsure: list[str] = []
        plain = _QUOTED.sub(lambda match: " " * len(match.group()), self.text)
        for match in _NAME.finditer(plain):
            begins = _begins_sentence(plain, match.start())
            initial, phrase = begins, match.group()
            while begins and words(phrase) and words(phrase)[0] in _STARTERS:
                phrase, initial = phrase.partition(" ")[2], False
            if phrase and phrase != "I":
                (unsure if initial else sure).append(phrase.rstrip(".,"))
        return sure + unsure

    @cached_property
    def mentioned(self) -> list[str]:
        """What follows a preposition: "weather in paris" mentions paris."""
        found = []
        for phrase in _AFTER.findall(self.text):
            kept = []
            for word in phrase.split(" "):
                if word.lower() in STOP:
                    break
                kept.append(word)
            if kept:
                found.append(" ".join(kept))
        return found

    @cached_property
    def texts(self) -> list[str]:
        """Everything that may serve as a text value, without repetition."""
        return list(dict.fromkeys([*self.quoted, *self.names, *self.mentioned]))

    @cached_property
    def expression(self) -> str | None:
        """The first piece of arithmetic."""
        runs = (match.group().strip(" \t\n.+*/^%") for match in _ARITHMETIC.finditer(self.text))
        return next((run for run in runs if _CALCULATION.search(run)), None)

    def names_it(self, name: str) -> bool:
        """Whether the prompt speaks of something by (nearly) its name."""
        wanted = stems(name)
        return bool(wanted) and wanted <= self.stems

    def joined_names(self) -> list[str]:
        """Values listed with "and": "Paris and London" gives two, "San Francisco, CA" none."""
        pool = self.quoted if len(self.quoted) > 1 else self.names
        for first, second in itertools.pairwise(pool[:_MOST]):
            gap = self.text.partition(first)[2].partition(second)[0]
            if re.fullmatch(r"['\"”’`]?,?\s+(?:and|und|y|et|&)\s+(?:(?:in|for|of|at|the|also)\s+)*['\"“‘`]?", gap):
                return self._listed(pool, second)
        return []

    def _listed(self, pool: list[str], last: str) -> list[str]:
        """Return the values before `last` that are separated by commas, and `last`."""
        end = pool.index(last)
        listed = [pool[end - 1], last]
        return [part for value in listed for part in value.split(", ") if part]


# --------------------------------------------------------------------------- schemas inside prompts


def embedded(text: str) -> dict[str, Any] | None:
    """Return the JSON schema that a prompt spells out, if it does."""
    decoder = json.JSONDecoder()
    best: dict[str, Any] | None = None
    for match in re.finditer(r"\{", text):
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("properties"), dict) and value["properties"]:
            kinds = [prop for prop in value["properties"].values() if isinstance(prop, dict)]
            if len(kinds) == len(value["properties"]) and (best is None or "$defs" in value):
                best = best or value
    return best


def named_keys(text: str) -> list[str]:
    """Return the keys that a prompt asks for by quoting them, as in "with 'setup' and 'punchline' keys"."""
    if not re.search(r"\b(keys?|fields?|properties)\b", text, re.IGNORECASE):
        return []
    return list(dict.fromkeys(re.findall(r"[\"'`“‘]([A-Za-z_][\w-]{0,40})[\"'`”’]", text)))
