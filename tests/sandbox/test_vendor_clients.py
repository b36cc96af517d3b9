"""The vendors' own clients against `sandbox.py`: what they send is what a dialect has to take.

Left out by default, for they need libraries that nothing else does; CONTRIBUTING.md has the command.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.clients

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sandbox.py"
PROMPT = "a paper boat in the rain"


@dataclass
class Served:
    """A running `sandbox.py`."""

    base_url: str
    api_key: str

    def download(self, url: str) -> bytes:
        import httpx

        return httpx.get(url, timeout=60).raise_for_status().content


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts `sandbox.py` for a provider; tasks take an eighth of a second, or at another speed as long as it says."""
    running = []

    def start(provider: str, scenario: str = "ok", speed: float = 20) -> Served:
        command = [sys.executable, str(SCRIPT), "--provider", provider, "--scenario", scenario, "--speed", str(speed)]
        process = subprocess.Popen([*command, "--state", str(tmp_path / "s.json")], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        return Served(ready["base_url"], ready["api_key"])

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=20)


def ended(look: Callable[[], Any], is_over: Callable[[Any], bool]) -> Any:
    for _ in range(200):
        found = look()
        if is_over(found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"it never ended: {found}")


def is_mp4(data: bytes) -> bool:
    return data[4:8] == b"ftyp"


class TestOpenAI:
    def client(self, served: Served) -> Any:
        openai = importlib.import_module("openai")
        return openai.OpenAI(base_url=served.base_url, api_key=served.api_key, max_retries=0)

    def test_create_wait_download_list_remix_delete(self, serve: Serve, tmp_path: Path) -> None:
        client = self.client(serve("openai-compatible"))
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        video = client.videos.create_and_poll(
            prompt=PROMPT, model="sora-2", seconds="4", size="720x1280", input_reference=tmp_path / "a.png"
        )
        assert (video.status, video.seconds) == ("completed", "4")
        assert is_mp4(client.videos.download_content(video.id).read())
        assert client.videos.download_content(video.id, variant="thumbnail").read().startswith(b"\x89PNG")
        remix = client.videos.remix(video.id, prompt="the same, at night")
        assert (remix.remixed_from_video_id, remix.size) == (video.id, "720x1280")
        assert {each.id for each in client.videos.list(limit=5)} == {video.id, remix.id}
        assert client.videos.delete(video.id).deleted
        assert [each.id for each in client.videos.list()] == [remix.id]

    def test_refusals(self, serve: Serve) -> None:
        openai = importlib.import_module("openai")
        client = self.client(serve("openai-compatible"))
        with pytest.raises(openai.BadRequestError) as refused:
            client.videos.create(prompt=PROMPT, model="sora-2", seconds="5")
        assert refused.value.param == "seconds"
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve("video_nobody")
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="wrong").videos.list()


class TestFal:
    @pytest.fixture
    def client(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Any:
        fal = importlib.import_module("fal_client.client")
        served = serve("fal")
        monkeypatch.setattr(fal, "QUEUE_URL_FORMAT", served.base_url + "/")
        return fal.SyncClient(key=served.api_key)

    def test_create_wait_download(self, client: Any) -> None:
        fal = importlib.import_module("fal_client")
        seen = []
        result = client.subscribe(
            "fal-ai/veo3/fast", {"prompt": PROMPT, "duration": "4s"}, with_logs=True, on_queue_update=seen.append
        )
        assert is_mp4(Served("", "").download(result["video"]["url"]))
        assert isinstance(seen[-1], fal.Completed)

    def test_cancel_and_refusals(self, client: Any) -> None:
        fal = importlib.import_module("fal_client")
        handle = client.submit("fal-ai/veo3/fast", {"prompt": PROMPT})
        handle.cancel()
        with pytest.raises(fal.client.FalClientHTTPError):
            client.submit("fal-ai/veo3/fast", {"seed": 1}).get()
        with pytest.raises(fal.client.FalClientHTTPError) as missing:
            client.submit("fal-ai/no-such-app", {"prompt": PROMPT})
        assert missing.value.status_code == 404


class TestReplicate:
    def client(self, served: Served) -> Any:
        replicate = importlib.import_module("replicate")
        return replicate.Client(base_url=served.base_url.removesuffix("/v1"), api_token=served.api_key)

    def test_create_wait_download_list(self, serve: Serve) -> None:
        client = self.client(serve("replicate"))
        prediction = client.models.predictions.create(("kwaivgi", "kling-v2"), {"prompt": PROMPT, "duration": 5})
        prediction.wait()
        assert prediction.status == "succeeded"
        assert is_mp4(Served("", "").download(prediction.output))
        assert [each.id for each in client.predictions.list()] == [prediction.id]

    def test_cancel_and_refusals(self, serve: Serve) -> None:
        errors = importlib.import_module("replicate.exceptions")
        client = self.client(serve("replicate", "stalled"))
        prediction = client.models.predictions.create(("kwaivgi", "kling-v2"), {"prompt": PROMPT})
        prediction.cancel()
        assert client.predictions.get(prediction.id).status == "canceled"
        with pytest.raises(errors.ReplicateError) as refused:
            client.models.predictions.create(("kwaivgi", "kling-v2"), {"prompt": ""})
        assert refused.value.status == 422


class TestVolcengine:
    MODEL = "doubao-seedance-1-0-pro-250528"
    CONTENT = ({"type": "text", "text": PROMPT},)

    def client(self, served: Served) -> Any:
        runtime = importlib.import_module("volcenginesdkarkruntime")
        return runtime.Ark(base_url=served.base_url, api_key=served.api_key, max_retries=0)

    def test_create_wait_download_list(self, serve: Serve) -> None:
        served = serve("ark")
        tasks = self.client(served).content_generation.tasks
        # Members that the caller did not give are sent as null.
        made = tasks.create(model=self.MODEL, content=list(self.CONTENT), callback_url=None, duration=4)
        done = ended(lambda: tasks.get(task_id=made.id), lambda task: task.status == "succeeded")
        assert is_mp4(served.download(done.content.video_url))
        assert [task.id for task in tasks.list(page_size=5, status="succeeded").items] == [made.id]

    def test_cancel_and_refusals(self, serve: Serve) -> None:
        errors = importlib.import_module("volcenginesdkarkruntime._exceptions")
        tasks = self.client(serve("ark", speed=0.01)).content_generation.tasks
        made = tasks.create(model=self.MODEL, content=list(self.CONTENT))
        tasks.delete(task_id=made.id)
        assert tasks.get(task_id=made.id).status == "cancelled"
        with pytest.raises(errors.ArkBadRequestError):
            tasks.create(model=self.MODEL, content=[{"type": "text", "text": ""}])
        with pytest.raises(errors.ArkNotFoundError):
            tasks.get(task_id="cgt-nobody")


class TestRunway:
    def client(self, served: Served) -> Any:
        runway = importlib.import_module("runwayml")
        return runway.RunwayML(base_url=served.base_url, api_key=served.api_key, max_retries=0)

    def test_create_wait_download(self, serve: Serve) -> None:
        served = serve("runway")
        client = self.client(served)
        made = client.text_to_video.create(model="gen4.5", prompt_text=PROMPT, ratio="1280:720", duration=5)
        done = ended(lambda: client.tasks.retrieve(made.id), lambda task: task.status == "SUCCEEDED")
        assert is_mp4(served.download(done.output[0]))
        assert client.organization.retrieve().credit_balance == 990

    def test_an_image_by_upload(self, serve: Serve) -> None:
        client = self.client(serve("runway"))
        uploaded = client.uploads.create_ephemeral(file=("a.png", b"\x89PNG\r\n\x1a\n", "image/png"))
        made = client.image_to_video.create(
            model="gen4.5", prompt_image=uploaded.uri, prompt_text=PROMPT, ratio="1280:720", duration=5
        )
        assert made.id

    def test_cancel_and_refusals(self, serve: Serve) -> None:
        runway = importlib.import_module("runwayml")
        client = self.client(serve("runway", speed=0.01))
        made = client.text_to_video.create(model="gen4.5", prompt_text=PROMPT, ratio="1280:720", duration=5)
        client.tasks.delete(made.id)
        assert client.tasks.retrieve(made.id).status == "CANCELLED"
        with pytest.raises(runway.BadRequestError):
            client.text_to_video.create(model="gen4.5", prompt_text=PROMPT, ratio="1:1", duration=5)
        with pytest.raises(runway.BadRequestError, match="enough credits"):
            self.client(serve("runway", "no-credits")).text_to_video.create(
                model="gen4.5", prompt_text=PROMPT, ratio="1280:720", duration=5
            )


class TestLuma:
    def client(self, served: Served) -> Any:
        luma = importlib.import_module("lumaai")
        return luma.LumaAI(base_url=served.base_url, auth_token=served.api_key, max_retries=0)

    def test_create_wait_download_list_delete(self, serve: Serve) -> None:
        served = serve("luma")
        client = self.client(served)
        made = client.generations.video.create(model="ray-2", prompt=PROMPT, duration="5s", aspect_ratio="9:16")
        done = ended(lambda: client.generations.get(made.id), lambda each: each.state == "completed")
        assert is_mp4(served.download(done.assets.video))
        assert [each.id for each in client.generations.list(limit=3).generations] == [made.id]
        client.generations.delete(made.id)
        assert client.generations.list().generations == []
        assert client.credits.get().credit_balance == 990

    def test_refusals(self, serve: Serve) -> None:
        luma = importlib.import_module("lumaai")
        client = self.client(serve("luma"))
        with pytest.raises(luma.UnprocessableEntityError):
            client.generations.video.create(model="ray-9", prompt=PROMPT)
        with pytest.raises(luma.NotFoundError):
            client.generations.get("nobody")


class TestGemini:
    OMNI = "gemini-omni-1.1-flash"

    def client(self, served: Served) -> Any:
        genai = importlib.import_module("google.genai")
        options = {"base_url": served.base_url.removesuffix("/v1beta")}
        return genai.Client(api_key=served.api_key, http_options=options)

    def test_an_interaction(self, serve: Serve) -> None:
        import base64

        client = self.client(serve("gemini"))
        made = client.interactions.create(model=self.OMNI, input=PROMPT, background=True)
        done = ended(lambda: client.interactions.get(made.id), lambda each: each.status == "completed")
        (video,) = done.steps[-1].content
        assert is_mp4(base64.b64decode(video.data))

    def test_a_link_that_wants_the_key(self, serve: Serve) -> None:
        client = self.client(serve("gemini"))
        wanted = {"type": "video", "delivery": "uri", "aspect_ratio": "9:16"}
        made = client.interactions.create(model=self.OMNI, input=PROMPT, background=True, response_format=wanted)
        done = ended(lambda: client.interactions.get(made.id), lambda each: each.status == "completed")
        name = done.steps[-1].content[0].uri.partition("/v1beta/")[2].partition(":")[0]
        assert is_mp4(client.files.download(file=name))

    def test_cancel_and_refusals(self, serve: Serve) -> None:
        errors = importlib.import_module("google.genai.errors")
        client = self.client(serve("gemini", speed=0.01))
        made = client.interactions.create(model=self.OMNI, input=PROMPT, background=True)
        assert client.interactions.cancel(made.id).status == "cancelled"
        with pytest.raises(Exception, match="Requested entity was not found"):
            client.interactions.get("nobody")
        with pytest.raises(errors.APIError) as missing:
            client.files.download(file="files/nobody")
        assert missing.value.code == 404
