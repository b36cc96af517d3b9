"""What the API took of a create, where its answer repeats the inputs: what it dropped is told at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from videotasks.formats import jmespath_eval, scalars

MOST = 5


def differences(sent: Mapping[str, Any], answer: object, paths: Sequence[str]) -> list[str]:
    """Members that were sent and are not in the echo, or with another value; [] where there is no echo of them.

    `paths` (JMESPath) say where the answer repeats the inputs. Links and files are not compared: an API renames them.
    Of the answer only numbers are repeated here: its texts are a server's.
    """
    for path in paths:
        echo = jmespath_eval.evaluate(path, answer)
        if not isinstance(echo, Mapping):
            continue
        mine = sent if set(sent) & set(echo) else next(
            (one for one in sent.values() if isinstance(one, Mapping) and set(one) & set(echo)), None
        )  # fmt: skip
        if mine is None:
            continue
        found = [f"{name!r} was sent and is not in the answer's inputs" for name in mine if name not in echo]
        for name, value in mine.items():
            if name in echo and not _same(value, echo[name]):
                taken = scalars.number(echo[name])
                found.append(
                    f"{name!r} was sent as {value!r:.40} and taken as " + (f"{taken:g}" if taken else "another")
                )
        return found[:MOST]
    return []


def _same(sent: Any, taken: Any) -> bool:
    if isinstance(sent, bool) or isinstance(taken, bool):
        return str(sent).casefold() == str(taken).casefold()
    if scalars.number(sent) is None and not isinstance(sent, str):
        return True
    if isinstance(sent, str) and (len(sent) > 40 or scalars.http_url(sent)):
        return True  # a prompt may be trimmed or rewritten
    if taken is None or isinstance(taken, (Mapping, list)):
        return taken is not None
    if (first := scalars.seconds(sent)) is not None and first == scalars.seconds(taken):
        return True
    return str(sent).strip().casefold() == str(taken).strip().casefold()
