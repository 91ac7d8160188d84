"""What strength does to a picture, drawn: signal to noise, executed steps, and the signal left on the way.

Drawn with Pillow alone. Its built-in font knows only ASCII, so the labels spell out what formulas would abbreviate.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .curve import LAYOUT_SHARE
from .schedule import (
    LAST_TIMESTEP,
    NoiseSchedule,
    Scheduler,
    StrengthSettings,
    start_sigma,
    strength_sigmas,
)

SIZE = (1280, 960)
SHARPNESS = 2  # drawn this much larger, then scaled down, so that lines and letters come out smooth
DECIBELS = (-45.0, 45.0)  # beyond this a picture is all noise, or clean, to the eye
TIMESTEPS = tuple(range(100, 1000, 100))

PAPER, INK, FAINT, GRID = "#fbfaf7", "#22262b", "#6c737c", "#dfe1e3"
CURVE, BARS, SIGNAL, WARNING = "#0072b2", "#d55e00", "#009e73", "#f6e7d8"


@dataclass(frozen=True)
class StrengthFigures:
    """The numbers behind the plot.

    strengths, decibels, steps: for each strength the signal-to-noise ratio at the start and the executed steps
    starts: for each strength the timestep at which its run starts, 0..999
    curve:  (strength, decibels) close together, for a smooth line
    signal: alpha-bar at TIMESTEPS, the share of signal power left there; (1 - sigma)^2 on flow models
    """

    strengths: list[float]
    decibels: list[float]
    steps: list[int]
    starts: list[float]
    curve: list[tuple[float, float]]
    signal: list[float]
    flow: bool

    @property
    def layout_lost(self) -> float | None:
        """The first strength of the curve at which the layout does not survive the noise; None if there is none."""
        lost = 20.0 * math.log10((1.0 - LAYOUT_SHARE) / LAYOUT_SHARE)
        return next((strength for strength, decibel in self.curve if decibel <= lost), None)


def strength_figures(
    schedule: NoiseSchedule, scheduler: Scheduler, settings: StrengthSettings, strengths: Sequence[float]
) -> StrengthFigures:
    """Work out what each strength means on a model; the strength in ``settings`` itself is not used."""
    measure = settings.measure
    plans = [strength_sigmas(schedule, scheduler, replace(settings, strength=strength)) for strength in strengths]
    decibels = [schedule.snr_db(plan.start_sigma) for plan in plans]
    curve = list(zip(strengths, decibels, strict=True))
    if measure != "steps":
        # These two measures know their first sigma without asking the scheduler, so a dense curve costs nothing.
        dense = np.linspace(0.0025, 1.0, 400).tolist()
        curve = [(at, schedule.snr_db(start_sigma(schedule, at, measure)[0])) for at in dense]
    levels = [start_sigma(schedule, timestep / LAST_TIMESTEP, "timestep")[0] for timestep in TIMESTEPS]
    signal = [(1 - sigma) ** 2 if schedule.flow else 1 / (1 + (sigma / schedule.spread) ** 2) for sigma in levels]
    starts = [schedule.timestep(plan.start_sigma) if plan.steps else 0.0 for plan in plans]
    steps = [plan.steps for plan in plans]
    return StrengthFigures(list(strengths), decibels, steps, starts, curve, signal, schedule.flow)


def draw_strengths(figures: StrengthFigures, caption: str) -> Image.Image:
    """The three panels as one picture of SIZE; `caption` says what they were worked out for."""
    width, height = (side * SHARPNESS for side in SIZE)
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((72, 52), "What strength means", INK, _font(68))
    draw.text((72, 142), caption, FAINT, _font(36))
    _draw_decibels(Panel(draw, (200, 370, 2490, 1020), (0.0, 1.0), DECIBELS), figures)
    _draw_runs(Panel(draw, (200, 1310, 1240, 1740), (LAST_TIMESTEP, 0.0), (0.0, len(figures.steps))), figures)
    _draw_signal(Panel(draw, (1480, 1310, 2490, 1740), (-0.5, len(TIMESTEPS) - 0.5), (0.0, 1.0)), figures)
    return image.reduce(SHARPNESS)


@dataclass(frozen=True)
class Panel:
    """A part of the picture with axes of its own.

    box:  left, top, right, bottom in pixels, without labels
    x, y: what the box spans, in the units of the data
    """

    draw: ImageDraw.ImageDraw
    box: tuple[int, int, int, int]
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a data point; values beyond the y axis stop at its ends."""
        left, top, right, bottom = self.box
        y = min(max(y, self.y[0]), self.y[1])
        across, up = (x - self.x[0]) / (self.x[1] - self.x[0]), (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * (right - left), bottom - up * (bottom - top)

    def title(self, text: str, detail: str) -> None:
        """A heading above the box and a line that explains it."""
        self.draw.text((self.box[0] - 128, self.box[1] - 144), text, INK, _font(44))
        self.draw.text((self.box[0] - 128, self.box[1] - 86), detail, FAINT, _font(32))

    def y_axis(self, ticks: Sequence[float], name: Callable[[float], str]) -> None:
        """Horizontal lines with their values."""
        for tick in ticks:
            left, level = self.at(self.x[0], tick)
            self.draw.line((left, level, self.box[2], level), GRID, 3)
            self.draw.text((left - 20, level), name(tick), FAINT, _font(32), anchor="rm")

    def x_label(self, x: float, text: str) -> None:
        """A value below the box."""
        self.draw.text((self.at(x, self.y[0])[0], self.box[3] + 18), text, FAINT, _font(32), anchor="mt")

    def x_name(self, text: str) -> None:
        """What the horizontal axis is."""
        self.draw.text(((self.box[0] + self.box[2]) / 2, self.box[3] + 70), text, INK, _font(34), anchor="mt")

    def bar(self, x: float, y: float, color: str, text: str) -> None:
        """A bar from zero with its value on top."""
        left, top = self.at(x - 0.36, y)
        right, bottom = self.at(x + 0.36, 0.0)
        self.draw.rounded_rectangle((left, min(top, bottom - 4), right, bottom), 8, color)
        self.draw.text(((left + right) / 2, top - 12), text, INK, _font(32), anchor="mb")


def _draw_decibels(panel: Panel, figures: StrengthFigures) -> None:
    """Signal to noise over strength: a line with a labeled dot at each strength that was asked for."""
    panel.title(
        "How much of the picture is left at the start", "signal to noise in decibel; 0 dB is as much noise as picture"
    )
    top = panel.at(0.0, panel.y[1])[1]
    if figures.layout_lost is not None:
        panel.draw.rectangle((panel.at(figures.layout_lost, 0.0)[0], top, *panel.box[2:]), WARNING)
        panel.draw.text((panel.box[2] - 24, top + 56), "expect a new layout", BARS, _font(32), anchor="rt")
    panel.y_axis([-40, -20, 0, 20, 40], lambda tick: f"{tick:+.0f} dB" if tick else "0 dB")
    line = [panel.at(strength, decibel) for strength, decibel in figures.curve if abs(decibel) < panel.y[1]]
    panel.draw.line(line, CURVE, 9, joint="curve")
    for strength, decibel in _spread(list(zip(figures.strengths, figures.decibels, strict=True))):
        x, y = panel.at(strength, decibel)
        panel.draw.ellipse((x - 15, y - 15, x + 15, y + 15), PAPER, CURVE, 8)
        _label_dot(panel.draw, x, y, strength, decibel)
        panel.x_label(strength, f"{strength:g}")
    panel.x_name("strength")


def _label_dot(draw: ImageDraw.ImageDraw, x: float, y: float, strength: float, decibel: float) -> None:
    """The value of a dot beside it, clear of the falling line: right above, or left below near the right edge."""
    if decibel == math.inf:
        draw.text((x + 28, y - 8), "no noise", INK, _font(34), anchor="lb")
    elif decibel == -math.inf:
        draw.text((x - 70, y - 6), "all noise", INK, _font(34), anchor="rb")
    elif strength > 0.95:
        draw.text((x - 28, y + 10), f"{decibel:+.1f}", INK, _font(34), anchor="rt")
    else:
        draw.text((x + 28, y - 8), f"{decibel:+.1f}", INK, _font(34), anchor="lb")


def _draw_runs(panel: Panel, figures: StrengthFigures) -> None:
    """A row per strength, as long as the whole schedule: what its run skips of it, and what it executes."""
    panel.title("Where each run starts", "for each strength: its part of the schedule, and its steps")
    labeled = [index for index, _ in _spread(list(enumerate(figures.steps)))]
    for index, (start, steps) in enumerate(zip(figures.starts, figures.steps, strict=True)):
        skipped, run = (panel.at(timestep, index + 0.86) for timestep in (LAST_TIMESTEP, start))
        right, bottom = panel.at(0.0, index + 0.14)
        panel.draw.rectangle((*skipped, right, bottom), GRID)
        if steps:
            panel.draw.rectangle((*run, right, bottom), BARS)
        if index in labeled:
            middle = (skipped[1] + bottom) / 2
            panel.draw.text((skipped[0] - 20, middle), f"{figures.strengths[index]:g}", FAINT, _font(32), anchor="rm")
            panel.draw.text((right + 16, middle), str(steps), INK, _font(32), anchor="lm")
    for timestep in (0, 250, 500, 750, 1000):
        panel.x_label(min(timestep, LAST_TIMESTEP), str(timestep))
    panel.x_name("timestep t of 1000, from noise to picture")


def _draw_signal(panel: Panel, figures: StrengthFigures) -> None:
    """A bar per timestep: the share of signal power left there."""
    formula = "(1 - sigma) squared, the flow model's alpha-bar" if figures.flow else "alpha-bar of this model"
    panel.title("Signal left at each timestep", formula)
    panel.y_axis([0, 0.25, 0.5, 0.75, 1], lambda tick: f"{tick:g}")
    for index, (timestep, share) in enumerate(zip(TIMESTEPS, figures.signal, strict=True)):
        panel.bar(index, share, SIGNAL, _share_text(share))
        panel.x_label(index, str(timestep))
    panel.x_name("timestep t of 1000")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font, in pixels of the enlarged drawing."""
    return ImageFont.load_default(size)


def _spread(values: list, most: int = 13) -> list:
    """At most about `most` evenly spaced values, so that labels do not run into each other."""
    return values[:: max(1, math.ceil(len(values) / most))]


def _share_text(share: float) -> str:
    """A share of 1 with two figures that count, and no zero before the point."""
    return (f"{share:.2f}" if share >= 0.1 else f"{share:.3f}").lstrip("0")
