"""When to ask again: pure. Elapsed time picks the interval, the server may ask for more."""

from __future__ import annotations

from videotasks.core.record import record

# Lag of polling is half the interval, so an interval of 8 % of the elapsed time keeps the mean lag near 4 % of the
# task's length; sanzaru's growth to 10 s within 20 s costs 3.2 s on short tasks (facts, peers 5.1).
GROWTH = 0.08
CEILING_S = 10.0
JITTER = 0.1  # intervals are shortened by up to this part, so that many waiters do not ask in step
MAX_SERVER_WAIT_S = 600.0  # an absurd Retry-After must not put a waiter to sleep for ever
FAULT_FIRST_S = 1.0
FAULT_GROWTH = 1.5  # doubling took 45 s to get past seven faults in a row that were over after the first few


@record(frozen=True)
class PollSchedule:
    """Intervals in seconds. `explicit` is the user's own interval, kept as given."""

    floor_s: float = 1.5
    ceiling_s: float = CEILING_S
    explicit_s: float | None = None

    def delay(self, elapsed_s: float, *, random: float, hint_s: float | None = None, faults: int = 0) -> float:
        """Seconds until the next look.

        `elapsed_s` is the task's age, `random` is in [0, 1), `hint_s` what the server asked for (Retry-After or a
        poll hint), `faults` how many looks in a row got no answer: then the wait grows from one second.
        """
        wanted = min(max(hint_s or 0.0, 0.0), MAX_SERVER_WAIT_S)
        if self.explicit_s is not None:
            return max(self.explicit_s, wanted)
        ceiling = min(self.ceiling_s, CEILING_S)
        if faults > 0:
            base = min(FAULT_FIRST_S * FAULT_GROWTH ** min(faults - 1, 10), ceiling)
        else:
            base = min(max(GROWTH * elapsed_s, self.floor_s), ceiling)
        return max(base * (1.0 - JITTER * random), wanted)


PER_MINUTE = 5_400.0  # of one key where no limit is known: a thousand tasks are then seen every 11.2 s
_WINDOW_S = 60.0
_CATCH_UP_S = 0.5  # a thread that woke up late may make up for so much
_MOST_GAP_S = 10.0
_MOST_HOLD_S = 60.0
_RECOVERS = 0.97  # of the gap after each answer that is no refusal: back to half of it within 23 answers


class Pace:
    """Requests with one key: at most `per_minute` in any minute, evenly spaced; fewer while the server says 429."""

    def __init__(self, per_minute: float | None = None, speed: float = 1.0) -> None:
        self._gap_s = (_WINDOW_S + _CATCH_UP_S + 0.001) / max(per_minute or PER_MINUTE, 0.1) / speed
        self._turn = float("-inf")  # when the next request is due at an even pace
        self._slow_s = 0.0  # between requests, since a refusal
        self._held_until = float("-inf")
        self._judged_at = float("-inf")

    def ready_at(self, *, last: bool = False) -> float:
        """From when on a request may be sent. The last look at a deadline waits for nobody's patience but the limit."""
        turn = self._turn - _CATCH_UP_S
        return turn if last else max(turn, self._held_until)

    def take(self, now: float) -> None:
        """A request is sent now."""
        self._turn = max(self._turn, now) + self._gap_s
        self._held_until = max(self._held_until, now + self._slow_s)

    def refused(self, now: float, hint_s: float | None = None) -> None:
        """HTTP 429. What was sent before the first one of a second says nothing new."""
        self._held_until = max(self._held_until, now + min(hint_s or 0.0, _MOST_HOLD_S))
        if now - self._judged_at < 1.0:
            return
        self._judged_at = now
        self._slow_s = min(2 * max(self._slow_s, self._gap_s), max(_MOST_GAP_S, self._gap_s))
        self._held_until = max(self._held_until, now + self._slow_s)

    def answered(self) -> None:
        self._slow_s = self._slow_s * _RECOVERS if self._slow_s > self._gap_s else 0.0
