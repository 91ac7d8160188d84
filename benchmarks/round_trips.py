"""The figures of round trips, and their picture: error over model calls."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from ..core.plot import INK, PAPER, SHARPNESS, Panel

STOCK = "FlipSigmas + euler"
COLORS = {
    STOCK: "#22262b", "ddim": "#e69f00", "corrected": "#0072b2", "corrected 1": "#7b5ea7", "exact": "#009e73",
    "pinned": "#cc79a7", "noise_maps": "#d55e00", "fireflow": "#56b4e9", "leapfrog": "#8a8f98",
    "multistep": "#a6761d", "res_2m": "#b2abd2",
    "RES4LYF res_2m": "#66a61e", "RES4LYF res_3m": "#e7298a",
}  # fmt: skip
FLOOR, CEILING = 1e-12, 10.0  # of the plot


@dataclass(frozen=True)
class Figure:
    """One round trip. error: latent MSE in the model's space; calls: of the model, up and down together."""

    steps: int
    error: float
    calls: int


Curves = dict[str, list[Figure]]
"""The figures of each method, over rising steps."""


def plot(measured: dict[tuple[str, float], Curves]) -> Image.Image:
    """Error over calls, a panel for each family and cfg."""
    image = Image.new("RGB", (1280 * SHARPNESS, 1060 * SHARPNESS), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((72, 52), "What comes back from an inversion", INK, ImageFont.load_default(68))
    shown = {name for curves in measured.values() for name in curves}
    for index, name in enumerate(one for one in COLORS if one in shown):
        x, y = 72 + 500 * (index % 5), 160 + 56 * (index // 5)
        draw.ellipse((x, y + 12, x + 24, y + 36), COLORS[name])
        draw.text((x + 44, y), name, COLORS[name], ImageFont.load_default(38))
    for index, ((family, cfg), curves) in enumerate(measured.items()):
        left, top = 200 + 1280 * (index % 2), 460 + 900 * (index // 2)
        _draw_curves(draw, (left, top, left + 1010, top + 600), f"{family}, cfg {cfg:g}", curves)
    return image.reduce(SHARPNESS)


def _draw_curves(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], title: str, curves: Curves) -> None:
    calls = [figure.calls for figures in curves.values() for figure in figures]
    x = math.log10(min(calls) / 1.2), math.log10(max(calls) * 1.2)
    panel = Panel(draw, box, x, (math.log10(FLOOR), math.log10(CEILING)))
    panel.title(title, f"mean square error of the latent; what lies on {FLOOR:g} comes back to rounding")
    panel.y_axis(range(-12, 2, 2), lambda power: f"1e{power:g}" if power else "1")
    for tick in (20, 50, 100, 200, 400):
        if x[0] <= math.log10(tick) <= x[1]:
            panel.x_label(math.log10(tick), str(tick))
    panel.x_name("model calls, up and down")
    for name, figures in curves.items():
        points = [panel.at(math.log10(one.calls), math.log10(max(one.error, FLOOR))) for one in figures]
        draw.line(points, COLORS[name], 7, joint="curve")
        for across, down in points:
            draw.ellipse((across - 10, down - 10, across + 10, down + 10), COLORS[name])
