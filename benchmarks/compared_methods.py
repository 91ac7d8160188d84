"""Inversion methods that are measured beside those of the menu, and are not in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from ..core.inversion import Denoise, InputDivisor, Inversion, ddim, derivative, euler_step
from ..core.inversion_methods import Ascent, Method, Walk
from ..core.verdict import Residual, RoundTripError, rounding_residual


def leapfrog(denoise: Denoise, first: Tensor, second: Tensor, sigmas: Sequence[float]) -> Iterator[Tensor]:
    """BDIA with gamma = 1 (arXiv:2307.10829), up or down; arguments and states as for ``core.inversion.exact``.

    x+ = x- + (s+ - s-) · d(x, s). One call a step but the first.
    """
    before, x = first, second
    yield x
    for sigma_before, sigma, sigma_next in zip(sigmas, sigmas[1:], sigmas[2:], strict=False):
        before, x = x, before + (sigma_next - sigma_before) * derivative(denoise, x, sigma)
        yield x


def fireflow(denoise: Denoise, x: Tensor, sigmas: Sequence[float], input_divisor: InputDivisor) -> Iterator[Tensor]:
    """FireFlow (arXiv:2412.07517, algorithm 1), up or down: the states at ``sigmas[1:]``.

    The midpoint rule, which takes the derivative of the midpoint before to reach the next:
    x+ = x + (s+ - s) · v, v = d(x + (s+ - s)/2 · v-, (s + s+)/2). One call a step, and one at the start.
    """
    start = sigmas[0] or sigmas[1]  # at 0 the derivative is 0/0
    velocity = derivative(denoise, x * (input_divisor(start) / input_divisor(sigmas[0])), start)
    for sigma, sigma_next in pairwise(sigmas):
        half = (sigma_next - sigma) / 2
        velocity = derivative(denoise, x + half * velocity, sigma + half)
        x = x + 2 * half * velocity
        yield x


def res_2m(denoise: Denoise, x: Tensor, sigmas: Sequence[float], input_divisor: InputDivisor) -> Iterator[Tensor]:
    """The exponential two-step method of RES (arXiv:2308.02157, section 4), up or down: the states at ``sigmas[1:]``.

    x_next = exp(-h) x + (1 - exp(-h)) D + (exp(-h) - 1 + h) D', with h = log(sigma / sigma_next) and D' the slope of
    the denoised picture over -log sigma since the step before: D is carried on along a line. The first step takes its
    slope from a point half-way, as res_2s does. The lowest level above 0 stands for 0 on the way up, and Euler takes
    the last step down to it. One call a step, and one at the start.
    """
    before: tuple[float, Tensor] | None = None
    for sigma, sigma_next in pairwise(sigmas):
        if sigma == 0:
            x = x * (input_divisor(sigma_next) / input_divisor(sigma))
        elif sigma_next == 0:
            x = denoise(x, sigma)
        else:
            denoised, h = denoise(x, sigma), math.log(sigma / sigma_next)
            if before is None:
                half = math.sqrt(sigma * sigma_next)
                slope = (denoise(euler_step(lambda *_, d=denoised: d, x, sigma, half), half) - denoised) / (h / 2)
            else:
                slope = (denoised - before[1]) / math.log(before[0] / sigma)
            before = sigma, denoised
            x = math.exp(-h) * x - math.expm1(-h) * denoised + (math.expm1(-h) + h) * slope
        yield x


def _leapfrog_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    second = next(ddim(denoise, x, ascent.sigmas[:2], ascent.input_divisor))
    path = [x, *leapfrog(denoise, x, second, ascent.sigmas)]
    return Walk(path[-1], below=path[-2])


def _leapfrog_down(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    assert inversion.below is not None
    return leapfrog(denoise, inversion.state, inversion.below, inversion.sigmas.tolist())


def _fireflow_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    *_, state = fireflow(denoise, x, ascent.sigmas, ascent.input_divisor)
    return Walk(state)


def _fireflow_down(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    return fireflow(denoise, inversion.state, inversion.sigmas.tolist(), lambda sigma: 1.0)


def _res_2m_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    *_, state = res_2m(denoise, x, ascent.sigmas, ascent.input_divisor)
    return Walk(state)


def _res_2m_down(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    return res_2m(denoise, inversion.state, inversion.sigmas.tolist(), lambda sigma: 1.0)


def _no_residual(walk: Walk, error: RoundTripError) -> Residual:
    return rounding_residual(walk.state)


COMPARED: dict[str, Method] = {
    "fireflow": Method(_fireflow_up, _fireflow_down, _no_residual),
    "leapfrog": Method(_leapfrog_up, _leapfrog_down, _no_residual, double=True),
    "res_2m": Method(_res_2m_up, _res_2m_down, _no_residual),
}
