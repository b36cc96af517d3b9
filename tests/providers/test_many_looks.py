"""One request that tells of many tasks: which it asks for, what counts of the answer, and where the next page is."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from videotasks.core.task import Status
from videotasks.network.client import Answer, Client
from videotasks.providers.load_profile import load_profile
from videotasks.providers.provider import ListPage, ManyLooks, Provider, TaskRef


class Asked(Client):
    """Keeps what is asked, and has the answer ready."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer, self.urls = answer, []

    def request(self, method: str, url: str, **_: Any) -> Answer:
        self.urls.append(str(requests.Request(method, url).prepare().url))
        return Answer(200, {}, json.dumps(self.answer).encode())


def asked_for(name: str, ids: list[str], page: ListPage, answer: Any) -> tuple[str, ManyLooks]:
    """The address that is asked for a page of tasks, and what is read of the answer."""
    client = Asked(answer)
    looks = Provider(load_profile(name), None).look_at_many({one: TaskRef(one) for one in ids}, page, client=client)
    return client.urls[0], looks


def test_ids_are_named_in_the_query() -> None:
    url, looks = asked_for(
        "ark", ["a", "b/c"], ListPage(), {"items": [{"id": "b/c", "status": "queued"}, {"id": "x"}, 7]}
    )
    assert url.endswith("?page_num=1&page_size=500&filter.task_ids=a&filter.task_ids=b%2Fc")
    assert looks.looks is not None and list(looks.looks) == ["b/c"] and looks.next is None


def test_how_the_next_page_is_asked_for() -> None:
    tasks = [{"task_id": str(n), "task_status": "submitted"} for n in range(100)]
    first, looks = asked_for("kling", ["3"], ListPage(), {"code": 0, "data": tasks})
    assert first.endswith("/v1/videos/text2video?pageNum=1&pageSize=100") and looks.next is not None
    assert looks.looks is not None and looks.looks["3"].snapshot is not None
    assert looks.looks["3"].snapshot.status is Status.QUEUED
    second, looks = asked_for("kling", ["3"], looks.next, {"code": 0, "data": tasks[:99]})
    assert second.endswith("?pageNum=2&pageSize=100") and looks.next is None, "a page that is not full is the last"
    _, refused = asked_for("kling", ["3"], ListPage(), {"code": 1302, "message": "slow", "data": tasks})
    assert refused.looks is None

    rows = [{"id": str(n), "state": "queued"} for n in range(50)]
    _, looks = asked_for("luma", ["3"], ListPage(), {"generations": rows})
    assert looks.next is not None
    assert asked_for("luma", ["3"], looks.next, {"generations": rows})[0].endswith("?limit=50&offset=50")

    answer = {"data": [{"id": "v1", "status": "queued"}], "has_more": True, "last_id": "v1"}
    _, looks = asked_for("openai-compatible", ["v1"], ListPage(), answer)
    assert looks.next is not None and looks.next.query == {"after": "v1"}
    assert asked_for("openai-compatible", ["v1"], ListPage(), {**answer, "has_more": False})[1].next is None


@pytest.mark.parametrize(
    "link", ["https://evil.example/predictions?cursor=1", "http://api.replicate.com/v1/x", 7, None]
)
def test_a_next_page_elsewhere_is_not_asked_for(link: Any) -> None:
    own = "https://api.replicate.com/v1/predictions?cursor=abc"
    page = {"results": [{"id": "p", "status": "starting"}]}
    assert asked_for("replicate", ["p"], ListPage(), {**page, "next": link})[1].next is None
    _, looks = asked_for("replicate", ["p"], ListPage(), {**page, "next": own})
    assert looks.next is not None and asked_for("replicate", ["p"], looks.next, page)[0] == own
