"""Answering from a given text without weights: the sentence that shares most words with the question."""

from __future__ import annotations

import re

from wx_integrations.emulator.words import stems

_MARK = re.compile(r"^\s*[-*]?\s*(\[\d+\])")
_ASKED = re.compile(r"(?:question|query)\s*:\s*(.+)", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")
_HEDGED = re.compile(r"don['’]t know|do not know|not (?:in|answered by) the", re.IGNORECASE)


def answer_from(whole: str, prompt: str) -> str | None:
    """Return the sentence of the context that answers the question, with its [n] if it has one.

    Returns None when there is no context or no question. When the context
    does not answer and the prompt allows for not knowing, says so.
    """
    question = _question(prompt)
    if question is None:
        return None
    context = whole.replace(question, " ")
    wanted = stems(question)
    best, most, mark = None, 0, ""
    for line in context.splitlines():
        found = _MARK.match(line)
        mark = found.group(1) if found else mark if line.strip() else ""
        for sentence in _SENTENCES.split(_MARK.sub("", line)):
            shared = len(wanted & stems(sentence))
            if shared > most and not sentence.rstrip().endswith("?"):
                best, most = f"{sentence.strip()} {mark}".strip(), shared
    if best is not None and 2 * most >= len(wanted):
        return best
    return "I don't know." if _HEDGED.search(context) else None


def _question(prompt: str) -> str | None:
    asked = _ASKED.findall(prompt)
    if asked:
        return str(asked[-1]).strip()
    lines = [line.strip() for line in prompt.strip().splitlines() if line.strip()]
    return lines[-1] if lines and lines[-1].endswith("?") else None
