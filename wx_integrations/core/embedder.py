"""Any number of texts to vectors, for both frameworks and without either.

```python
embedder = Embedder(Session.of(connection), Model("ibm/granite-embedding-278m-multilingual", project_id="..."))
embedder.embed(texts).vectors                 # all at once, or: (await embedder.aembed(texts)).vectors
for vector in embedder.stream(many_texts):    # a few batches at a time, or: async for ... in embedder.astream(...)
    ...
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wx_integrations.core import calls
from wx_integrations.core.adoption import Adopted
from wx_integrations.core.arrays import as_matrix, numpy
from wx_integrations.core.batching import Batch, check_texts
from wx_integrations.core.bulk import Bounds, OnFailure, Watching, Whole, Work
from wx_integrations.core.calls import Call, Target
from wx_integrations.core.crew import Answered
from wx_integrations.core.errors import UnexpectedResponse
from wx_integrations.core.progress import Watcher
from wx_integrations.core.session import Session
from wx_integrations.core.vectors import Vectors, as_vectors
from wx_integrations.core.wire.embeddings import EmbeddingParameters

if TYPE_CHECKING:
    from wx_integrations.core.checkpoint import Checkpoint, Precision
    from wx_integrations.core.filing import Kept

_BOUNDS = Bounds()


@dataclass(frozen=True)
class Embedded:
    """Vectors in the order of their texts, and what they took.

    Attributes:
        vectors: lists of floats, or one NumPy matrix when arrays are asked for.
        input_token_count: tokens the service read.
        requests: requests answered well.
    """

    vectors: list[list[float]] = field(repr=False)
    input_token_count: int = 0
    requests: int = 0


@dataclass(frozen=True)
class Embedder:
    """Embeds any number of texts.

    Attributes:
        session: the clients that send them, and the limiter.
        target: the model.
        parameters: of every request.
        bounds: how much goes into a request, and how fast requests follow each other.
        arrays: give NumPy arrays of 32-bit floats instead of lists.
    """

    session: Session
    target: Target
    parameters: EmbeddingParameters | None = None
    bounds: Bounds = _BOUNDS
    arrays: bool = False

    def embed(
        self, texts: Sequence[str], *, on_progress: Watcher | None = None, show_progress: bool = False
    ) -> Embedded:
        """Embed texts; none need no request.

        Args:
            texts: any number of them.
            on_progress: is called after every batch with how far the job is.
            show_progress: show a bar; needs the extra `progress`.

        Raises:
            ConfigurationError: something is no text, or empty; nothing was sent.
            PartialFailure: some texts failed; it carries the vectors of the others.
        """
        work, whole = self._begin(texts, Watching(on_progress, show_progress))
        for piece in work.pieces((), self._send):
            whole.add(piece)
        return self._embedded(work, whole)

    async def aembed(
        self, texts: Sequence[str], *, on_progress: Watcher | None = None, show_progress: bool = False
    ) -> Embedded:
        """Embed texts; none need no request. See `embed`."""
        work, whole = self._begin(texts, Watching(on_progress, show_progress))
        async with aclosing(work.apieces((), self._asend)) as pieces:
            async for piece in pieces:
                whole.add(piece)
        return self._embedded(work, whole)

    def stream(
        self,
        texts: Iterable[str],
        *,
        on_failure: OnFailure | None = None,
        on_progress: Watcher | None = None,
        show_progress: bool = False,
    ) -> Generator[Any, None, None]:
        """Yield a vector for each text, in their order, holding a few batches at a time.

        Args:
            texts: any number; they are taken as they are needed, in the thread that takes the vectors.
            on_failure: is told of a text that failed, for which None is yielded;
                without it PartialFailure is raised in its place.
            on_progress: is called after every batch with how far the job is.
            show_progress: show a bar; needs the extra `progress`.
        """
        work = self._work(None, Watching(on_progress, show_progress), stream=True, ordered=True)
        for piece in work.pieces(texts, self._send):
            yield from work.told(piece, on_failure)
        work.finish()

    async def astream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        on_failure: OnFailure | None = None,
        on_progress: Watcher | None = None,
        show_progress: bool = False,
    ) -> AsyncGenerator[Any, None]:
        """Yield a vector for each text, in their order, holding a few batches at a time; see `stream`."""
        work = self._work(None, Watching(on_progress, show_progress), stream=True, ordered=True)
        async with Adopted(work.apieces(texts, self._asend)) as pieces:
            async for piece in pieces:
                for vector in work.told(piece, on_failure):
                    yield vector
        work.finish()

    # ------------------------------------------------------------------ to disk

    def checkpoint(self, path: str | Path, *, precision: Precision = "double") -> Checkpoint:
        """Open a checkpoint for this model and these parameters; `.vectors(texts)` reads what `embed_to` wrote.

        Args:
            path: the checkpoint; it is made if it is missing.
            precision: of the numbers in a new one, as of `embed_to`.

        Raises:
            ConfigurationError: the file cannot be used, or has another version's form.
        """
        from wx_integrations.core.checkpoint import Checkpoint, purpose_of  # needs sqlite3, which few need

        return Checkpoint(path, purpose_of(self.target, self.parameters), precision=precision)

    def embed_to(
        self,
        path: str | Path,
        texts: Iterable[str],
        *,
        precision: Precision = "double",
        on_failure: OnFailure | None = None,
        on_progress: Watcher | None = None,
        show_progress: bool = False,
    ) -> Kept:
        """Embed texts into a checkpoint, batch by batch; texts that are in it already cost no request.

        Args:
            path: the checkpoint; it is made if it is missing. A job that was killed continues with the same one.
            texts: any number; they are taken as they are needed.
            precision: of the numbers in a new checkpoint: "double" keeps them as they came, "single" halves the file.
            on_failure: is told of texts that failed; without it PartialFailure is raised at the end.
            on_progress: is called after every batch with how far the job is.
            show_progress: show a bar; needs the extra `progress`.
        """
        with self.checkpoint(path, precision=precision) as checkpoint:
            filing = checkpoint.filing(on_failure)
            watching = Watching(on_progress, show_progress)
            work = self._work(None, watching, stream=True, number=filing.intake.number)
            for piece in work.pieces(filing.intake.missing(texts), self._send):
                checkpoint.keep(filing.sort(piece, work.job))
            return filing.finish(work.job)

    async def aembed_to(
        self,
        path: str | Path,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        precision: Precision = "double",
        on_failure: OnFailure | None = None,
        on_progress: Watcher | None = None,
        show_progress: bool = False,
    ) -> Kept:
        """Embed texts into a checkpoint, batch by batch, without holding the event loop up; see `embed_to`."""
        with self.checkpoint(path, precision=precision) as checkpoint:
            filing = checkpoint.filing(on_failure)
            watching = Watching(on_progress, show_progress)
            work = self._work(None, watching, stream=True, number=filing.intake.number)
            async with aclosing(work.apieces(filing.intake.amissing(texts), self._asend)) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(checkpoint.keep, filing.sort(piece, work.job))
            return filing.finish(work.job)

    # ------------------------------------------------------------------ a job

    def _begin(self, texts: Sequence[str], watching: Watching) -> tuple[Work[Any], Whole[Any]]:
        check_texts(texts, "texts", allow_empty=self.bounds.empty == "send")
        work = self._work(len(texts), watching)
        work.job.feed(texts)
        return work, Whole(len(texts))

    def _work(self, total: int | None, watching: Watching, **how: Any) -> Work[Any]:
        cut = self.parameters.truncate_input_tokens if self.parameters else None
        return Work(self.session, self.bounds, cut=cut, total=total, watching=watching, **how)

    def _embedded(self, work: Work[Any], whole: Whole[Any]) -> Embedded:
        vectors: Any = whole.finish(work.job)
        if self.arrays:
            np = numpy()
            vectors = np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
        return Embedded(vectors, work.job.input_token_count, work.job.batches)

    # ------------------------------------------------------------------ a batch

    def _send(self, batch: Batch) -> Answered[Any]:
        return rows_of(self.session.client.run(self._call(batch)), len(batch.texts))

    async def _asend(self, batch: Batch) -> Answered[Any]:
        return rows_of(await self.session.async_client.run(self._call(batch)), len(batch.texts))

    def _call(self, batch: Batch) -> Call[Vectors]:
        call = calls.embed(self.target, batch.texts, self.parameters)
        return as_matrix(call) if self.arrays else as_vectors(call)


def rows_of(answer: Vectors, wanted: int) -> Answered[Any]:
    """Return the vectors of an answer and the tokens it took.

    Raises:
        UnexpectedResponse: there are not as many as texts were sent.
    """
    if len(answer.rows) != wanted:
        raise UnexpectedResponse(f"{wanted} texts were sent, but {len(answer.rows)} embeddings came back")
    return answer.rows, answer.input_token_count
