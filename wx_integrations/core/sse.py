"""Server-sent events: bytes in, events out, with no I/O.

Follows the event stream format of the WHATWG HTML standard (section 9.2) on
bytes: only LF, CR and CRLF end a line, in any chunking; U+2028, U+2029 and
U+0085 do not. Ids are passed over, as no stream of the service can be taken up
where it broke. It departs from the standard in three places, each because
watsonx.ai streams need it:

- A named event without data is an event (`event: close`, seen at the end of
  2024 streams); the standard drops it.
- Data stays bytes; it is JSON, and whoever parses it sees invalid UTF-8
  instead of replacement characters.
- An event whose blank line never came is not always lost, see `Decoder.close`.
"""

from __future__ import annotations

import re
from typing import Final

from pydantic_core import from_json

MAX_EVENT_SIZE: Final = 64 * 1024 * 1024
"""Bytes that the data lines of one event, or any one line, may have by default."""

DONE: Final = b"[DONE]"
"""Data of the Model Gateway's last event; `/ml/v1` streams have none."""

_BOM: Final = b"\xef\xbb\xbf"
_LF: Final = 0x0A
_CR: Final = 0x0D

_USUAL: Final = re.compile(rb"(?:id: [^\n]*\n)?(?:event: message\n)?data: (.+)\n\n").fullmatch
"""One whole event as watsonx.ai mostly sends them; if no CR is in it, it says what the general case says."""

Event = tuple[str, bytes]
"""One event of a stream: its name, "message" when it came without one, and its data lines joined by LF.

A named event may have no data. Tuples are the quickest, and a stream has thousands.
"""


class EventTooLarge(ValueError):
    """An event is larger than the decoder takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an event of the stream is larger than {limit} bytes")
        self.limit = limit

    def __reduce__(self) -> tuple[type[EventTooLarge], tuple[int]]:
        return type(self), (self.limit,)


class Decoder:
    """Turns the chunks of one response body into events.

    Each byte is looked at once and copied a fixed number of times, whatever
    the chunking, and the limit applies alike in every chunking.

    Args:
        max_event_size: bytes that the data lines of one event, or any one line, may have.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_between",
        "_data",
        "_limit",
        "_line",
        "_name",
        "_size",
        "_too_large",
    )

    def __init__(self, max_event_size: int = MAX_EVENT_SIZE) -> None:
        self._limit = max_event_size
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._name = "message"
        self._at_start = True
        self._between = False  # known to be between two events
        self._after_cr = False
        self._too_large = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that this chunk completes.

        Raises:
            EventTooLarge: the event being received is too large. Events before
                it are returned first; the next call raises.
        """
        if self._between and len(data) <= self._limit and b"\r" not in data and (usual := _USUAL(data)) is not None:
            return [("message", usual[1])]
        if self._too_large:
            self._check_size()
        if self._at_start:
            data = self._without_bom(data)
        if not data:
            return []
        if self._after_cr and data[0] == _LF:
            data = data[1:]
            if not data:
                self._after_cr = False
                return []
        self._after_cr = data[-1] == _CR

        lines = data.splitlines()  # of bytes: LF, CR and CRLF only
        rest = b"" if self._after_cr or data[-1] == _LF else lines.pop()
        if self._line and lines:
            self._line += lines[0]
            lines[0] = bytes(self._line)
            self._line.clear()
        events = self._events(lines)
        if rest:
            self._line += rest
            if len(self._line) > self._limit:
                self._too_large = True
        self._between = not (rest or self._after_cr or self._data or self._name != "message" or self._too_large)
        if self._too_large and not events:
            self._check_size()
        return events

    def close(self) -> list[Event]:
        """Return the event that the end of the stream cut, if it is of use.

        That is one whose lines all ended (only the blank line is missing), and
        one whose last data line did not end but that is whole all the same:
        complete JSON, `[DONE]`, or an error's text. Any other rest is dropped
        as the standard says, so a stream cut within an event ends one event
        early. The decoder is empty afterwards.

        Raises:
            EventTooLarge: as `feed`.
        """
        self._check_size()
        line = bytes(self._line)
        self._line.clear()
        if line.startswith(b"data:"):
            self._events([line])
            self._check_size()
            if self._name != "error" and not _is_whole(b"\n".join(self._data)):
                self._data.clear()
                self._name = "message"
        events: list[Event] = []
        if self._data or self._name != "message":
            events.append((self._name, b"\n".join(self._data)))
        self._data.clear()
        self._size = 0
        self._name = "message"
        return events

    def _events(self, lines: list[bytes]) -> list[Event]:
        """Apply whole lines; stops at a line or an event that is too large."""
        events: list[Event] = []
        values, limit = self._data, self._limit
        for line in lines:
            if not line:
                if values or self._name != "message":
                    data = values[0] if len(values) == 1 else b"\n".join(values)
                    events.append((self._name, data))
                    values.clear()
                    self._size = 0
                    self._name = "message"
            elif len(line) > limit:
                self._too_large = True
                break
            else:
                field, _, value = line.partition(b":")
                if value[:1] == b" ":
                    value = value[1:]
                if field == b"data":
                    self._size += len(line)
                    if self._size > limit:
                        self._too_large = True
                        break
                    values.append(value)
                elif field == b"event":
                    self._name = value.decode("utf-8", "replace") or "message"
        return events

    def _check_size(self) -> None:
        if self._too_large:
            self._line.clear()
            self._data.clear()
            raise EventTooLarge(self._limit)

    def _without_bom(self, data: bytes) -> bytes:
        """Return what the stream begins with, less a byte order mark; nothing while that is open."""
        data = bytes(self._line) + data
        self._line.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._line += data
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)


def _is_whole(data: bytes) -> bool:
    """Whether data that may have been cut is not: a prefix of a JSON object or array never parses."""
    if data == DONE:
        return True
    try:
        return isinstance(from_json(data), dict | list)
    except ValueError:
        return False
