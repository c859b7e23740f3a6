"""Vectors on disk: what is kept, what is asked for again, and a process that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.bulking import EMBEDDING_MODEL, PROJECT, Bench, Both, CountingBrain, slowly, texts_of, vector
from wx_integrations import ConfigurationError, InvalidRequest
from wx_integrations.core.calls import Gateway, Model
from wx_integrations.core.checkpoint import Checkpoint, purpose_of
from wx_integrations.core.errors import PartialFailure
from wx_integrations.core.progress import Progress
from wx_integrations.core.wire.embeddings import EmbeddingParameters, EmbeddingReturnOptions
from wx_integrations.emulator.app import Emulator
from wx_integrations.emulator.faults import Slow, Status
from wx_integrations.emulator.server import LocalServer


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Both:
    return Both(request.param)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors.sqlite"


def on_disk(bench: Bench, path: Path, texts: list[str]) -> list[list[float]]:
    with bench.embedder().checkpoint(path) as checkpoint:
        return list(checkpoint.vectors(texts))


# --------------------------------------------------------------------------- a job to disk


def test_vectors_are_kept_and_read_in_order(bench: Bench, both: Both, path: Path) -> None:
    kept = both.call(bench.embedder(batch_size=7), "embed_to", path, texts_of(50))
    assert (kept.path, kept.texts, kept.embedded, kept.reused, kept.failed) == (path, 50, 50, 0, 0)
    assert (kept.input_token_count, kept.requests) == (100, 8)
    assert on_disk(bench, path, texts_of(50)[::-1]) == [vector(number) for number in range(49, -1, -1)]


def test_an_unchanged_corpus_costs_no_request(bench: Bench, both: Both, path: Path) -> None:
    both.call(bench.embedder(), "embed_to", path, texts_of(1200))
    bench.emulator.journal.clear()
    kept = both.call(bench.embedder(), "embed_to", path, iter(texts_of(1200)))
    assert (kept.embedded, kept.reused, kept.requests) == (0, 1200, 0)
    assert len(bench.emulator.journal) == 0


def test_only_new_texts_are_asked_for(bench: Bench, both: Both, path: Path) -> None:
    both.call(bench.embedder(), "embed_to", path, texts_of(10))
    bench.emulator.journal.clear()
    kept = both.call(bench.embedder(), "embed_to", path, ["text 99", *texts_of(12)])
    assert bench.sent == [["text 99", "text 10", "text 11"]]
    assert (kept.embedded, kept.reused) == (3, 10)


def test_the_same_text_is_asked_for_once(bench: Bench, both: Both, path: Path) -> None:
    texts = [f"text {number % 30}" for number in range(2000)]
    kept = both.call(bench.embedder(batch_size=4), "embed_to", path, texts)
    assert sorted(text for sent in bench.sent for text in sent) == sorted(set(texts))
    assert (kept.texts, kept.embedded, kept.reused) == (2000, 30, 1970)


def test_an_asynchronous_source_is_taken(bench: Bench, path: Path) -> None:
    kept = Both("async").call(bench.embedder(batch_size=7), "embed_to", path, slowly(texts_of(1100)))
    assert (kept.texts, kept.embedded) == (1100, 1100)
    assert on_disk(bench, path, texts_of(1100))[1099] == vector(1099)


def test_another_model_or_other_parameters_find_nothing_of_these(bench: Bench, path: Path) -> None:
    model = Model(EMBEDDING_MODEL, PROJECT)
    cut = EmbeddingParameters(truncate_input_tokens=9)
    purposes = [
        purpose_of(model, None),
        purpose_of(model, cut),
        purpose_of(Model("ibm/slate-30m-english-rtrvr", PROJECT), None),
        purpose_of(Gateway(EMBEDDING_MODEL), None),
    ]
    assert len(set(purposes)) == 4
    for number, purpose in enumerate(purposes):
        with Checkpoint(path, purpose) as checkpoint:
            assert checkpoint.known([checkpoint.key("a")]) == set()
            checkpoint.keep([(checkpoint.key("a"), [float(number)])])
    for number, purpose in enumerate(purposes):
        with Checkpoint(path, purpose) as checkpoint:
            assert list(checkpoint.vectors(["a"])) == [[float(number)]]
            assert len(checkpoint) == 4


def test_what_does_not_change_a_vector_does_not_change_its_key() -> None:
    with_text = EmbeddingParameters(return_options=EmbeddingReturnOptions(input_text=True))
    assert purpose_of(Model("m", "project"), None) == purpose_of(Model("m", None, "space"), with_text)


def test_arrays_go_to_disk_too(bench: Bench, both: Both, path: Path) -> None:
    both.call(bench.embedder(arrays=True), "embed_to", path, texts_of(5))
    assert on_disk(bench, path, texts_of(5)) == [vector(number) for number in range(5)]


def test_progress_is_told(bench: Bench, both: Both, path: Path) -> None:
    seen: list[Progress] = []
    both.call(bench.embedder(batch_size=10), "embed_to", path, texts_of(30), on_progress=seen.append)
    assert (seen[-1].texts, seen[-1].input_token_count) == (30, 60)


# --------------------------------------------------------------------------- failures


def test_a_failure_is_raised_when_all_else_is_kept(bench: Bench, both: Both, path: Path) -> None:
    both.call(bench.embedder(), "embed_to", path, texts_of(20))
    texts = [*texts_of(40, bad=[25]), "text 25 !"]
    with pytest.raises(PartialFailure) as raised:
        both.call(bench.embedder(batch_size=5), "embed_to", path, texts)
    failure = raised.value
    assert sorted(failure.failed) == [25, 40]
    assert all(isinstance(error, InvalidRequest) for error in failure.failed.values())
    assert (failure.done, failure.untried) == ({}, ())
    assert "2 of 41 texts failed: texts[25] (9 characters" in str(failure)
    assert f"What was embedded is kept in {path}; the same call continues from there" in str(failure)
    good = [text for text in texts if "!" not in text]
    assert on_disk(bench, path, good) == [vector(int(text.split()[1])) for text in good]


def test_who_is_told_gets_the_indices_and_no_error(bench: Bench, both: Both, path: Path) -> None:
    told: list[tuple[int, str]] = []
    texts: list[Any] = [*texts_of(10, bad=[3]), "", None, "text 3 !"]
    kept = both.call(
        bench.embedder(batch_size=5),
        "embed_to",
        path,
        texts,
        on_failure=lambda index, error: told.append((index, type(error).__name__)),
    )
    assert sorted(told) == [
        (3, "InvalidRequest"),
        (10, "ConfigurationError"),
        (11, "ConfigurationError"),
        (12, "InvalidRequest"),
    ]
    assert (kept.texts, kept.embedded, kept.reused, kept.failed) == (13, 9, 0, 4)


def test_a_job_that_ends_early_keeps_what_it_has_and_continues(bench: Bench, both: Both, path: Path) -> None:
    rule = bench.emulator.faults.add(Status(403, code="token_quota_reached"), path="text/embeddings", nth=range(4, 99))
    with pytest.raises(PartialFailure, match="only 30 of"):
        both.call(bench.embedder(batch_size=10, max_concurrency=1), "embed_to", path, texts_of(100))
    bench.emulator.faults.rules.remove(rule)
    bench.emulator.journal.clear()
    kept = both.call(bench.embedder(batch_size=10), "embed_to", path, texts_of(100))
    assert (kept.embedded, kept.reused) == (70, 30)
    assert on_disk(bench, path, texts_of(100)) == [vector(number) for number in range(100)]


async def test_a_cancelled_job_continues(path: Path) -> None:
    bench = Bench()
    rule = bench.emulator.faults.add(Slow(before=30), path="text/embeddings", nth=range(6, 1000))
    embedder = bench.embedder(batch_size=10, max_concurrency=2)
    with embedder.checkpoint(path) as checkpoint:
        job = asyncio.create_task(embedder.aembed_to(path, texts_of(200)))
        while len(checkpoint) < 30:  # noqa: ASYNC110  # the file is what counts
            await asyncio.sleep(0.01)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        finished = len(checkpoint)
    bench.emulator.faults.rules.remove(rule)
    assert finished < 200
    bench.emulator.journal.clear()
    kept = await embedder.aembed_to(path, texts_of(200))
    assert (kept.reused, kept.embedded) == (finished, 200 - finished)
    assert sum(map(len, bench.sent)) == 200 - finished


KILLED = """
    import sys
    from tests.core.bulking import Bench, texts_of
    from wx_integrations.emulator.app import Emulator
    bench = Bench(url=sys.argv[1], sockets=True)
    bench.embedder(batch_size=10, max_concurrency=2).embed_to(sys.argv[2], texts_of(400))
"""


def test_a_killed_job_continues_without_repeating_finished_batches(path: Path) -> None:
    emulator = Emulator(CountingBrain())
    enough = threading.Event()
    emulator.faults.add(Slow(before=0.02), path="text/embeddings")
    handle = emulator.handle

    def counted(request: Any) -> Any:
        if len(emulator.journal.find("text/embeddings")) >= 12:
            enough.set()
        return handle(request)

    emulator.handle = counted  # type: ignore[method-assign]
    with LocalServer(emulator) as server:
        job = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), server.url, str(path)])
        try:
            assert enough.wait(60)
        finally:
            os.kill(job.pid, signal.SIGKILL)
            job.wait()
        bench = Bench(url=server.url, emulator=emulator, sockets=True)
        with bench.embedder().checkpoint(path) as checkpoint:
            finished = len(checkpoint)
            texts = texts_of(400)
            there = {text for text in texts if checkpoint.known([checkpoint.key(text)])}
        assert 50 <= finished < 400
        emulator.journal.clear()
        kept = bench.embedder(batch_size=10).embed_to(path, texts)
    assert (kept.reused, kept.embedded) == (finished, 400 - finished)
    assert not there & {text for sent in bench.sent for text in sent}
    assert on_disk(bench, path, texts) == [vector(number) for number in range(400)]


def test_several_jobs_write_one_file(bench: Bench, path: Path) -> None:
    def work(start: int) -> None:
        bench.embedder(batch_size=3).embed_to(path, [f"text {number}" for number in range(start, start + 60)])

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 30, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert on_disk(bench, path, texts_of(120)) == [vector(number) for number in range(120)]


def test_several_jobs_begin_at_once(tmp_path: Path) -> None:
    """Who makes a new file holds it for a moment."""
    wrong: list[Exception] = []

    def begin(path: Path, together: threading.Barrier) -> None:
        together.wait()
        try:
            Checkpoint(path, b"purpose").close()
        except Exception as error:
            wrong.append(error)

    for number in range(20):
        together = threading.Barrier(12)
        arguments = (tmp_path / f"{number}.sqlite", together)
        threads = [threading.Thread(target=begin, args=arguments) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


# --------------------------------------------------------------------------- the file


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(st.text(), st.lists(FLOATS, min_size=1, max_size=5)), max_size=10))
def test_numbers_come_back_as_they_were(pairs: list[tuple[str, list[float]]]) -> None:
    wanted = dict(pairs)
    with Checkpoint(":memory:", b"") as checkpoint:
        checkpoint.keep((checkpoint.key(text), numbers) for text, numbers in wanted.items())
        assert list(checkpoint.vectors(list(wanted))) == list(wanted.values())


def test_single_precision_halves_the_file(tmp_path: Path) -> None:
    numbers = [0.1] * 1000
    sizes = []
    for precision in ("double", "single"):
        path = tmp_path / precision
        with Checkpoint(path, b"", precision=precision) as checkpoint:
            checkpoint.keep((checkpoint.key(str(number)), numbers) for number in range(200))
        with Checkpoint(path, b"") as checkpoint:
            assert next(checkpoint.vectors(["7"])) == pytest.approx(numbers)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]


def test_a_text_without_a_vector_is_named(bench: Bench, path: Path) -> None:
    bench.embedder().embed_to(path, texts_of(3))
    with pytest.raises(ConfigurationError, match=r"has no vector for texts\[3\]"):
        on_disk(bench, path, texts_of(4))


def spoilt(change: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with Checkpoint(path, b""):
            pass
        database = sqlite3.connect(path)
        database.execute(change)
        database.commit()
        database.close()

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("not a database, but text that is long enough to look like something else"),
        lambda path: path.mkdir(),
        spoilt("UPDATE settings SET value = '99' WHERE name = 'format'"),
        spoilt("UPDATE settings SET value = 'triple' WHERE name = 'precision'"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    bench: Bench, both: Both, path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    with pytest.raises(ConfigurationError, match=str(path)) as raised:
        both.call(bench.embedder(), "embed_to", path, texts_of(3))
    assert raised.value.field == "path"
    assert len(bench.emulator.journal) == 0


def test_a_folder_that_is_missing_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not usable as a checkpoint"):
        bench.embedder().embed_to(tmp_path / "nowhere" / "x.sqlite", texts_of(1))


def test_precision_is_one_of_two(bench: Bench, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="precision"):
        bench.embedder().embed_to(path, texts_of(1), precision="half")  # type: ignore[arg-type]


def test_a_source_that_fails_leaves_what_came_before(bench: Bench, path: Path) -> None:
    def source() -> Iterator[str]:
        yield from texts_of(1500)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        bench.embedder(batch_size=10).embed_to(path, source())
    with bench.embedder().checkpoint(path) as checkpoint:
        assert len(checkpoint) > 0
