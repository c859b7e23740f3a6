"""Arguments: strict parsing, and every way in which models send them, in any pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.core.counting import lines_run
from tests.core.streamed import objects, pieces_of, values
from wx_integrations.core.arguments import ArgumentsReader, MalformedArguments, parse_arguments, whole_object
from wx_integrations.core.jsontext import Balance, JsonString


def read(*pieces: str, cut: bool = False) -> str:
    reader = ArgumentsReader()
    return "".join([*map(reader.feed, pieces), reader.finish(cut=cut)])


# --------------------------------------------------------------------------- strict parsing


@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_an_object_parses(value: dict[str, Any], ascii: bool, indent: int | None) -> None:
    assert parse_arguments(json.dumps(value, ensure_ascii=ascii, indent=indent)) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "EOF while parsing a value"),
        ("null", "a JSON null, not an object"),
        ("[]", "a JSON array, not an object"),
        ('"{}"', "a JSON string, not an object"),
        ("1", "a JSON number, not an object"),
        ("1.5", "a JSON number, not an object"),
        ("true", "a JSON boolean, not an object"),
        ("{'a': 1}", "key must be a string"),
        ('{"a": 1,}', "trailing comma"),
        ('{"a": 1}{"b": 2}', "trailing characters"),
        ('{"a": 1} // done', "trailing characters"),
        ('{"a": tr', "EOF"),
        ('{"a": NaN}', "expected value"),
        ('{"a": Infinity}', "expected value"),
        ('{"a": -Infinity}', "invalid number"),
        ('{"a": [1e999]}', "too large for a float"),
        ('{"a": 1E+400}', "too large for a float"),
        ('{"a": ' + "9" * 250 + "e99}", "too large for a float"),
        ('{"a": ' + "9" * 400 + ".0}", "too large for a float"),
        ('{"a": ' + "9" * 5000 + "}", "number out of range"),
        ('{"a": "x\ny"}', "control character"),
        ('{"a": "\\ud83d"}', "hex escape"),
        ('{"a": "\ud83d"}', "half a surrogate pair"),
        ("\ufeff{}", "expected value"),
        ('{"a":' * 250 + "1" + "}" * 250, "recursion limit"),
        ("[" * 100_000, "recursion limit"),
    ],
)
def test_anything_else_is_malformed(text: str, why: str) -> None:
    with pytest.raises(MalformedArguments, match=why) as caught:
        parse_arguments(text)
    assert isinstance(caught.value, ValueError)


def test_the_message_does_not_show_the_arguments() -> None:
    with pytest.raises(MalformedArguments) as caught:
        parse_arguments('{"password": "hunter2" oops')
    assert "hunter2" not in str(caught.value)
    assert "oops" not in str(caught.value)


def test_of_duplicate_keys_the_last_counts() -> None:
    assert parse_arguments('{"a": 1, "a": 2}') == json.loads('{"a": 1, "a": 2}') == {"a": 2}


def test_numbers_that_only_look_huge() -> None:
    text = '{"a": 1e30, "b": "1e999", "c": 1e-999, "d": ' + "9" * 400 + "}"
    assert parse_arguments(text) == {"a": 1e30, "b": "1e999", "c": 0.0, "d": int("9" * 400)}


# --------------------------------------------------------------------------- piece by piece


@given(objects, st.integers(0, 3), st.booleans(), st.lists(st.integers(0, 500), max_size=12))
@settings(max_examples=200)
def test_any_number_of_encodings_in_any_pieces_is_the_object(
    value: dict[str, Any], levels: int, ascii: bool, cuts: list[int]
) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    for _ in range(levels):
        text = json.dumps(text, ensure_ascii=ascii)
    for pieces in (pieces_of(text, cuts), list(text)):
        assert read(*pieces) == json.dumps(value, ensure_ascii=ascii)


@given(st.text(), st.booleans(), st.randoms(use_true_random=False), st.lists(st.integers(0, 500), max_size=12))
def test_a_string_unescapes_to_what_json_reads(text: str, ascii: bool, dice: Any, cuts: list[int]) -> None:
    def written(char: str) -> str:
        if char == "/" or ord(char) > 0xFFFF or dice.random() < 0.7:
            return r"\/" if char == "/" else json.dumps(char, ensure_ascii=ascii)[1:-1]
        return f"\\u{ord(char):04{dice.choice('xX')}}"

    inside = "".join(map(written, text))
    assert json.loads(f'"{inside}"') == text
    for pieces in (pieces_of(inside + '"  ', cuts), list(inside + '"')):
        string = JsonString()
        read_back = [string.feed(piece) for piece in pieces]
        assert "".join(meant for meant, _ in read_back) == text
        assert {beyond for _, beyond in read_back} <= {""}
        assert string.closed


@pytest.mark.parametrize("char", ["\U00010000", "\U0010ffff", "\U000103ff", "\U0010fc00", "\ud7ff", "\ue000", "\uffff"])
def test_the_edges_of_surrogate_pairs(char: str) -> None:
    text = json.dumps({"a": char})
    assert read(*json.dumps(text)) == text
    assert read(*json.dumps(text).replace("\\\\u", "\\u")) == f'{{"a": "{char}"}}'


@given(st.text('"\\u/nx0d83eDC \n', max_size=30), st.lists(st.integers(0, 30), max_size=6))
@settings(max_examples=200)
def test_a_broken_string_reads_alike_in_any_pieces(text: str, cuts: list[int]) -> None:
    def meaning(pieces: list[str]) -> tuple[str, str, bool]:
        string = JsonString()
        parts = [string.feed(piece) for piece in pieces]
        meant = "".join(part for part, _ in parts) + string.take_open_escape()
        return meant, "".join(beyond for _, beyond in parts).replace(" ", "").replace("\n", ""), string.closed

    assert meaning(pieces_of(text, cuts)) == meaning(list(text)) == meaning([text])


@pytest.mark.parametrize(
    "text", ["", " \n", "null", " null ", '""', '"null"', '" null "', r'"\"\""', r'"\"null\""', r'"\u006eull"']
)
def test_no_arguments_are_an_empty_object(text: str) -> None:
    assert read(text) == read(*text) == "{}"


def test_arguments_that_a_limit_kept_away_are_no_empty_object() -> None:
    assert read("", cut=True) == ""
    assert read(" ", cut=True) == " "
    assert read("null", cut=True) == "{}"
    assert read('{"a": 1}', cut=True) == '{"a": 1}'


VERBATIM = [
    "{'country': 'Italy'}",
    "{'a': None, 'b': True}",
    '{"a": 1} and some words',
    '{"a": 1}{"b": 2}',
    '[{"a": 1}]',
    '"just a string"',
    '"[1, 2]"',
    '"\\"[]\\""',
    '"12"',
    '"nul',
    '"nullify"',
    "nul",
    "nu ll",
    "nullnull",
    'null{"a": 1}',
    'null"x"',
    'nu"ll"',
    '"null" "null"',
    '"" x',
    '"',
    '"\\"',
    "12",
    "true",
    '{"a": "cut of',
    "get_weather(city='Rome')",
    "\u00a0{}",
]


@pytest.mark.parametrize("text", VERBATIM)
def test_what_is_no_object_stays_as_it_came(text: str) -> None:
    assert read(text) == read(*text) == text
    with pytest.raises(MalformedArguments):
        parse_arguments(text)


def test_what_is_no_object_within_a_string_is_at_least_unescaped() -> None:
    assert read('"{\'a\': \\"b\\"}"') == "{'a': \"b\"}"
    assert read('"{\\"a\\": 1', '"') == '{"a": 1'
    assert read('"{\\"a\\": \\u00') == '{"a": \\u00'
    assert read('"{\\"a\\": \\"\\ud83d\\"}"') == '{"a": "\\ud83d"}'


def test_a_whole_object_counts_without_its_closing_quote() -> None:
    assert read('"{\\"a\\": 1}') == read(*'"{\\"a\\": 1}') == '{"a": 1}'


def test_text_after_the_string_is_a_fault_even_if_all_of_it_would_parse() -> None:
    """The model stopped escaping halfway: `"{\\"a\\": 1, \\"b": 2}`."""
    reader = ArgumentsReader()
    shown = reader.feed('"{\\"a\\": 1, \\"b') + reader.feed('": 2}') + reader.finish()
    assert parse_arguments(shown) == {"a": 1, "b": 2}
    assert reader.fault == "text follows the JSON string around the arguments"


def test_text_after_an_inner_string() -> None:
    reader = ArgumentsReader()
    pieces = ['"\\"{\\\\\\"a\\\\\\": 1}', '\\" x', '" y']
    assert "".join(map(reader.feed, pieces)) + reader.finish() == '{"a": 1}"x"y'
    assert reader.fault is not None


def test_strings_within_strings_have_an_end() -> None:
    text = '{"a": 1}'
    for _ in range(12):
        text = json.dumps(text)
    assert read(text) == read(*pieces_of(text, [1, 9])) == text
    # cheap ways to nest deeply: each level costs five characters
    spelled = '"' + "".join("\\u005c" + "u005c" * depth + "u0022" for depth in range(400))
    assert read(spelled) == read(*spelled) == spelled


def test_fragments_are_shown_as_they_come() -> None:
    reader = ArgumentsReader()
    assert [reader.feed(piece) for piece in ("", " ", '{"ci', 'ty": ', '"Rome"}')] == [
        "",
        "",
        ' {"ci',
        'ty": ',
        '"Rome"}',
    ]
    assert reader.finish() == ""
    assert ArgumentsReader().feed('{"a": {}') == '{"a": {}'
    reader = ArgumentsReader()
    pieces = ["", '"', "{", '\\"ci', "ty\\", '": \\"Ro\\u006', "de\\ud8", "3d", "\\ude00", '\\"}"']
    assert [reader.feed(piece) for piece in pieces] == ["", "", "{", '"ci', "ty", '": "Ro', "me", "", "😀", '"}']
    assert reader.finish() == ""


# --------------------------------------------------------------------------- whole objects


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["", '{"country": ""}', '{"country": "Italy"}', "{}", "{}", '{"country": ""}'], '{"country": "Italy"}'),
        (['{"a": 1}'], '{"a": 1}'),
        (["{}"], "{}"),
        (["{}", "", " ", "{}"], "{}"),
        (['{"a": 1}', "\n"], '{"a": 1}'),
        (['{"long_name_of_an_empty_value": ""}', '{"a": 1}'], '{"a": 1}'),
        (['{"a": null, "b": []}', "{}"], '{"a": null, "b": []}'),
        (['{"n": 1}', '{"n": 12}', '{"n": 1}'], '{"n": 12}'),
        (['{"n": 1}', '{"n": 2}'], '{"n": 2}'),
        (['"{\\"a\\": \\"\\"}"', '"{\\"a\\": \\"b\\"}"', '"{}"'], '{"a": "b"}'),
        (["{}", '{"a"', ": 1}"], '{"a": 1}'),
        (["{}", "{}", '"{\\"a\\"', ': 1}"'], '{"a": 1}'),
        (["{}", '{"a": 1}', "{}"], '{"a": 1}'),
    ],
)
def test_of_whole_objects_the_one_that_carries_most_counts(pieces: list[str], expected: str) -> None:
    reader = ArgumentsReader()
    assert reader.feed(pieces[0]) == ""
    assert "".join(map(reader.feed, pieces[1:])) + reader.finish() == expected
    assert reader.fault is None


@pytest.mark.parametrize(
    "pieces",
    [
        ['{"a": 1}', " and some words"],
        ["{'a': 1}", "{'b': 2}"],
        ['{"a": 1}', "{'b': 2}"],
        ['{"a": 1}', '{"b"', ": 2}"],
        ['{"a": 1}', "{}", '{"b"', ": 2}"],
        ["{}", "x"],
        ['{"a": 1}', "null"],
        ['"{\\"a\\": 1}"', '"{"'],
    ],
)
def test_a_row_that_is_not_all_whole_objects_stays_as_it_came(pieces: list[str]) -> None:
    assert read(*pieces) == "".join(pieces)
    with pytest.raises(MalformedArguments):
        parse_arguments("".join(pieces))


@given(objects, st.integers(0, 2))
def test_a_whole_object_is_known_by_itself(value: dict[str, Any], levels: int) -> None:
    text = inner = json.dumps(value)
    for _ in range(levels):
        text = json.dumps(f" {text}\n")
    assert whole_object(text) == inner


# --------------------------------------------------------------------------- after the end


def test_what_comes_after_the_end_is_a_fault() -> None:
    reader = ArgumentsReader()
    reader.feed('{"a": 1}')
    assert reader.finish() == '{"a": 1}'
    assert reader.finish() == ""
    assert reader.feed(" ") == " "
    assert reader.fault is None
    assert reader.feed('{"a": 2}') == '{"a": 2}'
    assert reader.fault == "more arguments arrived after the call had ended"


# --------------------------------------------------------------------------- anything at all


@given(st.text('{}"\\[]:,1anul \nd83e', max_size=40) | st.text(max_size=20), st.lists(st.integers(0, 40), max_size=8))
@example('"{"1', [2])
@settings(max_examples=250)
def test_any_text_reads_alike_in_any_pieces(text: str, cuts: list[int]) -> None:
    pieces = pieces_of(text, cuts)
    reader = ArgumentsReader()
    shown = "".join([*map(reader.feed, pieces), reader.finish()])
    try:
        expected = parse_arguments(read(text))
    except MalformedArguments:
        # a row of pieces of which one alone is an object may mean something, and is tested above
        assume(not any(whole_object(piece.strip(" \n")) for piece in pieces))
        late = reader.fault is not None  # the beginning was shown before the fault came to light
        assert shown == (read(*text) if late else read(text))
        with pytest.raises(MalformedArguments):
            parse_arguments(shown)
    else:
        assert parse_arguments(shown) == expected


@given(
    objects | st.lists(values, max_size=3).filter(bool), st.lists(st.integers(0, 200), max_size=8), st.text(max_size=3)
)
def test_the_end_of_a_value_is_found(value: Any, cuts: list[int], after: str) -> None:
    text = json.dumps(value)
    balance = Balance()
    closed = []
    for piece in [*pieces_of(text[:-1], cuts), text[-1], after]:
        balance.feed(piece)
        closed.append(balance.closed)
    assert closed[-2:] == [True, True]
    assert not any(closed[:-2])


@pytest.mark.parametrize(
    "piece",
    ["x", " ", "n", '"', "\\", "{}", '{"a": 1}', '{"a', '"{}"', "\\u005c", "null"],
    ids=repr,
)
@pytest.mark.parametrize("start", ["", '{"a": "', '"{\\"a\\": \\"', '"'], ids=["bare", "object", "string", "quote"])
def test_work_grows_with_the_number_of_pieces(start: str, piece: str) -> None:
    few, many = (lines_run(lambda count=count: read(start, *[piece] * count)) for count in (50, 500))  # type: ignore[misc]
    assert many < few * 11
