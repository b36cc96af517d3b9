"""A bitmap font drawn for this project: printable ASCII, an ellipsis, and a box for everything else.

A glyph is nine pixels high (seven above the base line, two below) and as wide as it needs to be.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

HEIGHT = 9
ASCENT = 7  # height of a capital letter
GAP = 1  # between two glyphs
ELLIPSIS = "\u2026"
BOX = "\ufffd"

# Glyphs in code order, sixteen at a time, with the ellipsis and the box at the end.
_ART = """
...  #  #.#  .#.#.  ..#..  ##..#  .##..  #  ..#  #..  .....  .....  ..  ....  .  ....#
...  #  #.#  .#.#.  .####  ##..#  #..#.  #  .#.  .#.  ..#..  ..#..  ..  ....  .  ...#.
...  #  ...  #####  #.#..  ...#.  #.#..  .  #..  ..#  #.#.#  ..#..  ..  ....  .  ...#.
...  #  ...  .#.#.  .###.  ..#..  .#...  .  #..  ..#  .###.  #####  ..  ####  .  ..#..
...  #  ...  #####  ..#.#  .#...  #.#.#  .  #..  ..#  #.#.#  ..#..  ..  ....  .  .#...
...  .  ...  .#.#.  ####.  #..##  #..#.  .  .#.  .#.  ..#..  ..#..  .#  ....  .  .#...
...  #  ...  .#.#.  ..#..  #..##  .##.#  .  ..#  #..  .....  .....  .#  ....  #  #....
...  .  ...  .....  .....  .....  .....  .  ...  ...  .....  .....  #.  ....  .  .....
...  .  ...  .....  .....  .....  .....  .  ...  ...  .....  .....  ..  ....  .  .....

.###.  ..#..  .###.  .###.  ...#.  #####  ..##.  #####  .###.  .###.  .  ..  ...#  ....  #...  .###.
#...#  .##..  #...#  #...#  ..##.  #....  .#...  ....#  #...#  #...#  .  ..  ..#.  ....  .#..  #...#
#..##  ..#..  ....#  ....#  .#.#.  ####.  #....  ...#.  #...#  #...#  .  ..  .#..  ####  ..#.  ....#
#.#.#  ..#..  ...#.  ..##.  #..#.  ....#  ####.  ..#..  .###.  .####  #  .#  #...  ....  ...#  ...#.
##..#  ..#..  ..#..  ....#  #####  ....#  #...#  ..#..  #...#  ....#  .  ..  .#..  ####  ..#.  ..#..
#...#  ..#..  .#...  #...#  ...#.  #...#  #...#  .#...  #...#  ...#.  .  ..  ..#.  ....  .#..  .....
.###.  .###.  #####  .###.  ...#.  .###.  .###.  .#...  .###.  .##..  #  .#  ...#  ....  #...  ..#..
.....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .  .#  ....  ....  ....  .....
.....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .  #.  ....  ....  ....  .....

.###.  .###.  ####.  .###.  ####.  #####  #####  .###.  #...#  ###  ...#  #...#  #....  #.....#  #...#  .###.
#...#  #...#  #...#  #...#  #...#  #....  #....  #...#  #...#  .#.  ...#  #..#.  #....  ##...##  ##..#  #...#
#.###  #...#  #...#  #....  #...#  #....  #....  #....  #...#  .#.  ...#  #.#..  #....  #.#.#.#  ##..#  #...#
#.#.#  #####  ####.  #....  #...#  ####.  ####.  #.###  #####  .#.  ...#  ##...  #....  #..#..#  #.#.#  #...#
#.###  #...#  #...#  #....  #...#  #....  #....  #...#  #...#  .#.  ...#  #.#..  #....  #.....#  #..##  #...#
#....  #...#  #...#  #...#  #...#  #....  #....  #...#  #...#  .#.  #..#  #..#.  #....  #.....#  #..##  #...#
.###.  #...#  ####.  .###.  ####.  #####  #....  .####  #...#  ###  .##.  #...#  #####  #.....#  #...#  .###.
.....  .....  .....  .....  .....  .....  .....  .....  .....  ...  ....  .....  .....  .......  .....  .....
.....  .....  .....  .....  .....  .....  .....  .....  .....  ...  ....  .....  .....  .......  .....  .....

####.  .###.  ####.  .###.  #####  #...#  #...#  #.....#  #...#  #...#  #####  ###  #....  ###  ..#..  .....
#...#  #...#  #...#  #...#  ..#..  #...#  #...#  #.....#  #...#  #...#  ....#  #..  .#...  ..#  .#.#.  .....
#...#  #...#  #...#  #....  ..#..  #...#  #...#  #.....#  .#.#.  .#.#.  ...#.  #..  .#...  ..#  #...#  .....
####.  #...#  ####.  .###.  ..#..  #...#  .#.#.  #..#..#  ..#..  ..#..  ..#..  #..  ..#..  ..#  .....  .....
#....  #.#.#  #.#..  ....#  ..#..  #...#  .#.#.  #.#.#.#  .#.#.  ..#..  .#...  #..  ...#.  ..#  .....  .....
#....  #..#.  #..#.  #...#  ..#..  #...#  ..#..  ##...##  #...#  ..#..  #....  #..  ...#.  ..#  .....  .....
#....  .##.#  #...#  .###.  ..#..  .###.  ..#..  #.....#  #...#  ..#..  #####  ###  ....#  ###  .....  .....
.....  .....  .....  .....  .....  .....  .....  .......  .....  .....  .....  ...  .....  ...  .....  #####
.....  .....  .....  .....  .....  .....  .....  .......  .....  .....  .....  ...  .....  ...  .....  .....

#.  ....  #...  ....  ...#  ....  ..##  ....  #...  #  .#  #...  #.  .......  ....  ....
.#  ....  #...  ....  ...#  ....  .#..  ....  #...  .  ..  #...  #.  .......  ....  ....
..  .##.  ###.  .###  .###  .##.  ####  .###  ###.  #  .#  #..#  #.  ######.  ###.  .##.
..  ...#  #..#  #...  #..#  #..#  .#..  #..#  #..#  #  .#  #.#.  #.  #..#..#  #..#  #..#
..  .###  #..#  #...  #..#  ####  .#..  #..#  #..#  #  .#  ##..  #.  #..#..#  #..#  #..#
..  #..#  #..#  #...  #..#  #...  .#..  #..#  #..#  #  .#  #.#.  #.  #..#..#  #..#  #..#
..  .###  ###.  .###  .###  .###  .#..  .###  #..#  #  .#  #..#  .#  #..#..#  #..#  .##.
..  ....  ....  ....  ....  ....  ....  ...#  ....  .  .#  ....  ..  .......  ....  ....
..  ....  ....  ....  ....  ....  ....  .##.  ....  .  #.  ....  ..  .......  ....  ....

....  ....  ...  ....  .#.  ....  .....  .......  .....  ....  ....  ..#  #  #..  .....  .....  #####
....  ....  ...  ....  .#.  ....  .....  .......  .....  ....  ....  .#.  #  .#.  .....  .....  #...#
###.  .###  #.#  .###  ###  #..#  #...#  #..#..#  #...#  #..#  ####  .#.  #  .#.  .....  .....  #...#
#..#  #..#  ##.  #...  .#.  #..#  #...#  #..#..#  .#.#.  #..#  ...#  #..  #  ..#  .#..#  .....  #...#
#..#  #..#  #..  .##.  .#.  #..#  .#.#.  #..#..#  ..#..  #..#  .##.  .#.  #  .#.  #.##.  .....  #...#
#..#  #..#  #..  ...#  .#.  #..#  .#.#.  #..#..#  .#.#.  #..#  #...  .#.  #  .#.  .....  .....  #...#
###.  .###  #..  ###.  ..#  .###  ..#..  .##.##.  #...#  .###  ####  ..#  #  #..  .....  #.#.#  #####
#...  ...#  ...  ....  ...  ....  .....  .......  .....  ...#  ....  ...  #  ...  .....  .....  .....
#...  ...#  ...  ....  ...  ....  .....  .......  .....  .##.  ....  ...  #  ...  .....  .....  .....
"""

# What unicodedata cannot take apart into ASCII.
_PLAIN = str.maketrans({
    "\u00ab": "<<", "\u00bb": ">>", "\u2039": "<", "\u203a": ">", "\u300a": "<<", "\u300b": ">>",
    "\u2018": "'", "\u2019": "'", "\u201a": ",", "\u201c": '"', "\u201d": '"', "\u201e": '"',
    "\u00c6": "AE", "\u00e6": "ae", "\u00d0": "D", "\u00f0": "d", "\u0110": "D", "\u0111": "d", "\u00d8": "O",
    "\u00f8": "o", "\u0152": "OE", "\u0153": "oe", "\u00de": "Th", "\u00fe": "th", "\u00df": "ss", "\u1e9e": "SS",
    "\u0131": "i", "\u0141": "L", "\u0142": "l",
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2015": "-", "\u2212": "-",
    "\u00d7": "x", "\u2022": "*", "\u2044": "/", "\u20ac": "EUR", "\u2190": "<-", "\u2192": "->",
    "\u3001": ", ", "\u3002": ". ",
})  # fmt: skip


def _read_art() -> dict[str, tuple[str, ...]]:
    names = [chr(code) for code in range(32, 127)] + [ELLIPSIS, BOX]
    columns: list[tuple[str, ...]] = []
    for band in _ART.strip("\n").split("\n\n"):
        columns += zip(*(line.split() for line in band.split("\n")), strict=True)
    return dict(zip(names, columns, strict=True))


GLYPHS = _read_art()


def transliterate(text: str) -> str:
    """`text` in characters that the font has: accents dropped, look-alikes replaced, one BOX for each other character.

    White space and control characters become single spaces, new lines stay.
    """
    plain: list[str] = []
    taken_apart = unicodedata.normalize("NFKD", text.translate(_PLAIN)).translate(_PLAIN)
    for char in taken_apart.replace("...", ELLIPSIS):
        if char in GLYPHS or char == "\n":
            plain.append(char)
        elif char.isspace() or unicodedata.category(char) == "Cc":
            plain.append(" ")
        elif unicodedata.category(char) not in ("Mn", "Me", "Cf"):  # accents, joiners, variation selectors
            plain.append(BOX)
    return "".join(plain)


def text_width(text: str) -> int:
    """Width of transliterated text in font pixels."""
    return sum(len(GLYPHS[char][0]) + GAP for char in text) - GAP if text else 0


def cut(text: str, width: int) -> str:
    """`text` if it fits into `width` font pixels, else its start with an ellipsis."""
    return text if text_width(text) <= width else _with_ellipsis(text, width)


def wrap(text: str, width: int, max_lines: int) -> tuple[list[str], bool]:
    """Break transliterated text into lines of at most `width` font pixels; also whether all of it fits.

    What does not fit into `max_lines` is cut with an ellipsis; a word longer than a line is broken.
    """
    space = len(GLYPHS[" "][0]) + 2 * GAP
    lines: list[str] = []
    for paragraph in text.strip().split("\n"):
        line, used = "", 0
        for word in paragraph.split():
            wide = text_width(word)
            if line and used + space + wide <= width:
                line, used = f"{line} {word}", used + space + wide
                continue
            if line:
                lines.append(line)
            while wide > width and len(word) > 1 and len(lines) <= max_lines:
                fits, wide_start = 1, text_width(word[0])
                while (wide_start := wide_start + GAP + text_width(word[fits])) <= width:
                    fits += 1
                lines.append(word[:fits])
                word = word[fits:]
                wide = text_width(word)
            line, used = word, wide
            if len(lines) > max_lines:
                break
        lines.append(line)
        if len(lines) > max_lines:
            break
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        if lines:
            lines[-1] = _with_ellipsis(lines[-1], width)
        return lines, False
    return lines, True


def _with_ellipsis(text: str, width: int) -> str:
    while text and text_width(text.rstrip() + ELLIPSIS) > width:
        text = text[:-1]
    return text.rstrip() + ELLIPSIS


@lru_cache(maxsize=512)
def raster(char: str, scale: int) -> tuple[bytes, ...]:
    """A glyph `scale` times as large, GAP included, as HEIGHT * scale rows of ink: 0 none, 1 half, 2 full.

    Where two pixels touch only at a corner the corner is filled, so that diagonals and curves look smooth.
    """
    art = GLYPHS[char]
    width = len(art[0])

    def on(row: int, column: int) -> bool:
        return 0 <= row < HEIGHT and 0 <= column < width and art[row][column] == "#"

    rows: list[bytes] = []
    for row in range(HEIGHT):
        cells: list[tuple[bytes, ...]] = []
        for column in range(width):
            corners = 0
            if not on(row, column):
                for bit, (dy, dx) in enumerate(((-1, -1), (-1, 1), (1, -1), (1, 1))):
                    if on(row + dy, column) and on(row, column + dx) and not on(row + dy, column + dx):
                        corners |= 1 << bit
            cells.append(_cell(scale, on(row, column), corners))
        cells.append((bytes(GAP * scale),) * scale)
        rows += [b"".join(parts) for parts in zip(*cells, strict=True)]
    return tuple(rows)


@lru_cache(maxsize=512)
def _cell(scale: int, full: bool, corners: int) -> tuple[bytes, ...]:
    """One font pixel as `scale` rows; `corners` to fill are bits: top left, top right, bottom left, bottom right."""
    if full:
        return (b"\2" * scale,) * scale
    leg = (3 * scale + 2) // 4  # of the filled triangle; the whole side would make diagonals look bolder than stems
    cell = [bytearray(scale) for _ in range(scale)]
    for bit in range(4):
        if corners >> bit & 1:
            for y in range(scale):
                for x in range(scale):
                    away = (scale - 1 - y if bit & 2 else y) + (scale - 1 - x if bit & 1 else x)
                    ink = 2 if away < leg - 1 else 1 if away == leg - 1 and scale > 1 else 0
                    cell[y][x] = max(cell[y][x], ink)
    return tuple(bytes(row) for row in cell)
