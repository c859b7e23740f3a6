"""How far a bulk job is: numbers for programs, a bar for people."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wx_integrations.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk job is.

    Attributes:
        texts: texts with a result.
        failed: texts that failed for good.
        total: all texts, if that is known.
        input_token_count: tokens the service read.
        requests: requests answered well.
        refusals: answers of 429 and 503, which were waited out.
        in_flight: requests under way.
        seconds: since the job began.
    """

    texts: int
    failed: int
    total: int | None
    input_token_count: int
    requests: int
    refusals: int
    in_flight: int
    seconds: float

    @property
    def texts_per_second(self) -> float:
        return self.texts / self.seconds if self.seconds > 0 else 0.0

    @property
    def tokens_per_second(self) -> float:
        return self.input_token_count / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """The rest of the time at the mean speed so far, if all texts are known."""
        if self.total is None or not self.texts:
            return None
        return (self.total - self.texts - self.failed) / self.texts_per_second


Watcher = Callable[[Progress], object]
"""Is called in the thread or task that runs the job, after every batch."""


class Bar:
    """A tqdm progress bar; needs the extra `progress`.

    Raises:
        ConfigurationError: tqdm is not installed.
    """

    def __init__(self, noun: str = "texts", total: int | None = None) -> None:
        try:
            with warnings.catch_warnings():  # in a notebook without widgets a plain bar will do, which tqdm warns of
                warnings.filterwarnings("ignore", message="IProgress not found")
                from tqdm.auto import tqdm
        except ImportError:
            raise ConfigurationError(
                "a progress bar needs tqdm",
                hint='Install it with: pip install "wx-integrations[progress]"',
                field="show_progress",
            ) from None
        self._bar: Any = tqdm(total=total, unit=f" {noun}", unit_scale=True, dynamic_ncols=True)
        self._seen = 0

    def __call__(self, progress: Progress) -> None:
        """Show where the job is."""
        now = progress.texts + progress.failed
        self._bar.set_postfix(
            {
                "tokens/s": f"{progress.tokens_per_second:.0f}",
                "in flight": progress.in_flight,
                "refused": progress.refusals,
                **({"failed": progress.failed} if progress.failed else {}),
            },
            refresh=False,
        )
        self._bar.update(now - self._seen)
        self._seen = now

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
