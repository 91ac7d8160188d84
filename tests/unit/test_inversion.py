"""Inversion on pictures drawn from normal distributions, whose ideal denoiser and exact path are known."""

import math

import pytest
import torch
from img2img_studio.core.inversion import (
    Inversion,
    ancestral_mean,
    corrected,
    ddim,
    euler_back,
    exact,
    exact_back,
    fixed_point,
    noise_maps,
    noise_maps_back,
    pinned_corrections,
    run_back,
)

SPREAD = 0.7  # of the pictures around their mean
MEAN = 0.5


def denoiser(flow):
    """E[x0 | x] for x0 ~ N(MEAN, SPREAD²), x = a x0 + sigma noise."""

    def denoise(x, sigma):
        a = 1 - sigma if flow else 1.0
        return MEAN + a * SPREAD**2 / (a**2 * SPREAD**2 + sigma**2) * (x - a * MEAN)

    return denoise


def exact_top(x, sigma, flow):
    """Where the path through x at sigma 0 arrives: quantiles travel straight from one normal law to the other."""
    a = 1 - sigma if flow else 1.0
    return a * MEAN + math.sqrt(a**2 * SPREAD**2 + sigma**2) * (x - MEAN) / SPREAD


def scale(flow):
    return (lambda sigma: 1.0) if flow else (lambda sigma: math.sqrt(1 + sigma**2))


def levels(steps, flow):
    top = 1.0 if flow else 14.6
    return [top * (i / steps) ** (1 if flow else 3) for i in range(steps + 1)]


@pytest.fixture
def picture():
    return MEAN + SPREAD * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def last(states):
    return list(states)[-1]


@pytest.mark.parametrize("flow", [False, True])
def test_ddim_converges_to_the_exact_path(picture, flow):
    errors = []
    for steps in (20, 40, 80):
        top = last(ddim(denoiser(flow), picture, levels(steps, flow), scale(flow)))
        errors.append(float((top - exact_top(picture, levels(1, flow)[-1], flow)).square().mean().sqrt()))
    assert errors[0] > 1.5 * errors[1] > 2.2 * errors[2]


@pytest.mark.parametrize("flow", [False, True])
def test_correcting_undoes_sampling(picture, flow):
    sigmas = levels(20, flow)
    errors = []
    for iterations in (0, 1, 3, 8):
        top = last(corrected(denoiser(flow), picture, sigmas, scale(flow), iterations))
        back = last(euler_back(denoiser(flow), top, sigmas[::-1]))
        errors.append(float((back - picture).square().mean()))
    plain = last(ddim(denoiser(flow), picture, sigmas, scale(flow)))
    assert errors[1] < float((last(euler_back(denoiser(flow), plain, sigmas[::-1])) - picture).square().mean())
    assert errors[2] < errors[1]
    assert errors[3] < 1e-6


def test_a_diverging_fixed_point_is_damped():
    """z = 3 - 2 z has the solution 1; plain iteration doubles the distance at every step."""
    found = fixed_point(lambda z: 3 - 2 * z, torch.tensor([1.5]), 40)
    assert float(found) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_exact_gives_the_picture_back_to_rounding(picture, flow, steps):
    sigmas = levels(steps, flow)
    states = [picture, *exact(denoiser(flow), picture, sigmas, scale(flow))]
    back = last(exact_back(denoiser(flow), states[-1], states[-2], sigmas[::-1]))
    assert float((back - picture).square().mean()) < 1e-20


@pytest.mark.parametrize("flow", [False, True])
def test_pinned_gives_the_picture_back_and_preserve_lets_go(picture, flow):
    sigmas = levels(10, flow)
    states = [picture, *ddim(denoiser(flow), picture, sigmas, scale(flow))][::-1]
    corrections = list(pinned_corrections(denoiser(flow), states, sigmas[::-1]))
    error = {
        preserve: float(
            (last(euler_back(denoiser(flow), states[0], sigmas[::-1], corrections, preserve)) - picture).abs().max()
        )
        for preserve in (0.0, 1.0)
    }
    assert error[1.0] < 1e-12
    assert error[0.0] > 1e-3


@pytest.mark.parametrize("flow", [False, True])
def test_noise_maps_give_the_picture_back(picture, flow):
    sigmas = levels(10, flow)[::-1]
    generator = torch.Generator().manual_seed(1)
    noises = iter(lambda: torch.randn(picture.shape, generator=generator, dtype=torch.float64), None)
    pairs = list(noise_maps(denoiser(flow), picture, noises, sigmas, flow))
    back = last(noise_maps_back(denoiser(flow), pairs[0][0], sigmas, [pair[1] for pair in pairs], flow))
    assert float((back - picture).abs().max()) < 1e-12


@pytest.mark.parametrize("flow", [False, True])
def test_an_ancestral_step_of_a_known_picture_keeps_its_signal(picture, flow):
    """With the picture itself as the denoiser's answer, mean plus fresh noise is the picture at the next sigma."""
    sigma, under = (0.8, 0.5) if flow else (8.0, 5.0)
    a = [1 - s if flow else 1.0 for s in (sigma, under)]
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    mean = ancestral_mean(lambda x, s: picture, a[0] * picture + sigma * noise, sigma, under, flow)
    left = under**2 / sigma * (a[1] / (1 - under**2 / sigma) if flow else 1.0)
    assert torch.allclose(mean, a[1] * picture + left * noise, atol=1e-12)
    assert left < under


def test_nothing_to_invert_is_the_picture(picture):
    inversion = Inversion("ddim", torch.zeros(0), picture, picture)
    assert list(run_back(denoiser(False), inversion, 0.0)) == []
