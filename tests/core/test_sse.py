"""The event stream decoder, against the standard's rules and a model encoder."""

from __future__ import annotations

import itertools
import pickle
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.counting import lines_run
from wx_integrations.core.sse import Decoder, Event, EventTooLarge


def decode(*chunks: bytes) -> list[Event]:
    """Everything a decoder returns for these chunks and the end of the stream."""
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.close()


def message(data: bytes) -> Event:
    return ("message", data)


# --------------------------------------------------------------------------- the standard, line by line

SPEC: dict[str, tuple[bytes, list[Event]]] = {
    "multi-line data": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [message(b"YHOO\n+2\n10")]),
    "comment, ids, leading space": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [message(b"first event"), message(b"second event"), message(b" third event")],
    ),
    "empty data is data": (b"data\n\ndata\ndata\n\n", [message(b""), message(b"\n")]),
    "one optional space": (b"data:test\n\ndata: test\n\n", [message(b"test"), message(b"test")]),
    "a tab is not that space": (b"data:\ttest\n\n", [message(b"\ttest")]),
    "an id with NUL": (b"id: 7\ndata: a\n\nid: 8\x00\ndata: b\n\n", [message(b"a"), message(b"b")]),
    "the name lasts one event": (b"event: error\ndata: a\n\ndata: b\n\n", [("error", b"a"), message(b"b")]),
    "the last name wins": (b"event: a\nevent: b\ndata: x\n\n", [("b", b"x")]),
    "an empty name is the default": (b"event: a\nevent\ndata: x\n\n", [message(b"x")]),
    "retry and unknown fields are ignored": (b"retry: 10\nfoo: bar\nDATA: no\n data: no\ndata: x\n\n", [message(b"x")]),
    "comments between fields": (b":a\ndata: x\n:b\ndata: y\n: c\n\n", [message(b"x\ny")]),
    "no data, no event": (b"id: 3\n\n\n\nretry\n\n: keep-alive\n\n", []),
    "a name without data is an event": (b"event: close\n\ndata: x\n\n", [("close", b""), message(b"x")]),
    "the default name without data is none": (b"event: message\n\ndata: x\n\n", [message(b"x")]),
    "colons in a value": (b"data: a:b: c\n\n", [message(b"a:b: c")]),
    "invalid UTF-8 reaches the reader": (b"event: \xff\ndata: \xff\xfe\n\n", [("\ufffd", b"\xff\xfe")]),
}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("name", SPEC)
def test_the_standard(name: str, end: bytes) -> None:
    stream, expected = SPEC[name]
    stream = stream.replace(b"\n", end)
    assert decode(stream) == expected
    assert decode(*[bytes([byte]) for byte in stream]) == expected


def test_mixed_line_ends() -> None:
    assert decode(b"data: a\r\n\ndata: b\r\rdata: c\n\r\n") == [message(b"a"), message(b"b"), message(b"c")]
    assert decode(b"data: a\rdata: b\ndata: c\r\n\r\n") == [message(b"a\nb\nc")]


def test_an_event_is_there_as_soon_as_its_last_byte() -> None:
    """A CR ends a line at once; the LF that may follow in the next chunk is part of it."""
    decoder = Decoder()
    assert decoder.feed(b"data: a\r\n\r") == [message(b"a")]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: b\r") == []
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\ndata: c\r") == []
    assert decoder.feed(b"\r") == [message(b"b\nc")]


def test_other_line_separators_are_data() -> None:
    text = 'data: {"content":"a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"}'
    assert decode(f"{text}\n\n".encode()) == [message(text.removeprefix("data: ").encode())]


def test_a_byte_order_mark_only_counts_at_the_start() -> None:
    bom = b"\xef\xbb\xbf"
    assert decode(bom + b"data: a\n\n" + bom + b"data: b\n\n") == [message(b"a")]
    assert decode(b"\xef", b"\xbb", b"", b"\xbf", b"data: a\n\n") == [message(b"a")]
    assert decode(b"\xef", b"\xbb", b"data: a\n\ndata: b\n\n") == [message(b"b")]
    assert decode(bom, bom + b"data: a\n\ndata: b\n\n") == [message(b"b")]
    assert decode(b"\xef\xbb") == []


# --------------------------------------------------------------------------- recorded shapes

TEXT_STREAM = (
    b'id: 1\nevent: message\ndata: {"id":"chatcmpl-1677d3cf","choices":[{"index":0,"finish_reason":null,'
    b'"delta":{"role":"assistant","content":""}}]}\n\n'
    b'id: 2\nevent: message\ndata: {"id":"chatcmpl-1677d3cf","choices":[{"index":0,"finish_reason":"stop",'
    b'"delta":{"content":"Hello"}}]}\n\n'
    b'id: 3\nevent: message\ndata: {"id":"chatcmpl-1677d3cf","choices":[],"usage":{"total_tokens":208}}\n\n'
)


def test_a_stream_of_2025() -> None:
    events = decode(TEXT_STREAM)
    assert [name for name, _ in events] == ["message"] * 3
    assert events[2][1] == b'{"id":"chatcmpl-1677d3cf","choices":[],"usage":{"total_tokens":208}}'


@pytest.mark.parametrize(
    ("end", "data"),
    [
        (b"id: 4\nevent: close\ndata: {}\n\n", b"{}"),
        (b"id: 4\nevent: close\n\n", b""),
        (b'id: 4\nevent: close\ndata: {"choices":[]}\n\n', b'{"choices":[]}'),
    ],
)
def test_a_stream_of_2024_ends_with_close(end: bytes, data: bytes) -> None:
    assert decode(TEXT_STREAM + end)[3] == ("close", data)


def test_an_error_within_a_stream() -> None:
    stream = b'id: 3\nevent: error\ndata: {"errors":[{"code":"downstream_request_failed","message":"x"}]}\n\n'
    assert decode(stream) == [("error", b'{"errors":[{"code":"downstream_request_failed","message":"x"}]}')]


def test_a_gateway_stream() -> None:
    assert decode(b'data: {"choices":[]}\n\ndata: [DONE]\n\n') == [message(b'{"choices":[]}'), message(b"[DONE]")]


# --------------------------------------------------------------------------- cut streams

CUT: dict[str, tuple[bytes, list[Event]]] = {
    "no blank line": (b'id: 9\nevent: message\ndata: {"a":1}\n', [("message", b'{"a":1}')]),
    "no line end, whole JSON": (b'data: {"a":1}', [("message", b'{"a":1}')]),
    "no line end, whole JSON in two lines": (b'data: {"a":\ndata: 1}', [("message", b'{"a":\n1}')]),
    "no line end, done": (b"data: [DONE]", [("message", b"[DONE]")]),
    "no line end, error text": (b"event: error\ndata: out of mem", [("error", b"out of mem")]),
    "an error without data": (b"event: error\n", [("error", b"")]),
    "close without blank line": (b"event: close\n", [("close", b"")]),
    "close, the blank line's CR missing": (b"event: close\r", [("close", b"")]),
    "within JSON": (b'id: 9\nevent: message\ndata: {"a":{"b":1}', []),
    "within the second line": (b'data: {"a":1}\ndata: x', []),
    "within a number": (b"data: 12", []),
    "within the name": (b"event: clo", []),
    "within the field's name": (b"id: 9\nevent: message\ndat", []),
    "before the data": (b"id: 9\nevent: message\n", []),
    "deep nesting": (b"data: " + b"[" * 10_000, []),
}


@pytest.mark.parametrize("name", CUT)
def test_a_cut_stream(name: str) -> None:
    rest, expected = CUT[name]
    decoder = Decoder()
    assert decoder.feed(b"data: before\n\n" + rest) == [message(b"before")]
    assert decoder.close() == expected
    assert decoder.close() == []


@given(st.integers(0, len(TEXT_STREAM)))
def test_a_stream_cut_anywhere_never_yields_half_an_event(length: int) -> None:
    whole = decode(TEXT_STREAM)
    events = decode(TEXT_STREAM[:length])
    assert events == whole[: len(events)]


# --------------------------------------------------------------------------- any chunking

texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
# U+2028 and friends often, line by line
data_lines = st.one_of(texts, st.text(st.sampled_from(" :{}\u2028\u2029\u0085\x0b\x0c\x1c\ufeffa"), max_size=6))


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """A stream written by a model encoder, with the events it stands for."""
    out = [draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))]
    expected: list[Event] = []

    def line(text: str) -> None:
        out.append(text.encode() + draw(st.sampled_from([b"\n", b"\r", b"\r\n"])))

    def field(name: str, value: str) -> None:
        space = " " if value.startswith(" ") or draw(st.booleans()) else ""
        line(name if not value and draw(st.booleans()) else f"{name}:{space}{value}")

    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(["", "message", "error", "close", "ünï"]))
        values = draw(st.lists(data_lines, max_size=3))
        new_id = draw(st.none() | texts)
        fields = [("data", value) for value in values]
        fields += [("event", name)] if name or draw(st.booleans()) else []
        fields += [("id", new_id)] if new_id is not None else []
        for key, value in draw(st.permutations(fields)) if len(values) < 2 else fields:
            if draw(st.booleans()):
                line(":" + draw(texts))
            field(key, value)
        # after a CR a lone LF would be the rest of that line's end, not a blank line
        blanks = [b"\r", b"\r\n"] if out[-1].endswith(b"\r") else [b"\n", b"\r", b"\r\n"]
        out.append(draw(st.sampled_from(blanks)))
        if values or name not in ("", "message"):
            expected.append((name or "message", "\n".join(values).encode()))
    return b"".join(out), expected


def chunked(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


@settings(max_examples=200)
@given(streams(), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_chunking_gives_the_events_that_were_encoded(stream: tuple[bytes, list[Event]], cuts: list[int]) -> None:
    data, expected = stream
    assert decode(data) == expected
    assert decode(*chunked(data, cuts)) == expected
    assert decode(*[data[place : place + 1] for place in range(len(data))]) == expected


@given(st.binary(max_size=200) | st.text("datevnid: \r\n{}[]:\u2028\ufeff", max_size=80).map(str.encode), st.data())
def test_any_bytes_in_any_chunking_give_the_same_events_and_no_error(data: bytes, choose: st.DataObject) -> None:
    cuts = choose.draw(st.lists(st.integers(0, 200), max_size=8))
    assert decode(*chunked(data, cuts)) == decode(data)


LINES = st.sampled_from(
    [
        *(
            b"id: 1",
            b"id: ",
            b"id:  2",
            b"id: 3\x00",
            b"id: \xff",
            b"id: \xe2\x80\xa8",
            b"id",
            b"id:4",
            b"id: a\rid: b",
        ),
        *(b"event: message", b"event: error", b"event:message", b"event: message ", b"event"),
        *(
            b"data: a",
            b"data: ",
            b"data:  a",
            b"data:a",
            b"data",
            b"data: a\r",
            b"data: a\rdata: b",
            b"data: \xe2\x80\xa8",
        ),
        *(
            b"data: a\rdata: b",
            b"id: a\rid: b",
            b"data: " + b"x" * 40,
            b": note",
            b"\xef\xbb\xbfdata: a",
            b"data: \x0b\x0c\x85",
            b"",
        ),
    ]
)


@settings(max_examples=500)
@given(st.lists(st.lists(LINES, max_size=4).map(lambda lines: b"".join(line + b"\n" for line in [*lines, b""]))))
def test_whole_events_in_pieces_of_their_own_are_the_same_events(pieces: list[bytes]) -> None:
    """What mostly arrives has a way of its own."""
    chunks = [b"data: 1\n\n", *pieces]
    assert decode(*chunks) == decode(b"".join(chunks))
    assert until_too_large(Decoder(50), chunks) == until_too_large(Decoder(50), [b"".join(chunks)])


# --------------------------------------------------------------------------- bounds


def until_too_large(decoder: Decoder, chunks: Sequence[bytes]) -> tuple[list[Event], bool]:
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.close()
    except EventTooLarge:
        return events, True
    return events, False


LARGE: dict[str, tuple[bytes, bool]] = {
    "the line fits": (b"data: " + b"x" * 94 + b"\n\n", False),
    "the line is one too long": (b"data: " + b"x" * 95 + b"\n\n", True),
    "a line without end": (b"x" * 101, True),
    "a comment without end": (b":" + b"x" * 1000, True),
    "many lines": (b"data: 123\n" * 12 + b"\n", True),
    "many lines that fit": (b"data: 123\n" * 11 + b"\n", False),
    "many empty lines": (b"data\n" * 26 + b"\n", True),
    "events that all just fit": ((b"data: " + b"x" * 94 + b"\n\n") * 3, False),
    "many small events": (b"data: 123\n\n" * 1000, False),
    "many small comments": (b": 123\n" * 1000, False),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_limit_holds_alike_in_any_chunking(name: str, size: int) -> None:
    stream, too_large = LARGE[name]
    stream = b"data: before\n\n" + stream
    chunks = [stream[place : place + size] for place in range(0, len(stream), size)]
    events, raised = until_too_large(Decoder(max_event_size=100), chunks)
    assert raised is too_large
    assert events[0] == message(b"before")


def test_events_before_the_large_one_are_returned_first() -> None:
    decoder = Decoder(max_event_size=20)
    assert decoder.feed(b"data: a\n\ndata: b\n\ndata: " + b"c" * 40) == [message(b"a"), message(b"b")]
    for chunk in (b"\n\ndata: d\n\n", b""):
        with pytest.raises(EventTooLarge, match="larger than 20 bytes"):
            decoder.feed(chunk)
    with pytest.raises(EventTooLarge, match="larger than 20 bytes"):
        decoder.close()


def test_a_large_event_is_refused_while_it_arrives() -> None:
    decoder = Decoder(max_event_size=20)
    assert decoder.feed(b"data: " + b"c" * 14) == []
    with pytest.raises(EventTooLarge):
        decoder.feed(b"c")


def test_the_last_line_counts_at_the_end_too() -> None:
    decoder = Decoder(max_event_size=20)
    assert decoder.feed(b"data: 12345678\ndata: 12345678") == []
    with pytest.raises(EventTooLarge):
        decoder.close()


def test_the_error_pickles() -> None:
    assert issubclass(EventTooLarge, ValueError)
    error: EventTooLarge = pickle.loads(pickle.dumps(EventTooLarge(20)))
    assert (str(error), error.limit) == ("an event of the stream is larger than 20 bytes", 20)


# --------------------------------------------------------------------------- linear work, counted


def test_work_in_python_grows_with_the_bytes() -> None:
    def feed_bytes(length: int) -> None:
        decoder = Decoder()
        for byte in b"data: " + b"x" * length:
            decoder.feed(bytes([byte]))
        assert decoder.feed(b"\n\n") == [message(b"x" * length)]

    small, large = (lines_run(lambda length=length: feed_bytes(length)) for length in (500, 5000))  # type: ignore[misc]
    assert large < small * 10.5


def test_a_byte_more_does_not_copy_the_event_so_far() -> None:
    """A 1 MB event, its second half byte by byte: the buffer moves a few times, not once a byte."""
    half, rounds = 500_000, 2000
    decoder = Decoder()
    decoder.feed(b"data: " + b"x" * half)
    copies = 0
    tracemalloc.start()
    try:
        for _ in range(rounds):
            tracemalloc.reset_peak()
            for _ in range(half // rounds):
                decoder.feed(b"x")
            held, peak = tracemalloc.get_traced_memory()
            copies += peak - held > half // 2
    finally:
        tracemalloc.stop()
    ((_, data),) = decoder.feed(b"\n\n")
    assert len(data) == 2 * half
    assert copies < 20
