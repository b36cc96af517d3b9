"""What the API took of a request, by the inputs that its answer repeats."""

from __future__ import annotations

from typing import Any

import pytest

from videotasks.lifecycle.create_answer import echo_differences

SENT = {"prompt": "p", "duration": 5, "aspect_ratio": "9:16", "image_url": "https://e.example/1.png"}


@pytest.mark.parametrize(
    ("echo", "words"),
    [
        ({**SENT}, []),
        ({**SENT, "duration": "5", "seed": 1, "image_url": "https://cdn.example/x"}, []),
        ({**SENT, "duration": "5s", "aspect_ratio": "9:16 "}, []),
        ({name: value for name, value in SENT.items() if name != "duration"}, ["'duration' was sent and is not"]),
        ({**SENT, "duration": 10}, ["'duration' was sent as 5 and taken as 10"]),
        ({**SENT, "aspect_ratio": None}, ["'aspect_ratio'"]),
        ({}, []),
        ({"other": 1}, []),
        ([1], []),
        (None, []),
    ],
)
def test_what_was_dropped_or_changed_is_told(echo: Any, words: list[str]) -> None:
    found = echo_differences(SENT, {"id": "x", "input": echo}, ["input"])
    assert len(found) == len(words) and all(word in line for word, line in zip(words, found, strict=True))


def test_inputs_inside_the_body() -> None:
    sent = {"version": "v", "input": {"prompt": "p", "duration": 5}}
    assert echo_differences(sent, {"input": {"prompt": "p"}}, ["input"]) == [
        "'duration' was sent and is not in the answer's inputs"
    ]
    assert echo_differences(sent, {"id": "x"}, ["input"]) == []


def test_a_flood_is_cut() -> None:
    assert (
        len(echo_differences({f"m{n}": 1 for n in range(100)} | {"prompt": "p"}, {"input": {"prompt": "p"}}, ["input"]))
        == 5
    )
