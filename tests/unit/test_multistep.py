"""The multistep inversion on pictures drawn from normal distributions, whose exact path is known."""

import math

import pytest
import torch
from img2img_studio.benchmarks.compared_methods import fireflow
from img2img_studio.core.multistep import multistep

SPREAD, MEAN = 0.7, 0.5


def denoiser(flow):
    """E[x0 | x] for x0 ~ N(MEAN, SPREAD²), x = a x0 + sigma noise."""

    def denoise(x, sigma):
        a = 1 - sigma if flow else 1.0
        return MEAN + a * SPREAD**2 / (a**2 * SPREAD**2 + sigma**2) * (x - a * MEAN)

    return denoise


def exact_top(x, sigma, flow):
    """Where the path through x at sigma 0 arrives."""
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


def round_trip(method, picture, flow, steps):
    """The state at the top, and the root mean square error of the way back down."""
    sigmas = levels(steps, flow)
    *_, top = method(denoiser(flow), picture, sigmas, scale(flow))
    *_, back = method(denoiser(flow), top, sigmas[::-1], scale(flow))
    return top, float((back - picture).square().mean().sqrt())


def order(errors):
    return math.log2(errors[0] / errors[1])


@pytest.mark.parametrize("flow", [False, True])
def test_the_path_is_of_second_order(picture, flow):
    exact = exact_top(picture, levels(1, flow)[1], flow)
    errors = [float((round_trip(multistep, picture, flow, steps)[0] - exact).abs().max()) for steps in (80, 160)]
    assert order(errors) > 1.7


@pytest.mark.parametrize(("flow", "least"), [(False, 2.7), (True, 1.7)])
def test_the_error_of_a_round_trip_falls_with_its_order(picture, flow, least):
    errors = [round_trip(multistep, picture, flow, steps)[1] for steps in (80, 160)]
    assert order(errors) > least


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("steps", [10, 20, 40])
def test_a_round_trip_is_better_than_what_the_method_comes_from(picture, flow, steps):
    assert round_trip(multistep, picture, flow, steps)[1] < 0.7 * round_trip(fireflow, picture, flow, steps)[1]


@pytest.mark.parametrize("flow", [False, True])
def test_one_call_a_step_and_one_at_the_start(picture, flow):
    calls = []

    def denoise(x, sigma):
        calls.append(sigma)
        return denoiser(flow)(x, sigma)

    states = list(multistep(denoise, picture, levels(6, flow), scale(flow)))
    assert len(states) == 6
    assert len(calls) == 7
    assert min(calls) > 0


@pytest.mark.parametrize("flow", [False, True])
def test_where_the_denoised_picture_is_certain_the_round_trip_is_exact(picture, flow):
    """The path is a straight line then."""
    sigmas = levels(4, flow)
    top = (1 - sigmas[-1] if flow else 1) * picture + sigmas[-1] * torch.randn_like(picture)
    *_, back = multistep(lambda x, sigma: picture, top, sigmas[::-1], scale(flow))
    assert torch.allclose(back, picture, atol=1e-12)


def test_an_item_alone_is_the_item_in_the_batch(picture):
    *_, together = multistep(denoiser(True), picture, levels(5, True), scale(True))
    *_, alone = multistep(denoiser(True), picture[1:], levels(5, True), scale(True))
    assert torch.equal(together[1:], alone)
