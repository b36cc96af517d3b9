"""A small H.264 writer: constrained baseline, CAVLC, no transform, no motion search.

Four kinds of macroblock are enough for flat drawings (ITU-T H.264, section numbers in brackets):

* I_PCM: 384 raw samples; always possible, about 385 bytes [7.3.5];
* Intra_16x16 without residual, predicted from the left or from above: about nine bits for a flat area [8.3.3];
* P_Skip: unchanged since the frame before; a whole unchanged frame is a dozen bytes [8.4.1.1];
* I_PCM inside a P slice, for the few macroblocks that changed.

Samples are copied, never transformed, so the decoded picture equals the drawn one bit by bit; deblocking is off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

MB = 16  # luma samples along the side of a macroblock

# level_idc, macroblocks/s, macroblocks/frame, coded picture buffer in bits [table A-1]
_LEVELS = (
    (10, 1485, 99, 175_000),
    (11, 3000, 396, 500_000),
    (12, 6000, 396, 1_000_000),
    (13, 11880, 396, 2_000_000),
    (21, 19800, 792, 4_000_000),
    (22, 20250, 1620, 4_000_000),
    (30, 40500, 1620, 10_000_000),
    (31, 108_000, 3600, 14_000_000),
    (32, 216_000, 5120, 20_000_000),
    (40, 245_760, 8192, 25_000_000),
    (42, 522_240, 8704, 62_500_000),
    (50, 589_824, 22080, 135_000_000),
    (51, 983_040, 36864, 240_000_000),
    (52, 2_073_600, 36864, 240_000_000),
)

_NAL_SLICE, _NAL_IDR, _NAL_SPS, _NAL_PPS = 0x61, 0x65, 0x67, 0x68  # nal_ref_idc 3, nal_unit_type 1, 5, 7, 8
_LOG2_MAX_FRAME_NUM = 16

# Intra_16x16 without residual: mb_type, intra_chroma_pred_mode, mb_qp_delta 0. The coefficient token follows.
_PREDICT_ABOVE = "010" + "011" + "1"
_PREDICT_LEFT = "011" + "010" + "1"
# coeff_token "no coefficients" for nC < 2 and for nC >= 8; an I_PCM neighbour counts as 16, so nC is 0, 8 or 16 [9.2.1]
_TOKEN_FEW, _TOKEN_MANY = "1", "000011"


def unsigned_golomb(value: int) -> str:
    """ue(v) as a string of bits [9.1]."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def escape(payload: bytes) -> bytes:
    """Insert emulation prevention bytes [7.4.1]: no 00 00 00, 00 00 01, 00 00 02, 00 00 03 inside a NAL unit."""
    if b"\0\0" not in payload:
        return payload
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)


def _pack(bits: str) -> bytes:
    """Bits as bytes, filled up with zeros to a byte boundary."""
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


@dataclass
class Planes:
    """A 4:2:0 picture as rows of samples, padded to whole macroblocks (cb and cr: half the rows, half as long)."""

    y: list[bytes]
    cb: list[bytes]
    cr: list[bytes]


class _SliceWriter:
    """Collects the bits of a slice; I_PCM data starts at a byte boundary."""

    def __init__(self, header: str) -> None:
        self._bits = [header]
        self._parts: list[bytes] = []

    def bits(self, bits: str) -> None:
        self._bits.append(bits)

    def pcm(self, mb_type: str, samples: bytes) -> None:
        self._bits.append(mb_type)
        self._parts += (_pack("".join(self._bits)), samples)
        self._bits = []

    def nal(self, header: int) -> bytes:
        """The NAL unit behind its 4-byte length, as MP4 stores it."""
        self._parts.append(_pack("".join(self._bits) + "1"))  # rbsp_slice_trailing_bits
        payload = escape(b"".join(self._parts))
        return (len(payload) + 1).to_bytes(4, "big") + bytes((header,)) + payload


class Encoder:
    """Turns pictures of even sides into MP4 samples."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self.width, self.height, self.fps = width, height, fps
        self.columns, self.lines = -(-width // MB), -(-height // MB)
        self._shown: list[bytes] = []  # the macroblocks that the decoder shows after the last frame
        self._frame_num = 0
        self._key_frames = 0
        self._largest_sample = 0

    def key_frame(self, picture: Planes) -> bytes:
        """An IDR picture: everything anew."""
        # first_mb 0, I slice, PPS 0, frame_num, idr_pic_id, no dec_ref_pic_marking, qp delta 0, no deblocking
        self._frame_num = 0
        idr_id = unsigned_golomb(self._key_frames % 2)  # neighbouring IDR pictures must differ [7.4.3]
        self._key_frames += 1
        header = "1" + unsigned_golomb(7) + "1" + f"{0:0{_LOG2_MAX_FRAME_NUM}b}" + idr_id + "00" + "1" + "010"
        out = _SliceWriter(header)
        i_pcm = unsigned_golomb(25)
        above: Sequence[bytes] = ()
        raw_above = [False] * self.columns
        self._shown = []
        for line in range(self.lines):
            row = self._macroblocks(picture, line, 0, self.columns)
            raw_here: list[bool] = []
            for column, block in enumerate(row):
                if column and block == _extend_right(row[column - 1]):
                    mode = _PREDICT_LEFT
                elif above and block == _extend_down(above[column]):
                    mode = _PREDICT_ABOVE
                else:
                    out.pcm(i_pcm, block)
                    raw_here.append(True)
                    continue
                many = raw_above[column] or (column > 0 and raw_here[-1])
                out.bits(mode + (_TOKEN_MANY if many else _TOKEN_FEW))
                raw_here.append(False)
            self._shown += row
            above, raw_above = row, raw_here
        return self._sample(out.nal(_NAL_IDR))

    def delta_frame(self, picture: Planes, changed: Iterable[tuple[int, int, int, int]] = ()) -> bytes:
        """A P picture. `changed` lists rectangles (left, top, right, bottom) in pixels; nothing else is looked at."""
        self._frame_num = (self._frame_num + 1) % (1 << _LOG2_MAX_FRAME_NUM)
        blocks: dict[int, bytes] = {}
        for left, top, right, bottom in changed:
            first, last = left // MB, min(self.columns, -(-right // MB))
            for line in range(top // MB, min(self.lines, -(-bottom // MB))):
                for offset, block in enumerate(self._macroblocks(picture, line, first, last)):
                    address = line * self.columns + first + offset
                    if self._shown[address] != block:
                        blocks[address] = self._shown[address] = block
        # first_mb 0, P slice, PPS 0, frame_num, one reference as in the PPS, its usual order, sliding window,
        # qp delta 0, no deblocking
        header = "1" + unsigned_golomb(5) + "1" + f"{self._frame_num:0{_LOG2_MAX_FRAME_NUM}b}" + "000" + "1" + "010"
        out = _SliceWriter(header)
        i_pcm = unsigned_golomb(5 + 25)  # in a P slice the intra types come after the five inter types
        position = 0
        for address in sorted(blocks):
            out.pcm(unsigned_golomb(address - position) + i_pcm, blocks[address])
            position = address + 1
        if position < self.columns * self.lines:
            out.bits(unsigned_golomb(self.columns * self.lines - position))
        return self._sample(out.nal(_NAL_SLICE))

    def parameter_sets(self) -> tuple[bytes, bytes]:
        """SPS and PPS as NAL units without length. Ask after the last frame: the level depends on the largest one."""
        return bytes((_NAL_SPS,)) + escape(_pack(self._sps())), bytes((_NAL_PPS,)) + escape(_pack(_pps()))

    def _sample(self, sample: bytes) -> bytes:
        self._largest_sample = max(self._largest_sample, len(sample))
        return sample

    def _macroblocks(self, picture: Planes, line: int, first: int, last: int) -> list[bytes]:
        luma = picture.y[line * 16 : line * 16 + 16]
        chroma = picture.cb[line * 8 : line * 8 + 8], picture.cr[line * 8 : line * 8 + 8]
        join = b"".join
        blocks = []
        for x in range(first * 8, last * 8, 8):
            parts = [row[x * 2 : x * 2 + 16] for row in luma]
            parts += [row[x : x + 8] for row in chroma[0]]
            parts += [row[x : x + 8] for row in chroma[1]]
            blocks.append(join(parts))
        return blocks

    def _level(self) -> int:
        size = self.columns * self.lines
        for level, per_second, per_frame, buffer in _LEVELS:
            side = max(self.columns, self.lines) ** 2
            fits = size <= per_frame and side <= 8 * per_frame and size * self.fps <= per_second
            if fits and self._largest_sample * 8 <= buffer:
                return level
        return _LEVELS[-1][0]

    def _sps(self) -> str:
        crop_right = (self.columns * MB - self.width) // 2  # in chroma samples
        crop_bottom = (self.lines * MB - self.height) // 2
        ue = unsigned_golomb
        return "".join(
            (
                f"{66:08b}" + "11000000",  # baseline with constraint_set0 and 1: constrained baseline
                f"{self._level():08b}",
                ue(0),
                ue(_LOG2_MAX_FRAME_NUM - 4),
                ue(2),  # pic_order_cnt_type 2: output order is coding order
                ue(1) + "0",  # one reference frame, no gaps
                ue(self.columns - 1) + ue(self.lines - 1),
                "11",  # frames only, direct_8x8_inference
                "1" + ue(0) + ue(crop_right) + ue(0) + ue(crop_bottom) if crop_right or crop_bottom else "0",
                "1",  # VUI:
                "1" + f"{1:08b}" + "0",  # square pixels, no overscan
                "1" + "101" + "0" + "1" + f"{1:08b}" * 3,  # limited range, BT.709
                "0",
                "1" + f"{1:032b}" + f"{2 * self.fps:032b}" + "0",  # two ticks a frame; the last may last longer
                "000",  # no HRD, no pic_struct
                "1" + "1" + ue(0) * 4 + ue(0) + ue(1),  # nothing reordered, so a player need not wait
                "1",
            )
        )


def _pps() -> str:
    ue = unsigned_golomb
    # CAVLC, one slice group, one reference, no weighting, qp 26 (se 0), chroma qp offset 0, deblocking control on
    return ue(0) + ue(0) + "00" + ue(0) + ue(0) + ue(0) + "000" + "1" + "1" + "1" + "100" + "1"


def _extend_right(block: bytes) -> bytes:
    """What horizontal prediction makes of the macroblock to the left."""
    return _extended(block[15:256:16] + block[263:320:8] + block[327:384:8])


@lru_cache(maxsize=4096)  # a gradient repeats one column along a whole row of macroblocks
def _extended(column: bytes) -> bytes:
    return b"".join([column[i : i + 1] * (16 if i < 16 else 8) for i in range(32)])


def _extend_down(block: bytes) -> bytes:
    """What vertical prediction makes of the macroblock above."""
    return block[240:256] * 16 + block[312:320] * 8 + block[376:384] * 8
