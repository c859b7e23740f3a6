"""The benchmarks' arithmetic: ratios inside a round, medians, targets; nothing is measured here."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import targets
from benchmarks.contenders import CONTENDERS
from benchmarks.environments import REQUIREMENTS
from benchmarks.readings import COLUMNS, Figure, Readings, Round
from benchmarks.report import table
from benchmarks.tasks import TASKS


def round_of(**cpu: float) -> Round:
    """Return a round of chats: seconds for eight calls by contender (`_` for `-`)."""
    return {name.replace("_", "-"): {"count": 8, "cpu": taken, "wall": taken * 2} for name, taken in cpu.items()}


ROUNDS = [
    round_of(raw=1.0, langchain_noop=0.5, ours_langchain=1.5, ibm_langchain=3.0),
    round_of(raw=2.0, langchain_noop=1.0, ours_langchain=6.0, ibm_langchain=6.0),
    round_of(raw=1.0, langchain_noop=1.0, ours_langchain=2.25, ibm_langchain=4.0),
]


def test_ratios_are_taken_inside_a_round_and_their_median_is_given() -> None:
    readings = Readings("chat", ROUNDS)
    assert readings.figure("cpu/floor", "ours-langchain") == Figure(1.125, 1.0, 2.0)
    assert readings.figure("cpu/raw", "ours-langchain") == Figure(2.25, 1.5, 3.0)
    assert readings.figure("cpu", "raw") == Figure(125_000, 125_000, 250_000)


def test_raw_and_the_no_op_models_have_no_floor() -> None:
    readings = Readings("chat", ROUNDS)
    assert readings.figure("cpu/floor", "raw") is None
    assert readings.figure("cpu/floor", "langchain-noop") is None


def test_a_floor_in_one_process_is_that_of_the_same_framework() -> None:
    both = {"langchain-httpx": 0.25, "llamaindex-httpx": 0.5}
    cpu = {"raw": 0.2, **both, "ours-langchain": 0.3, "ours-llamaindex": 0.3, "ours-core": 0.3}
    readings = Readings("stream", [{name: {"count": 1, "cpu": spent} for name, spent in cpu.items()}])
    found = {name: readings.figure("cpu/together", name) for name in cpu}
    assert {name: figure.median for name, figure in found.items() if figure is not None} == pytest.approx(
        {"ours-langchain": 1.2, "ours-llamaindex": 0.6, "ours-core": 1.5}
    )


def test_who_failed_has_no_figures_and_a_row_that_says_so() -> None:
    rounds: list[Round] = [{**one, "ibm-langchain": {"error": "no"}} for one in ROUNDS]
    readings = Readings("chat", rounds)
    assert readings.figure("cpu", "ibm-langchain") is None
    assert "| langchain-ibm | failed |" in table(readings)


def test_the_ideal_is_the_services_delay_alone() -> None:
    reading: dict[str, Any] = {"count": 500, "cpu": 0.3, "wall": 0.65}
    found = Readings("achat-100", [{"ours-langchain": reading}]).figure("wall/ideal", "ours-langchain")
    assert found is not None
    assert found.median == pytest.approx(1.3)


def test_a_table_has_a_row_a_contender_and_a_cell_a_column() -> None:
    lines = [line for line in table(Readings("chat", ROUNDS)).splitlines() if line.startswith("|")]
    assert [line.count("|") for line in lines] == [len(TASKS["chat"].columns) + 2] * (len(ROUNDS[0]) + 2)
    assert "**wx_integrations.langchain**" in lines[4]
    assert "1.12 [1.00..2.00]" in lines[4]


def test_a_missed_target_is_told() -> None:
    results = {"chat": Readings("chat", ROUNDS)}
    assert targets.missed(results) == ["sync invoke, CPU over the floor: ours-langchain"]
    row = next(line for line in targets.table(results).splitlines() if "sync invoke" in line)
    assert "1.12 [1.00..2.00] | **no** | langchain-ibm 2.00" in row


def test_targets_name_tasks_columns_and_contenders_that_exist() -> None:
    for target in targets.TARGETS:
        assert target.column in COLUMNS
        assert not target.base or target.base in TASKS
        assert set(target.who) <= set(TASKS[target.task].contenders(frozenset())), target.says


def test_tasks_name_columns_and_contenders_that_exist() -> None:
    for task in TASKS.values():
        assert set(task.columns) <= set(COLUMNS), task.name
        assert task.without | task.costly <= set(CONTENDERS), task.name
        assert task.contenders(frozenset()), task.name


def test_contenders_have_environments_and_floors() -> None:
    for name, kind in CONTENDERS.items():
        assert kind.name == name
        assert (REQUIREMENTS / f"{kind.environment}.txt").exists()
        assert not kind.floor or CONTENDERS[kind.floor].kind == "floor"


def test_asking_for_some_contenders_brings_what_they_are_compared_with() -> None:
    asked = frozenset({"ours-langchain"})
    assert TASKS["chat"].contenders(asked) == ["raw", "langchain-noop", "langchain-httpx", "ours-langchain"]
    assert TASKS["batch"].contenders(asked) == ["raw", "ours-langchain"]
    kinds = {CONTENDERS[name].kind for name in TASKS["chat"].contenders(frozenset({"incumbent"}))}
    assert kinds == {"raw", "floor", "together", "incumbent"}
