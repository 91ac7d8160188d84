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
    fireflow,
    fixed_point,
    leapfrog,
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


def round_trip_error(picture, flow, steps, iterations):
    """Of ``corrected`` up and Euler down."""
    sigmas = levels(steps, flow)
    top = last(corrected(denoiser(flow), picture, sigmas, scale(flow), iterations))
    return float((last(euler_back(denoiser(flow), top, sigmas[::-1])) - picture).square().mean())


@pytest.mark.parametrize("flow", [False, True])
def test_correcting_undoes_sampling(picture, flow):
    errors = [round_trip_error(picture, flow, 20, iterations) for iterations in (1, 2, 4, 9)]
    sigmas = levels(20, flow)
    plain = last(ddim(denoiser(flow), picture, sigmas, scale(flow)))
    assert errors[0] < float((last(euler_back(denoiser(flow), plain, sigmas[::-1])) - picture).square().mean())
    assert errors[1] < errors[0]
    assert errors[2] < errors[1]
    assert errors[3] < 1e-12


def test_a_diverging_fixed_point_is_tamed():
    """Plain iteration of z = 3 - 2 z, with the solution 1, doubles the distance at every step."""
    found = fixed_point(lambda z: 3 - 2 * z, torch.tensor([[1.5]]), 12)
    assert float(found) == pytest.approx(1.0, abs=1e-3)


def test_a_fixed_point_is_mixed_from_its_history():
    """With four numbers for each item and a linear function, four mixed values hold the solution."""
    generator = torch.Generator().manual_seed(3)
    turn = 0.4 * torch.randn(4, 4, generator=generator, dtype=torch.float64)
    shift = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    solution = torch.linalg.solve(torch.eye(4) - turn, shift.mT).mT
    found = fixed_point(lambda z: z @ turn.mT + shift, torch.zeros_like(shift), 5)
    assert float((found - solution).abs().max()) < 1e-9


def test_each_item_of_a_fixed_point_is_its_own():
    """One item converges and one diverges; both come out as they do alone."""
    factors = torch.tensor([[0.3], [-3.0]], dtype=torch.float64)
    guess = torch.tensor([[2.0], [2.0]], dtype=torch.float64)
    together = fixed_point(lambda z: factors * z.tanh() + 1, guess, 6)
    alone = [
        fixed_point(lambda z, factor=factor: factor * z.tanh() + 1, one[None], 6)
        for factor, one in zip(factors, guess, strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), rtol=0, atol=1e-12)


def test_a_fixed_point_that_is_met_stays():
    point = torch.tensor([[1.0, 2.0]])
    found = fixed_point(lambda z: point, point, 8)
    assert torch.allclose(found, point)


@pytest.mark.parametrize("solver", [exact, leapfrog])
@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_exact_gives_the_picture_back_to_rounding(picture, flow, steps, solver):
    sigmas = levels(steps, flow)
    second = next(ddim(denoiser(flow), picture, sigmas[:2], scale(flow)))
    states = [picture, *solver(denoiser(flow), picture, second, sigmas)]
    back = last(solver(denoiser(flow), states[-1], states[-2], sigmas[::-1]))
    assert float((back - picture).square().mean()) < 1e-20


@pytest.mark.parametrize("flow", [False, True])
def test_fireflow_comes_back_with_the_third_order(picture, flow):
    """Where every step shrinks; ComfyUI's schedules for eps models leave the one to sigma 0 as it is."""
    errors = []
    for steps in (80, 160):
        sigmas = levels(steps, flow)
        top = last(fireflow(denoiser(flow), picture, sigmas, scale(flow)))
        back = last(fireflow(denoiser(flow), top, sigmas[::-1], scale(flow)))
        errors.append(float((back - picture).square().mean().sqrt()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.25)


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
