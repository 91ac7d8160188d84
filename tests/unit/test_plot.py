"""The strength plot: its numbers against closed forms, its drawing by measuring the pixels."""

import math

import numpy as np
import pytest
import torch
from img2img_studio.core import plot
from img2img_studio.core.curve import LAYOUT_SHARE
from img2img_studio.core.schedule import NoiseSchedule, StrengthSettings
from PIL import ImageColor

TENTHS = [tenth / 10 for tenth in range(11)]


def flow_schedule() -> NoiseSchedule:
    """Flow without shift: sigma is the share of the way up."""
    return NoiseSchedule(torch.arange(1, 1001, dtype=torch.float64) / 1000, True, lambda percent: 1.0 - percent)


def exploding_schedule() -> NoiseSchedule:
    """Sigma falls by the same factor from row to row, from 100 to 0.01."""
    rows = torch.logspace(-2, 2, 1000, dtype=torch.float64)
    return NoiseSchedule(rows, False, lambda percent: 10.0 ** (2 - 4 * percent))


def evenly(start: float | None, steps: int) -> torch.Tensor:
    return torch.linspace(start or 1.0, 0, steps + 1)


def figures_for(
    schedule: NoiseSchedule, strengths: list[float], step_count: str = "proportional"
) -> plot.StrengthFigures:
    settings = StrengthSettings("normal", 50, 0.0, "timestep", step_count)
    return plot.strength_figures(schedule, evenly, settings, strengths)


def test_decibels_follow_the_closed_forms():
    exploding = figures_for(exploding_schedule(), [0.25, 0.5, 0.75, 1.0])
    assert exploding.decibels == pytest.approx([20, 0, -20, -40], abs=1e-4)
    flow = figures_for(flow_schedule(), [0.0, 0.5, 0.75, 1.0])
    assert flow.decibels == pytest.approx([math.inf, 0, 20 * math.log10(1 / 3), -math.inf], abs=1e-4)
    for strength, decibel in flow.curve:
        expected = 20 * math.log10((1 - strength) / strength) if strength < 1 else -math.inf
        assert decibel == pytest.approx(expected)


def test_the_warning_goes_by_the_noise_and_not_by_the_strength():
    """Where the share of noise, sigma on a flow model, reaches what 0.8 is on Stable Diffusion."""
    assert figures_for(flow_schedule(), TENTHS).layout_lost == pytest.approx(LAYOUT_SHARE, abs=0.0025)
    shift, levels = 8.0, torch.arange(1, 1001, dtype=torch.float64) / 1000
    shifted = NoiseSchedule(
        shift * levels / (1 + (shift - 1) * levels), True, lambda left: shifted_sigma(1 - left, shift)
    )
    expected = LAYOUT_SHARE / (shift - (shift - 1) * LAYOUT_SHARE)
    assert figures_for(shifted, TENTHS).layout_lost == pytest.approx(expected, abs=0.0025)


def shifted_sigma(time: float, shift: float) -> float:
    return shift * time / (1 + (shift - 1) * time)


def test_fifty_steps_and_eleven_strengths():
    assert figures_for(flow_schedule(), TENTHS).steps == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert figures_for(flow_schedule(), TENTHS, "exact").steps == [0] + [50] * 10


def test_signal_is_alpha_bar_and_its_flow_twin():
    sigmas = np.array([10 ** (4 * t / 999 - 2) for t in range(100, 1000, 100)])
    assert figures_for(exploding_schedule(), [0.5]).signal == pytest.approx(1 / (1 + sigmas**2))
    assert figures_for(flow_schedule(), [0.5]).signal == pytest.approx(
        [(1 - t / 999) ** 2 for t in range(100, 1000, 100)]
    )


def painted(image, color: str) -> np.ndarray:
    """Where the picture has a color, give or take the smoothing of edges."""
    return (np.abs(np.asarray(image, dtype=int) - ImageColor.getrgb(color)) < 60).all(axis=-1)


def stretches(filled: np.ndarray) -> np.ndarray:
    """[n, 2]: where each stretch of True begins and ends."""
    return np.flatnonzero(np.diff(np.concatenate([[0], filled, [0]]))).reshape(-1, 2)


@pytest.mark.parametrize("schedule", [flow_schedule(), exploding_schedule()])
def test_bars_are_as_tall_as_their_numbers(schedule):
    figures = figures_for(schedule, TENTHS)
    columns = painted(plot.draw_strengths(figures, ""), plot.SIGNAL)[600:].sum(axis=0)
    heights = np.array([np.median(columns[start:end]) for start, end in stretches(columns > 0)])
    values = np.array(figures.signal)
    assert heights / heights.max() == pytest.approx(values / values.max(), abs=0.025)


@pytest.mark.parametrize("schedule", [flow_schedule(), exploding_schedule()])
def test_a_run_is_drawn_from_its_start_to_the_end_of_the_schedule(schedule):
    figures = figures_for(schedule, TENTHS[1:])
    assert figures.starts == pytest.approx([999 * strength for strength in TENTHS[1:]], abs=2)
    runs = painted(plot.draw_strengths(figures, ""), plot.BARS)[600:]
    rows = [runs[(top + bottom) // 2] for top, bottom in stretches(runs.any(axis=1))]
    begin, end = np.array([stretches(row)[0] for row in rows]).T
    assert len(rows) == len(figures.starts)
    assert (end == end[0]).all()
    lengths = (end - begin)[::-1]  # the strongest run is drawn on top
    assert lengths / lengths[-1] == pytest.approx(np.array(figures.starts) / figures.starts[-1], abs=0.01)


def test_the_line_falls_all_the_way():
    line = painted(plot.draw_strengths(figures_for(flow_schedule(), [0.5]), ""), plot.CURVE)[:520]
    heights = [np.flatnonzero(column).mean() for column in line.T if column.any()]
    assert len(heights) > 1000
    assert max(heights) - min(heights) > 250
    assert (np.diff(heights) > -2).all()


@pytest.mark.parametrize("strengths", [[0.0], [0.37], [1.0], [at / 100 for at in range(101)], [0.5, 0.5]])
def test_any_list_of_strengths_can_be_drawn(strengths):
    image = plot.draw_strengths(figures_for(flow_schedule(), strengths, "exact"), "50 steps")
    assert painted(image, plot.CURVE).any()
    assert painted(image, plot.SIGNAL).any()
