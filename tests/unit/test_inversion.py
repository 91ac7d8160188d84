"""Inversion on pictures drawn from normal distributions, whose ideal denoiser and exact path are known."""

import math

import pytest
import torch
from img2img_studio.benchmarks.compared_methods import fireflow, res_2m
from img2img_studio.core.inversion import (
    Inversion,
    ancestral_mean,
    corrected,
    ddim,
    euler_back,
    exact,
    noise_maps,
    noise_maps_back,
    pinned_corrections,
)
from img2img_studio.core.inversion_methods import METHODS, Ascent, invert, method_named, run_back
from img2img_studio.core.multistep import multistep

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


@pytest.mark.parametrize("flow", [False, True])
def test_few_steps_spend_their_corrections_on_the_leap_and_do_not_diverge(picture, flow):
    top, asked = levels(1, flow)[-1], []

    def denoise(x, sigma):
        asked.append(sigma)
        return denoiser(flow)(x, sigma)

    for sigmas, calls in (([0.0, top / 500, top], (1, 5)), ([0.0, top / 2, top], (3, 3))):
        asked.clear()
        noise = last(corrected(denoise, picture, sigmas, scale(flow), 3))
        assert asked == [sigmas[1]] * (1 + calls[0]) + [top] * calls[1]  # the first one is for a derivative
        back = last(euler_back(denoiser(flow), noise, sigmas[::-1]))
        assert float((back - picture).square().mean()) < SPREAD**2


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_exact_gives_the_picture_back_to_rounding(picture, flow, steps):
    sigmas = levels(steps, flow)
    second = next(ddim(denoiser(flow), picture, sigmas[:2], scale(flow)))
    states = [picture, *exact(denoiser(flow), picture, second, sigmas)]
    back = last(exact(denoiser(flow), states[-1], states[-2], sigmas[::-1]))
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

    def noise_at(sigma):
        return torch.randn(picture.shape, generator=generator, dtype=torch.float64)

    pairs = list(noise_maps(denoiser(flow), picture, noise_at, sigmas, flow))
    back = last(noise_maps_back(denoiser(flow), pairs[0][0], sigmas, [pair[1] for pair in pairs], flow))
    assert float((back - picture).abs().max()) < 1e-12


@pytest.mark.parametrize("flow", [False, True])
def test_an_ancestral_step_of_a_known_picture_keeps_its_signal(picture, flow):
    """With the picture itself as the denoiser's answer, mean plus fresh noise is the picture at the next sigma."""
    sigma, sigma_next = (0.8, 0.5) if flow else (8.0, 5.0)
    a = [1 - s if flow else 1.0 for s in (sigma, sigma_next)]
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    mean = ancestral_mean(lambda x, s: picture, a[0] * picture + sigma * noise, sigma, sigma_next, flow)
    left = sigma_next**2 / sigma * (a[1] / (1 - sigma_next**2 / sigma) if flow else 1.0)
    assert torch.allclose(mean, a[1] * picture + left * noise, atol=1e-12)
    assert left < sigma_next


def test_nothing_to_invert_is_the_picture(picture):
    inversion = Inversion("ddim", torch.zeros(0), picture, picture, flow=False)
    assert list(run_back(denoiser(False), inversion, 0.0)) == []


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_every_method_of_the_table_goes_up_and_comes_back(picture, name, flow, keep):
    """Up and down again; what an entry of the table promises of it is what it does."""
    method, sigmas, seen = method_named(name), levels(20, flow), []
    generator = torch.Generator().manual_seed(1)

    def noise_at(sigma):
        return torch.randn(picture.shape, generator=generator, dtype=torch.float64)

    ascent = Ascent(sigmas, flow, scale(flow), 3, noise_at, keep, seen.append)
    walk, residual = invert(denoiser(flow), picture, method, ascent)
    falling = torch.tensor(sigmas[::-1], dtype=torch.float64)
    kept = {"below": walk.below, "corrections": walk.corrections, "trajectory": walk.trajectory}
    inversion = Inversion(name, falling, picture, walk.state, flow, **kept)
    back = last(run_back(denoiser(flow), inversion, 1.0))
    error = float((back - picture).square().mean())
    assert error <= max(residual.picture, 1e-13)
    assert error < 0.2
    assert len(seen) == 20 * method.walks
    assert len(walk.trajectory) == (21 if keep else 0)
    if keep:
        assert torch.equal(walk.trajectory[0], walk.state)
        assert torch.equal(walk.trajectory[-1], picture)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"method must be one of corrected, .*, got 'best'"):
        method_named("best")


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
def test_res_2m_is_exact_where_the_denoised_picture_moves_along_a_line_over_log_sigma(picture, flow):
    """The state is then x = c + k log sigma + k + sigma y for some y, from which the way up starts."""
    sigmas, slope, other = levels(5, flow), picture.flip(0), picture.flip(1)

    def state(sigma):
        return picture + slope * (math.log(sigma) + 1) + sigma * other

    up = res_2m(lambda x, sigma: picture + slope * math.log(sigma), state(sigmas[1]), sigmas, lambda sigma: 1.0)
    for found, sigma in zip(up, sigmas[1:], strict=True):
        assert torch.allclose(found, state(sigma), atol=1e-9)
    down = res_2m(lambda x, sigma: picture + slope * math.log(sigma), state(sigmas[-1]), sigmas[::-1], scale(flow))
    for found, sigma in zip(list(down)[:-1], sigmas[-2:0:-1], strict=True):
        assert torch.allclose(found, state(sigma), atol=1e-9)


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
