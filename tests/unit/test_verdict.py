"""What a walk up knows of its own quality, against running back, on pictures whose ideal denoiser is known."""

import math

import pytest
import torch
from img2img_studio.core.inversion import ddim, euler_back
from img2img_studio.core.verdict import (
    RoundTripError,
    corrections_residual,
    judge,
    path_residual,
    rounding_residual,
)


def denoiser(flow):
    """E[x0 | x] for x0 ~ N(0.5, 0.7²), x = a x0 + sigma noise."""

    def denoise(x, sigma):
        a = 1 - sigma if flow else 1.0
        return 0.5 + a * 0.49 / (a**2 * 0.49 + sigma**2) * (x - a * 0.5)

    return denoise


def scale(flow):
    return (lambda sigma: 1.0) if flow else (lambda sigma: math.hypot(1, sigma))


def levels(steps, flow):
    return [(1.0 if flow else 14.6) * (step / steps) ** (1 if flow else 3) for step in range(steps + 1)]


@pytest.fixture
def picture():
    return 0.5 + 0.7 * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("steps", [1, 10, 50])
def test_what_is_expected_at_most_is_not_less_than_what_comes(picture, flow, steps):
    sigmas, denoise = levels(steps, flow), denoiser(flow)
    error = RoundTripError(picture, scale(flow))
    for state in ddim(error.listening(denoise), picture, sigmas, scale(flow)):
        error.found(state)
    *_, back = euler_back(denoise, state, sigmas[::-1])
    true = float((back - picture).square().mean())
    residual = path_residual(error)
    assert true <= residual.picture * (1 + 1e-9)
    assert residual.picture < 300 * true + 0.5
    assert residual.step == error.worst > 0


def test_methods_without_an_error_of_their_own_expect_rounding(picture):
    added = corrections_residual("added", picture, (0.2 * torch.ones_like(picture), 0.1 * torch.ones_like(picture)))
    undone = rounding_residual(picture)
    assert max(added.picture, undone.picture) < 1e-13
    assert added.step == pytest.approx(0.2)
    assert undone.step < 1e-6


@pytest.mark.parametrize(("decibels", "level"), [(60, "good"), (36, "good"), (34, "fair"), (26, "fair"), (24, "poor")])
def test_the_words_follow_the_decibels(decibels, level):
    clean = torch.tensor([-1.0, 3.0])
    error = 16 * 10 ** (-decibels / 10)
    assert judge(error, clean, measured=True).level == judge(error, clean, measured=False).level == level
    assert "should" not in judge(error, clean, measured=True).text
    assert "should" in judge(error, clean, measured=False).text


def test_a_perfect_or_a_flat_picture_has_a_verdict_too():
    assert judge(0.0, torch.zeros(4), measured=True).level == "good"
    assert judge(math.nan, torch.zeros(4), measured=True).level == "poor"
