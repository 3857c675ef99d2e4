"""The report's charts as inline SVG, coloured by the page's style sheet; and pictures as PNG."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np

from warpmeans._pictures import common_power, number, superscript

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 74, 14, 12, 46


class Axes:
    """One chart: linear axes with labels, and marks in data coordinates."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        labels: tuple[str, str],
        *,
        title: str,
        height: int = HEIGHT,
        ticks: bool = True,
        whole: tuple[bool, bool] = (False, False),
    ):
        self.x, self.y, self.title, self.height = x, y, title, height
        self.frame: list[str] = []
        self.marks: list[str] = []
        self._name_axes(labels)
        for value, text in _ticks(*x, whole=whole[0]) if ticks else []:
            self.frame.append(_text(self.at_x(value), height - BOTTOM + 17, "tick middle", text))
        for value, text in _ticks(*y, whole=whole[1]):
            at = self.at_y(value)
            self.frame.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'
            )
            self.frame.append(_text(LEFT - 8, at + 4, "tick end", text))

    def at_x(self, value: float) -> float:
        low, high = self.x
        return round(LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def at_y(self, value: float) -> float:
        low, high = self.y
        up = (value - low) / (high - low) * (self.height - TOP - BOTTOM)
        return round(self.height - BOTTOM - up, 1)

    def _name_axes(self, labels: tuple[str, str]) -> None:
        across, along = (
            label + (f", ×10{superscript(power)}" if (power := common_power(*limits)) else "")
            for label, limits in zip(labels, (self.x, self.y), strict=True)
        )
        middle = (TOP + self.height - BOTTOM) / 2
        turned = f' transform="rotate(-90 15 {middle})"'
        self.frame += [
            _text((LEFT + WIDTH - RIGHT) / 2, self.height - 8, "name middle", across),
            _text(15, middle, "name middle", along, turned),
        ]

    def bar(self, x: float, height: float, title: str) -> None:
        top, left, right = self.at_y(height), self.at_x(x - 0.4), self.at_x(x + 0.4)
        self.marks.append(
            f'<rect class="mark" x="{left}" y="{top}" width="{right - left:.1f}"'
            f' height="{self.height - BOTTOM - top:.1f}"><title>{escape(title)}</title></rect>'
        )

    def steps(self, heights: Sequence[float]) -> None:
        """Bars at 0, 1, ... without gaps, as one shape."""
        corners = " ".join(
            f"{self.at_x(i - 0.5)},{top} {self.at_x(i + 0.5)},{top}"
            for i, top in enumerate(map(self.at_y, heights))
        )
        floor = self.at_y(0)
        right = self.at_x(len(heights) - 0.5)
        self.marks.append(
            f'<polygon class="mark" points="{LEFT},{floor} {corners} {right},{floor}"/>'
        )

    def circle(self, x: float, y: float, radius: float, css: str, title: str = "") -> None:
        self.marks.append(
            f'<circle class="{css}" cx="{self.at_x(x)}" cy="{self.at_y(y)}" r="{radius:.1f}"'
            + (f"><title>{escape(title)}</title></circle>" if title else "/>")
        )

    def line(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        points = " ".join(f"{self.at_x(x)},{self.at_y(y)}" for x, y in zip(xs, ys, strict=True))
        self.marks.append(f'<polyline class="line" points="{points}"/>')

    def level(self, y: float) -> None:
        at = self.at_y(y)
        self.marks.append(
            f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'
        )

    def text(self, x: float, y: float, label: str, css: str, down: float = 4) -> None:
        self.marks.append(_text(self.at_x(x), self.at_y(y) + down, css, label))

    def svg(self) -> str:
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" '
            f'aria-label="{escape(self.title)}">'
            f"{''.join(self.frame)}{''.join(self.marks)}</svg>"
        )


def _text(x: float, y: float, css: str, text: str, more: str = "") -> str:
    return f'<text class="{css}" x="{x}" y="{y}"{more}>{escape(text)}</text>'


def _ticks(low: float, high: float, *, whole: bool) -> list[tuple[float, str]]:
    """About five round values in [low, high], 1, 2 or 5 times a power of ten apart; their texts."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.75)
    step = max(1.0, step) if whole else step
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    unit = 10.0 ** common_power(low, high)
    return [(i * step, number(i * (step / unit))) for i in range(first, last + 1)]


def padded(values: np.ndarray, share: float = 0.05) -> tuple[float, float]:
    """A range around the values that is never empty."""
    low, high = float(np.min(values)), float(np.max(values))
    pad = share * (high - low) or max(abs(high), 1.0) * share
    return low - pad, high + pad


def png(pixels: np.ndarray) -> str:
    """A data: address of the picture (rows, columns) or (rows, columns, 3) of uint8."""
    rows, columns = pixels.shape[:2]
    colour_type = 0 if pixels.ndim == 2 else 2
    lines = np.zeros((rows, 1 + pixels[0].size), np.uint8)  # a filter byte, 0: none
    lines[:, 1:] = pixels.reshape(rows, -1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    file = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, colour_type, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(file).decode()
