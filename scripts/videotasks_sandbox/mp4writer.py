"""The video that a sandbox task ends with: the prompt as an MP4 file, its last frame and a thumbnail."""

from __future__ import annotations

import math
from dataclasses import dataclass

from videotasks_sandbox.h264 import Encoder
from videotasks_sandbox.mp4boxes import Sample, write_mp4
from videotasks_sandbox.picture import Picture
from videotasks_sandbox.png import write_png

MAX_DURATION_S = 600.0
_TICKS = 1000  # of the timescale per frame at full length
_KEY_FRAME_EVERY_S = 5  # where a player can start when it seeks
_THUMBNAIL_SIDE = 480  # pixels, longer side


@dataclass(frozen=True)
class RenderedVideo:
    """Complete files as bytes."""

    mp4: bytes
    last_frame_png: bytes
    thumbnail_png: bytes


def render_video(
    prompt: str, *, duration_s: float, width: int, height: int, fps: int = 24, caption: str = "SANDBOX", seed: int = 0
) -> RenderedVideo:
    """A playable H.264 MP4 that shows `prompt` over a landscape drawn from its hash and the seed.

    The same input gives the same bytes. The picture has exactly `width` x `height` pixels (even numbers), the track
    lasts `duration_s` seconds to the millisecond: the last frame is shown a little longer or shorter. Raises ValueError
    for sizes, rates or durations that cannot be.
    """
    if not (math.isfinite(duration_s) and 0 < duration_s <= MAX_DURATION_S):
        raise ValueError(f"duration must be above 0 and at most {MAX_DURATION_S:g} s, got {duration_s}")
    if not 1 <= fps <= 120:
        raise ValueError(f"frames per second must be 1 to 120, got {fps}")
    encoder = Encoder(width, height, fps)
    timescale = fps * _TICKS
    ticks = max(1, round(duration_s * timescale))
    frames = max(1, round(duration_s * fps))
    picture = Picture(prompt, width=width, height=height, total_s=duration_s, caption=caption, seed=seed)
    samples: list[Sample] = []
    for number in range(frames):
        changed = picture.advance(number / (frames - 1) if frames > 1 else 1.0)
        key = number % (fps * _KEY_FRAME_EVERY_S) == 0
        planes = picture.planes()
        data = encoder.key_frame(planes) if key else encoder.delta_frame(planes, changed)
        last = number == frames - 1
        samples.append(Sample(data, ticks - number * _TICKS if last else _TICKS, key))
    sps, pps = encoder.parameter_sets()
    mp4 = write_mp4(samples, width=width, height=height, timescale=timescale, sps=sps, pps=pps, title=caption)
    last_frame = write_png(width, height, picture.rgb_rows())
    return RenderedVideo(mp4, last_frame, _thumbnail(prompt, width, height, duration_s, caption, seed))


def _thumbnail(prompt: str, width: int, height: int, duration_s: float, caption: str, seed: int) -> bytes:
    """Drawn anew in small, since letters that were scaled down would be hard to read."""
    shrink = min(1.0, _THUMBNAIL_SIDE / max(width, height))
    small = [max(2, round(side * shrink / 2) * 2) for side in (width, height)]
    picture = Picture(prompt, width=small[0], height=small[1], total_s=duration_s, caption=caption, seed=seed)
    return write_png(small[0], small[1], picture.rgb_rows())
