"""When to ask again: pure. Elapsed time picks the interval, the server may ask for more."""

from __future__ import annotations

from dataclasses import dataclass

# Lag of polling is half the interval, so an interval of 8 % of the elapsed time keeps the mean lag near 4 % of the
# task's length; sanzaru's growth to 10 s within 20 s costs 3.2 s on short tasks (facts, peers 5.1).
GROWTH = 0.08
CEILING_S = 10.0
JITTER = 0.1  # intervals are shortened by up to this part, so that many waiters do not ask in step
MAX_SERVER_WAIT_S = 600.0  # an absurd Retry-After must not put a waiter to sleep for ever
FAULT_FIRST_S = 1.0
FAULT_GROWTH = 1.5  # doubling took 45 s to get past seven faults in a row that were over after the first few


@dataclass(frozen=True)
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
