"""Noise levels in few numbers: as exact as they say, and nothing but noise levels is read back."""

import json
import math

import numpy as np
import pytest
from img2img_studio.core.noise_levels import knots, read_levels, save_levels


def test_straight_lines_between_knots_stay_within_tolerance():
    values = np.sin(np.linspace(0, 7, 500))
    places, kept = knots(values, np.full(500, 1e-3))
    assert len(places) < 100
    assert np.abs(np.interp(np.arange(500), places, kept) - values).max() <= 1e-3 * (1 + 1e-9)
    assert knots(np.linspace(3, 5, 500), np.full(500, 1e-6))[0] == [0, 499]


def shifted(share):
    """A flow model's sigma at a share of its time, shifted by 3 as Stable Diffusion 3 does it."""
    return 3 * share / (1 + 2 * share)


def test_a_flow_model_comes_back_from_text():
    sigmas = np.array([shifted((row + 1) / 1000) for row in range(1000)])
    saved = save_levels(sigmas, True, lambda p: shifted(1 - p), lambda s: 1000 * s, lambda t: shifted(t / 1000))
    text = json.dumps(saved.to_json())
    assert len(text) < 6000
    back = read_levels(json.loads(text))
    assert back.flow
    ratios = [np.log(one[:-1] / (1 - one[:-1])) for one in (sigmas, np.exp(back.log_sigmas))]
    assert np.abs(ratios[0] - ratios[1]).max() < 3e-4
    for share in (0.01, 0.3, 0.62, 0.999):
        assert back.sigma_of_percent(1 - share) == pytest.approx(shifted(share), rel=1e-3)
        assert back.sigma_of_timestep(1000 * share) == pytest.approx(shifted(share), rel=1e-3)


def test_evenly_spaced_levels_need_two_points():
    sigmas = np.exp(np.linspace(math.log(0.002), math.log(120), 1000))
    saved = save_levels(sigmas, False, lambda p: 0.002 * 60000 ** (1 - p), math.log, math.exp)
    assert saved.to_json()["log_sigmas"].count(",") == 1
    assert saved.sigma_of_timestep(math.log(7)) == pytest.approx(7, rel=1e-4)
    assert saved.sigma_of_percent(0.5) == pytest.approx(math.sqrt(0.002 * 120), rel=1e-4)


@pytest.mark.parametrize("found", [None, {}, {"log_sigmas": 3}, {"log_sigmas": "0 1,1 nan"}, {"log_sigmas": "0 1"}])
def test_anything_else_is_refused(found):
    with pytest.raises(ValueError, match="levels"):
        read_levels(found)
