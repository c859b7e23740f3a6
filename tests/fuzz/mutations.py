"""Answers made from seeds: changed values, changed bytes, changed framing, changed statuses and headers."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.fuzz import trees
from tests.fuzz.frames import Frame, decode
from tests.fuzz.json_reading import Unsure
from tests.fuzz.seeds import Answer, Seed


@dataclass(frozen=True)
class Case:
    """One answer to try, and how it was made."""

    seed: Seed
    answer: Answer
    what: str

    def __str__(self) -> str:
        return f"{self.seed.name}: {self.what}"


Mutation = Callable[[Answer, random.Random], tuple[Answer, str]]


def make(seed: Seed, chance: random.Random) -> Case:
    """Return a case made from a seed by one to three mutations."""
    answer, steps = seed.answer, []
    kinds = _STREAMED if seed.streamed else _WHOLE
    for _ in range(chance.choices((1, 2, 3), (8, 2, 1))[0]):
        mutation = chance.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        answer, what = mutation(answer, chance)
        steps.append(what)
    if not answer.cuts:
        answer, _ = cut_up(answer, chance)
    return Case(seed, answer, "; ".join(steps))


# --------------------------------------------------------------------------- any bytes


def truncate(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    end = chance.randint(0, len(answer.body))
    return replace(answer, body=answer.body[:end]), f"first {end} bytes"


def flip(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    if not answer.body:
        return answer, "nothing to flip"
    body = bytearray(answer.body)
    flipped = [chance.randrange(len(body)) for _ in range(chance.choice((1, 1, 2, 8)))]
    for place in flipped:
        body[place] ^= 1 << chance.randrange(8)
    return replace(answer, body=bytes(body)), f"bits flipped at {flipped}"


def insert(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    strange = chance.choice(
        (b"\xff", b"\xfe\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x00", b"\xe2\x80\xa8", b"\xc2\x85")
    )
    if chance.random() < 0.3:
        strange = chance.randbytes(chance.randint(1, 12))
    place = chance.randint(0, len(answer.body))
    return replace(answer, body=answer.body[:place] + strange + answer.body[place:]), f"{strange!r} put in at {place}"


def delete(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    start = chance.randint(0, len(answer.body))
    count = chance.choice((1, 1, 2, 30))
    return replace(answer, body=answer.body[:start] + answer.body[start + count :]), f"{count} bytes less at {start}"


def bom(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    return replace(answer, body=b"\xef\xbb\xbf" + answer.body), "byte order mark"


def recode(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    coding = chance.choice(("utf-16", "utf-32", "utf-7", "latin-1"))
    text = answer.body.decode("utf-8", "replace")
    return replace(answer, body=text.encode(coding, "replace")), coding


def cut_up(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """Cut the body into pieces, mostly few; that changes nothing."""
    most = len(answer.body)
    count = chance.choice((0, 1, 3, 20)) if most > 2000 or chance.random() < 0.8 else most
    return replace(answer, cuts=tuple(chance.randint(0, most) for _ in range(count))), f"{count} cuts"


def zipped(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    if "content-encoding" in answer.headers:
        return answer, "zipped already"
    headers = {**answer.headers, "content-encoding": "gzip"}
    return replace(answer, body=gzip.compress(answer.body, 1), headers=headers), "gzip"


def said_zipped(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    coding = chance.choice(("gzip", "deflate", "br", "gzip, gzip", "nonsense"))
    return replace(answer, headers={**answer.headers, "content-encoding": coding}), f"said to be {coding}"


def other_status(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    status = chance.choice((201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 408, 410, 418, 429, 500, 503, 520, 599))
    return replace(answer, status=status), f"status {status}"


def other_header(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    name, value = chance.choice(
        (
            ("retry-after", "x" * 1000),
            ("retry-after", "1e999"),
            ("retry-after", "-5"),
            ("retry-after", "Wed, 99 Foo 9999 99:99:99 GMT"),
            ("retry-after", "\xe9"),
            ("x-global-transaction-id", "t" * 5000),
            ("x-requests-limit-rate", "nan"),
            ("x-requests-limit-remaining", "-1e400"),
            ("content-type", "text/html; charset=x-unknown"),
            ("content-type", ""),
            ("content-type", "application/json; charset=utf-16"),
            ("location", "https://evil.example/"),
            ("www-authenticate", "Basic"),
            ("set-cookie", "a=b"),
        )
    )
    if name == "content-type":
        return replace(answer, content_type=value), f"{name}: {value!r}"
    return replace(answer, headers={**answer.headers, name: value}), f"{name}: {value[:20]!r}"


def other_body(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    body = chance.choice(
        (
            b"",
            b"null",
            b"[]",
            b"{}",
            b"0",
            b'"x"',
            b"true",
            b"<!DOCTYPE html><html><body>Please log in</body></html>",
            b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
            b'{"error": {"code": "internal_error", "message": "no", "request_id": "r"}}',
            b'{"errors": [{"code": "downstream_request_failed", "message": "no"}], "status_code": 500}',
            b'{"error": null}',
            b'{"errors": []}',
            b'{"errors": [null]}',
            b'{"errors": 7, "error": 7, "code": {}, "message": []}',
            b'{"choices": [], "results": [], "resources": [], "data": []}',
            b'{"choices": null, "results": null, "resources": null, "data": null, "result": null, "output": null}',
            b"data: {}\n\n",
            b"\x1f\x8b\x08\x00",
            b"[" * 200_000,
        )
    )
    return replace(answer, body=body), f"another body: {body[:40]!r}"


# --------------------------------------------------------------------------- JSON


def tree(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """Change one value of a JSON body."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return flip(answer, chance)
    value, what = trees.mutate(value, chance)
    return replace(answer, body=trees.write(value)), what


def twice(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """Say a key of the outermost object twice; the last counts."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return flip(answer, chance)
    if not isinstance(value, dict) or not value:
        return other_body(answer, chance)
    name = chance.choice(sorted(value))
    first = json.dumps({name: chance.choice(trees.STRANGE_VALUES)})[:-1]
    return replace(answer, body=(first + ", " + json.dumps(value)[1:]).encode()), f"{name} said twice"


def padded(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """Put white space around a body; that changes nothing."""
    space = chance.choice((b" ", b"\n", b"\t", b"\r\n")) * chance.choice((1, 10, 5000))
    return replace(answer, body=space + answer.body + space), "white space around"


def trailing(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    rest = chance.choice((b"{}", b"x", b",", b"\x00", answer.body))
    return replace(answer, body=answer.body + rest), f"{rest[:10]!r} behind it"


# --------------------------------------------------------------------------- streams


def _frames(answer: Answer) -> list[Frame]:
    """Return the frames of a stream, none when earlier mutations left nothing that could be told apart."""
    try:
        return decode(answer.body)
    except Unsure:
        return []


def _encode(frames: list[Frame], end: bytes = b"\n") -> bytes:
    lines = []
    for number, frame in enumerate(frames, start=1):
        lines += [b"id: %d" % number, b"event: " + frame.name.encode()]
        lines += [b"data: " + piece for piece in frame.data.split(b"\n")]
        lines.append(b"")
    return end.join([*lines, b""])


def one_frame(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """Change one value in one frame."""
    frames = _frames(answer)
    spoken = [number for number, frame in enumerate(frames) if frame.data.startswith(b"{")]
    if not spoken:
        return flip(answer, chance)
    number = chance.choice(spoken)
    try:
        value = json.loads(frames[number].data)
    except (ValueError, RecursionError):
        return flip(answer, chance)
    value, what = trees.mutate(value, chance)
    frames[number] = Frame(frames[number].name, trees.write(value))
    return replace(answer, body=_encode(frames)), f"frame {number}: {what}"


def reframe(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """Take frames out, put them twice or elsewhere, or put strange ones in."""
    frames = _frames(answer)
    if not frames:
        return flip(answer, chance)
    one, other = chance.randrange(len(frames)), chance.randrange(len(frames))
    what = chance.choice(("drop", "double", "swap", "strange", "error", "done", "empty", "close"))
    match what:
        case "drop":
            del frames[one]
        case "double":
            frames.insert(other, frames[one])
        case "swap":
            frames[one], frames[other] = frames[other], frames[one]
        case "strange":
            data = (b"null", b"[]", b"7", b'"x"', b"<html>", b"{", b"\xff", b" [DONE]", b"[DONE] ", b"[done]")
            frames.insert(one, Frame("message", chance.choice(data)))
        case "error":
            said = (b'{"errors":[{"code":"c","message":"m"}]}', b"plain words", b'{"error":{"message":7}}', b"null")
            frames.insert(one, Frame(chance.choice(("error", "message")), chance.choice(said)))
        case "done":
            frames.insert(one, Frame("message", b"[DONE]"))
        case "empty":
            frames.insert(one, Frame("message", chance.choice((b"", b"{}"))))
        case "close":
            frames.insert(one, Frame("close", b"{}"))
    return replace(answer, body=_encode(frames)), f"{what} at {one}, {other}"


def relined(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """End lines in another way, add comments and unknown fields; that changes nothing."""
    end = chance.choice((b"\r\n", b"\r", b"\n"))
    body = answer.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = body.split(b"\n")
    extra = (b": comment", b":", b"retry: 5", b"unknown", b"unknown: \xff\xfe", b": " + b"x" * 1_000_000, b"id: \x00")
    chosen = chance.choice(extra[:5] if chance.random() < 0.95 else extra)
    lines.insert(chance.randint(0, len(lines) - 1), chosen)
    return replace(answer, body=end.join(lines)), f"lines end with {end!r}, {chosen[:12]!r} added"


def unspaced(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """Leave out the space behind the colon; that changes nothing."""
    return replace(answer, body=answer.body.replace(b"\ndata: ", b"\ndata:")), "no space behind the colon"


def spread(answer: Answer, chance: random.Random) -> tuple[Answer, str]:
    """Put a frame's JSON on several data lines; that changes nothing."""
    frames = _frames(answer)
    spread = []
    for frame in frames:
        try:
            data = json.dumps(json.loads(frame.data), indent=1).encode()
        except (ValueError, RecursionError):
            data = frame.data
        spread.append(Frame(frame.name, data))
    return replace(answer, body=_encode(spread)), "on several lines"


_ANY: list[tuple[Mutation, int]] = [
    (truncate, 5),
    (flip, 8),
    (insert, 8),
    (delete, 5),
    (bom, 2),
    (recode, 1),
    (zipped, 2),
    (said_zipped, 1),
    (other_status, 3),
    (other_header, 4),
    (other_body, 3),
    (cut_up, 3),
]
_WHOLE: list[tuple[Mutation, int]] = [*_ANY, (tree, 60), (twice, 3), (padded, 2), (trailing, 2)]
_STREAMED: list[tuple[Mutation, int]] = [
    *_ANY,
    (one_frame, 50),
    (reframe, 15),
    (relined, 6),
    (unspaced, 1),
    (spread, 2),
]
