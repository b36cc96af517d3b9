"""A short, seeded fault campaign; benchmarks/fault_campaign.py runs the long one with the same judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.campaign import AMBIGUOUS, STREAMS, campaign, figures, play
from support.campaign import Scenario as Script
from support.taskserver import WIRES

pytestmark = pytest.mark.slow


def test_no_promise_breaks_under_random_faults(tmp_path: Path) -> None:
    reports = campaign(120, seed=20261121, folder=tmp_path)
    broken = {str(report.scenario): report.wrong for report in reports if report.wrong}
    assert not broken
    told = figures(reports)
    assert told["most creates taken in a run"] == 1
    assert told["key found elsewhere"] == 0
    # A campaign in which nothing happens proves nothing.
    assert told["runs whose id was told"] > 30 and told["submissions unknown (exit 3)"] > 20
    assert {report.scenario.provider for report in reports} == set(WIRES)


def test_the_judge_sees_a_second_payment(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A client that sends again after a lost answer, as most do, is caught."""
    from videotasks.lifecycle import create_answer

    monkeypatch.setattr(
        create_answer,
        "of_silence",
        lambda profile, error: create_answer.CreateAnswer(create_answer.Decision.NOT_SENT, reason="?"),
    )
    scenario = Script(0, "ark", False, [AMBIGUOUS[1]], next(iter(STREAMS)), [], [], "succeeded")
    report = play(scenario, tmp_path)
    assert report.paid == 2
    assert any("paid 2 times" in text for text in report.wrong)
