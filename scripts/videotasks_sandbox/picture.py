"""Draws the frames of a sandbox video: a landscape made from the prompt's hash, the prompt, a caption bar, progress.

Every pixel is one byte that says what is there; colours come from a palette per pair of lines, at the very end.
Whole lines are handled at once (bytes.translate, slices, integers as bit sets), since a loop over pixels would take
seconds in Python.
"""

from __future__ import annotations

import colorsys
import hashlib
import math

from videotasks_sandbox import font
from videotasks_sandbox.h264 import MB, Planes

# Layers, combined with "or"; of the hills the nearest is seen.
FAR, MIDDLE, NEAR = 1, 2, 4
SUN, GLOW = 8, 16  # the sun lies within its glow
TRACK, FILL, LABEL = 8, 8 | 1, 8 | 2  # a sun without glow does not exist, so these are free
PANEL = 32  # darkens what is below
HALF_INK, INK = 64, 128
_INK = bytes((0, HALF_INK, INK)) + bytes(253)

Colour = tuple[float, float, float]  # red, green, blue, 0..1
Rect = tuple[int, int, int, int]  # left, top, right, bottom

_MAX_PROMPT = 4000  # characters looked at; more than any picture shows


class Picture:
    """A frame that can be advanced in time. Width and height in pixels, `total_s` in seconds."""

    def __init__(self, prompt: str, *, width: int, height: int, total_s: float, caption: str, seed: int) -> None:
        self.width, self.height, self.total_s = width, height, total_s
        digest = hashlib.sha256(f"{seed}\0{prompt}".encode("utf-8", "surrogatepass")).digest()
        self._palette = _Palette(digest, height)
        self._lines = _landscape(digest, width, height)
        self._unit = min(width, height)
        # Progress lies within one line of macroblocks, so that a step costs one or two of them.
        row = height // MB - 1
        self._bar = range(row * MB + 7, row * MB + 13) if row > 0 else range(0)
        self._bar_x = 0
        self._clock_at: tuple[int, int, int] | None = None  # left, top, scale
        self._clock_text = ""
        strip_top = self._draw_strip(caption)
        self._draw_prompt(prompt, strip_top)
        self._planes: Planes | None = None

    # -- what stays --- --

    def _draw_strip(self, caption: str) -> int:
        """The caption bar at the bottom; returns its top line."""
        scale = max(1, self._unit // 170)
        text_height = font.HEIGHT * scale
        bar_top = self._bar.start if self._bar else self.height
        top = bar_top - text_height - 5 * scale
        if top < 0:
            return self.height
        self._fill((0, top, self.width, self.height), PANEL)
        for y in self._bar:
            self._lines[y] = bytes((TRACK,)) * self.width
        pad = 5 * scale
        room = self.width * 6 // 10 // scale - 8
        text = font.cut(" ".join(font.transliterate(caption).split()), room) if room >= 8 else ""
        text_top = top + 4 * scale
        left = pad
        if text:
            wide = font.text_width(text) * scale
            right = min(self.width, pad + wide + 6 * scale)
            self._paint((pad, text_top - 2 * scale, right, text_top + (font.ASCENT + 2) * scale), LABEL)
            self._write(text, pad + 3 * scale, text_top, scale)
            left = right
        clock = self.width - pad - font.text_width(_clock(self.total_s, self.total_s)) * scale
        if clock > left + pad:
            self._clock_at = (clock, text_top, scale)
            self._set_clock(0.0)
        return top

    def _draw_prompt(self, prompt: str, bottom: int) -> None:
        """The prompt on a dark panel, as large as it fits."""
        text = font.transliterate(prompt[:_MAX_PROMPT])
        text = "\n".join(line for line in (" ".join(part.split()) for part in text.split("\n")) if line)
        smallest = max(1, self._unit // 220)
        margin = self.width // 14
        space = self.width - 2 * margin, bottom - 2 * (bottom // 10)
        longest_word = max((font.text_width(word) for word in text.split()), default=0)
        for scale in range(max(smallest, self._unit // 100), smallest - 1, -1):
            pad, pitch = 6 * scale, (font.HEIGHT + 3) * scale
            columns = (space[0] - 2 * pad) // scale
            most = (space[1] - 2 * pad + 5 * scale) // pitch
            lines, complete = font.wrap(text, columns, most) if columns >= 16 and most >= 1 else ([], False)
            if complete and longest_word <= columns:  # only the smallest letters may break a word
                break
        if not any(lines):
            return
        wide = max(font.text_width(line) for line in lines) * scale + 2 * pad
        high = len(lines) * pitch - 5 * scale + 2 * pad
        left, top = (self.width - wide) // 2, max(0, (bottom - high) // 2)
        # The panel ends with a macroblock where it can: each one on its edge is stored raw. The text stays centred.
        right, under = (-(-edge // MB) * MB for edge in (left + wide, top + high))
        panel = (left // MB * MB, top // MB * MB, min(self.width, right), min(under, bottom))
        self._fill(panel, PANEL)
        left, top = (panel[0] + panel[2] - wide) // 2, (panel[1] + panel[3] - high) // 2
        for number, line in enumerate(lines):
            self._write(line, left + pad, top + pad + number * pitch, scale)

    # -- what moves --- --

    def advance(self, progress: float) -> list[Rect]:
        """Show `progress` (0..1); returns the rectangles that changed."""
        changed: list[Rect] = []
        x = round(min(1.0, max(0.0, progress)) * self.width)
        if self._bar and x != self._bar_x:
            line = bytes((FILL,)) * x + bytes((TRACK,)) * (self.width - x)
            for y in self._bar:
                self._lines[y] = line
            changed.append((min(x, self._bar_x), self._bar.start, max(x, self._bar_x), self._bar.stop))
            self._bar_x = x
        changed += self._set_clock(progress * self.total_s)
        if self._planes is not None:
            for _, top, _, bottom in changed:
                self._compile(range(top & ~1, bottom + 1 & ~1))
        return changed

    def _set_clock(self, seconds: float) -> list[Rect]:
        text = _clock(seconds, self.total_s)
        if self._clock_at is None or text == self._clock_text:
            return []
        left, top, scale = self._clock_at
        # Digits are equally wide, so only those that differ are drawn again.
        before, self._clock_text = self._clock_text, text
        if not before:
            self._write(text, left, top, scale)
            return []
        differ = [i for i, (a, b) in enumerate(zip(text, before, strict=True)) if a != b]
        same, stop = differ[0], differ[-1] + 1
        start_x = left + (font.text_width(text[:same]) + font.GAP if same else 0) * scale
        rect = (start_x, top, left + font.text_width(text[:stop]) * scale, top + font.HEIGHT * scale)
        for y in range(rect[1], rect[3]):
            line = self._lines[y]
            clean = line[rect[0] : rect[2]].translate(_WITHOUT_INK)
            self._lines[y] = line[: rect[0]] + clean + line[rect[2] :]
        self._write(text[same:stop], start_x, top, scale)
        return [rect]

    # -- drawing --- --

    def _fill(self, rect: Rect, layer: int) -> None:
        """Add a layer to a rectangle."""
        left, top, right, bottom = rect
        table = bytes(i | layer for i in range(256))
        for y in range(max(0, top), min(self.height, bottom)):
            line = self._lines[y]
            self._lines[y] = line[:left] + line[left:right].translate(table) + line[right:]

    def _paint(self, rect: Rect, value: int) -> None:
        """Replace what is in a rectangle, corners rounded by a pixel or more."""
        left, top, right, bottom = rect
        for y in range(max(0, top), min(self.height, bottom)):
            edge = max(0, (bottom - top) // 9 - min(y - top, bottom - 1 - y))
            line = self._lines[y]
            a, b = left + edge, min(self.width, right - edge)
            self._lines[y] = line[:a] + bytes((value,)) * (b - a) + line[b:]

    def _write(self, text: str, left: int, top: int, scale: int) -> None:
        assert 0 <= left < self.width
        glyphs = [font.raster(char, scale) for char in text]
        for row in range(font.HEIGHT * scale):
            y = top + row
            ink = b"".join([glyph[row] for glyph in glyphs])[: self.width - left].translate(_INK)
            if 0 <= y < self.height and any(ink):
                line = self._lines[y]
                below = int.from_bytes(line[left : left + len(ink)], "big")
                merged = (below | int.from_bytes(ink, "big")).to_bytes(len(ink), "big")
                self._lines[y] = line[:left] + merged + line[left + len(ink) :]

    # -- colours --- --

    def planes(self) -> Planes:
        """The frame as YCbCr 4:2:0, padded to whole macroblocks; the same object is kept up to date by `advance`."""
        if self._planes is None:
            lines, half = [b""] * self.height, [b""] * (self.height // 2)
            self._planes = Planes(lines, half, list(half))
            self._compile(range(self.height))
            for rows, share in ((self._planes.y, 1), (self._planes.cb, 2), (self._planes.cr, 2)):
                rows.extend(rows[-1:] * (-self.height % MB // share))
        return self._planes

    def _compile(self, rows: range) -> None:
        """Bring pairs of rows of the planes up to date. Chroma is that of the upper left of four pixels."""
        assert self._planes is not None
        pad = -self.width % MB
        for y in range(rows.start, rows.stop, 2):
            upper, lower = self._lines[y], self._lines[y + 1]
            luma, cb, cr = self._palette.tables(y, set(upper) | set(lower), "ycbcr")
            self._planes.y[y] = _pad(upper.translate(luma), pad)
            self._planes.y[y + 1] = _pad(lower.translate(luma), pad)
            half = upper[::2]
            self._planes.cb[y // 2] = _pad(half.translate(cb), pad // 2)
            self._planes.cr[y // 2] = _pad(half.translate(cr), pad // 2)

    def rgb_rows(self) -> list[bytes]:
        """The frame as rows of RGB pixels."""
        rows: list[bytes] = []
        for y, line in enumerate(self._lines):
            if y and y % 2 and line == self._lines[y - 1]:
                rows.append(rows[-1])
                continue
            row = bytearray(3 * self.width)
            for channel, table in enumerate(self._palette.tables(y, set(line), "rgb")):
                row[channel::3] = line.translate(table)
            rows.append(bytes(row))
        return rows


_WITHOUT_INK = bytes(i & ~(INK | HALF_INK) for i in range(256))


def _clock(seconds: float, total: float) -> str:
    def text(value: int) -> str:
        return f"{value // 60:02d}:{value % 60:02d}"

    whole = max(1, round(total))
    return f"{text(whole if seconds >= total else min(whole, int(seconds + 1e-6)))} / {text(whole)}"


def _pad(row: bytes, count: int) -> bytes:
    return row + row[-1:] * count if count else row


def _landscape(digest: bytes, width: int, height: int) -> list[bytes]:
    """Sky with a sun, three ranges of hills."""
    unit = min(width, height)
    amplitude = min(250, unit // 5)
    layers: list[tuple[int, int, bytes]] = []  # layer, top line, depth of the crest below it per column
    for number, layer in enumerate((FAR, MIDDLE, NEAR)):
        a, b, c = (value / 255 for value in digest[8 + 3 * number : 11 + 3 * number])
        waves = ((1.3 + a + number * 0.4, a), (3.1 + 2 * b, b), (7.3 + 3 * c, c))
        sizes = (0.5, 0.32, 0.1)
        crest = bytearray()
        for x in range(width):
            t = math.tau * x / max(unit, width // 2)
            h = sum(
                size * math.sin(t * speed / 2 + math.tau * phase)
                for size, (speed, phase) in zip(sizes, waves, strict=True)
            )
            crest.append(round((h + 0.92) / 1.84 * amplitude))
        layers.append((layer, height * (50 + 14 * number) // 100, bytes(crest)))
    radius = unit * (10 + digest[20] % 5) // 100
    sun_x = width * (20 + digest[21] % 61) // 100
    sun_y = height * (18 + digest[22] % 16) // 100
    lines: list[bytes] = []
    for y in range(height):
        glow, sun = (_half_chord(r, y - sun_y) for r in (radius * 8 // 5, radius))
        line = _spans(width, ((sun_x - glow, GLOW), (sun_x - sun, GLOW | SUN), (sun_x + sun, GLOW), (sun_x + glow, 0)))
        for layer, top, crest_depths in layers:
            depth = y - top
            if depth < 0:
                continue
            if depth >= amplitude:
                shape = bytes((layer,)) * width
            else:
                shape = crest_depths.translate(bytes((layer,)) * (depth + 1) + bytes(255 - depth))
            line = (int.from_bytes(line, "big") | int.from_bytes(shape, "big")).to_bytes(width, "big")
        lines.append(line)
    return lines


def _half_chord(radius: int, distance: int) -> int:
    return math.isqrt(radius * radius - distance * distance) if abs(distance) < radius else 0


def _spans(width: int, changes: tuple[tuple[int, int], ...]) -> bytes:
    """A line that starts with 0 and takes a new value at each column."""
    parts: list[bytes] = []
    before, value = 0, 0
    for column, following in changes:
        column = min(width, max(before, column))
        parts.append(bytes((value,)) * (column - before))
        before, value = column, following
    return b"".join(parts) + bytes((value,)) * (width - before)


class _Palette:
    """Colours by line: pairs of lines share theirs, since chroma has half the lines."""

    def __init__(self, digest: bytes, height: int) -> None:
        self._height = height
        hue = 0.50 + digest[0] / 256 * 0.56  # cyan, blue, violet, red to orange: a green sky looks ill
        shift = (0.08 + digest[1] / 256 * 0.14) * (1 if digest[2] & 1 else -1)
        self._sky = _hls(hue, 0.30, 0.62), _hls(hue + shift, 0.74, 0.72)
        self._hills = {
            FAR: (_hls(hue + shift * 0.8, 0.52, 0.36), _hls(hue + shift * 0.7, 0.44, 0.36)),
            MIDDLE: (_hls(hue + shift * 0.4, 0.36, 0.42), _hls(hue + shift * 0.3, 0.28, 0.42)),
            NEAR: (_hls(hue, 0.22, 0.46), _hls(hue - shift * 0.2, 0.12, 0.46)),
        }
        self._sun = _hls(0.09 + digest[3] / 256 * 0.06, 0.80, 0.95)
        accent = 0.02 + digest[4] / 256 * 0.05
        self._fixed = {
            TRACK: _hls(hue, 0.16, 0.15),
            FILL: _hls(accent, 0.56, 0.88),
            LABEL: _hls(accent - 0.015, 0.45, 0.75),
        }
        self._tables: dict[tuple[int, str], tuple[set[int], list[bytearray]]] = {}

    def _colour(self, line: int, value: int) -> Colour:
        what = value & 31
        colour = self._fixed[what] if what in self._fixed else self._scene(line / self._height, what)
        if value & PANEL:
            colour = _mix(colour, (0.03, 0.04, 0.07), 0.66)
        if value & INK:
            return (0.97, 0.97, 0.96)
        return _mix(colour, (0.97, 0.97, 0.96), 0.5) if value & HALF_INK else colour

    def _scene(self, depth: float, what: int) -> Colour:
        for layer, top in ((NEAR, 0.78), (MIDDLE, 0.64), (FAR, 0.5)):
            if what & layer:
                return _mix(*self._hills[layer], min(1.0, max(0.0, (depth - top) / (1.0 - top))))
        sky = _mix(*self._sky, min(1.0, depth / 0.7))
        if what & GLOW:
            return _mix(sky, self._sun, 0.92 if what & SUN else 0.22)
        return sky

    def tables(self, line: int, values: set[int], space: str) -> list[bytearray]:
        """Translation tables that know `values`: for red, green and blue (rgb), or for BT.709 luma and chroma in their
        limited range (ycbcr).
        """
        line &= ~1
        entry = self._tables.get((line, space))
        if entry is None:
            entry = self._tables[line, space] = (set(), [bytearray(256) for _ in range(3)])
        known, tables = entry
        for value in values - known:
            r, g, b = self._colour(line, value)
            if space == "rgb":
                colour = (round(r * 255), round(g * 255), round(b * 255))
            else:
                luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
                colour = (
                    round(16 + 219 * luma),
                    round(128 + 224 * (b - luma) / 1.8556),
                    round(128 + 224 * (r - luma) / 1.5748),
                )
            for table, sample in zip(tables, colour, strict=True):
                table[value] = sample
            known.add(value)
        return tables


def _hls(hue: float, lightness: float, saturation: float) -> Colour:
    return colorsys.hls_to_rgb(hue % 1.0, lightness, saturation)


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share
