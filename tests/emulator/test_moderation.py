"""Moderation: refused input as recorded, detections in answers, masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.lab import PROJECT, TEXT_MODEL, Lab, data_of, error_of, events_of
from wx_integrations.emulator.scripted import ScriptedBrain

GOLDEN = Path(__file__).parents[1] / "golden" / "answers" / "chat_blocked.json"
PHONE = "Hello, my telephone number is 3572865321"
INPUT = {"pii": {"input": {"enabled": True}}}
OUTPUT = {"pii": {"output": {"enabled": True}}}
MASKED = {"pii": {"output": {}, "mask": {"remove_entity_value": True}}}


def saying(*pieces: str) -> Lab:
    brain = ScriptedBrain()
    brain.reply(*pieces)
    brain.reply(*pieces, to="generation")
    return Lab(brain)


def test_refused_input_of_a_stream_is_one_frame_as_recorded() -> None:
    ((number, event, data),) = events_of(Lab().chat_stream(PHONE, moderations=INPUT))
    recorded = json.loads(GOLDEN.read_text())
    assert (number, event) == ("1", "message")
    assert set(data) - {"model_version"} == set(recorded)
    assert data["choices"] == recorded["choices"] == [{"index": 0, "finish_reason": None}]
    assert data["system"] == recorded["system"]
    assert set(data["usage"]) == {"prompt_tokens"}
    (found,), (expected,) = data["moderations"]["pii"], recorded["moderations"]["pii"]
    assert {**found, "position": None} == {**expected, "position": None}
    assert PHONE[found["position"]["start"] : found["position"]["end"]] == "3572865321"
    (place,) = data["detections"]["input"]
    assert set(place["results"][0]) == set(recorded["detections"]["input"][0]["results"][0])
    assert place["results"][0]["detector_id"] == "en_syntax_rbr_pii"


def test_refused_input_of_a_whole_answer_has_no_choices() -> None:
    messages = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": PHONE}]
    answer = data_of(Lab().chat(messages, moderations=INPUT))
    assert (answer["object"], answer["choices"]) == ("chat.completion", [])
    assert answer["system"]["warnings"][0]["id"] == "UNSUITABLE_INPUT"
    assert answer["detections"]["input"][0]["message_index"] == 1


@pytest.mark.parametrize(
    "moderations",
    [
        {},
        OUTPUT,
        {"pii": {"input": {"enabled": False}}},
        {"hap": {"input": {"enabled": True}}},
        {"granite_guardian": {"input": {"threshold": 0.1}}},
        {**INPUT, "input_ranges": [{"start": 0, "end": 10}]},
        {"hap": {"input": {"threshold": 0.99}}},
    ],
)
def test_what_is_not_watched_passes(moderations: dict[str, Any]) -> None:
    message = Lab().message(
        f"{PHONE}, you idiot" if "hap" in moderations and "threshold" in str(moderations) else PHONE,
        moderations=moderations,
    )
    assert PHONE in message["content"]


def test_ranges_and_thresholds() -> None:
    assert data_of(Lab().chat(PHONE, moderations={**INPUT, "input_ranges": [{"start": 0, "end": 99}]}))["choices"] == []
    rude = data_of(Lab().chat("You idiot", moderations={"hap": {"input": {"threshold": 0.9}}}))
    assert rude["moderations"]["hap"][0]["entity"] == "has_HAP"


def test_answers_are_reported() -> None:
    answer = data_of(saying("Call ", "3572865321", " now").chat(moderations=OUTPUT))
    assert answer["choices"][0]["message"]["content"] == "Call 3572865321 now"
    assert answer["moderations"] == {
        "pii": [
            {
                "score": 0.8,
                "input": False,
                "position": {"start": 5, "end": 15},
                "entity": "PhoneNumber",
                "word": "3572865321",
            }
        ]
    }
    (place,) = answer["detections"]["output"]
    assert (place["choice_index"], place["results"][0]["text"]) == (0, "3572865321")


def test_reports_of_several_choices_are_joined() -> None:
    answer = data_of(Lab().chat("mail a@b.com", n=2, moderations=OUTPUT))
    assert [place["choice_index"] for place in answer["detections"]["output"]] == [0, 1]
    assert len(answer["moderations"]["pii"]) == 2


def test_masks_star_the_value_out_everywhere() -> None:
    reply = saying("Mail a@b.com or", " call 3572865321.").chat(moderations=MASKED)
    answer = data_of(reply)
    assert answer["choices"][0]["message"]["content"] == "Mail ******* or call **********."
    assert isinstance(reply.body, bytes)
    assert b"3572865321" not in reply.body
    assert b"a@b.com" not in reply.body


def test_moderated_streams_send_sentences_with_their_role() -> None:
    lab = saying("Hi", " there. ", "Call 357", "2865321. ", "Bye")
    events = [data for _, _, data in events_of(lab.chat_stream(moderations=OUTPUT))]
    deltas = [event["choices"][0]["delta"] for event in events[1:-1]]
    assert [delta["content"] for delta in deltas] == ["Hi there. ", "Call 3572865321. ", "Bye", ""]
    assert all(delta["role"] == "assistant" for delta in deltas[:3])
    assert [("detections" in event) for event in events] == [False, False, True, False, False, False]
    assert events[2]["moderations"]["pii"][0]["position"] == {"start": 15, "end": 25}


def generation(lab: Lab, text: str, moderations: dict[str, Any], *, stream: bool = False) -> Any:
    body = {"model_id": TEXT_MODEL, "project_id": PROJECT, "input": text, "moderations": moderations}
    reply = lab.post("/ml/v1/text/generation" + ("_stream" if stream else ""), body)
    return [data for _, _, data in events_of(reply)] if stream else data_of(reply)


def test_generation() -> None:
    for stream in (False, True):
        answer = generation(Lab(), PHONE, INPUT, stream=stream)
        (refused,) = answer if stream else [answer]
        assert refused["results"][0]["moderations"]["pii"][0]["input"] is True
        assert refused["results"][0]["generated_text"] == ""
        assert refused["system"]["warnings"][0]["id"] == "UNSUITABLE_INPUT"
    told = generation(saying("Call 3572865321"), "x", MASKED)["results"][0]
    assert told["generated_text"] == "Call **********"
    assert told["moderations"]["pii"] == [
        {"score": 0.8, "input": False, "position": {"start": 5, "end": 15}, "entity": "PhoneNumber"}
    ]
    frames = generation(saying("Call 357", "2865321. ", "Bye"), "x", MASKED, stream=True)
    assert [frame["results"][0]["generated_text"] for frame in frames] == ["", "Call **********. ", "Bye"]
    assert "moderations" in frames[1]["results"][0]


def test_unknown_detectors_are_refused() -> None:
    error = error_of(Lab().chat(moderations={"mood": {}}))
    assert error["target"]["name"] == "moderations.mood"
