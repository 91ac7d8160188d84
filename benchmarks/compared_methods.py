"""Inversion methods that are measured beside those of the menu, and are not in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from ..core.inversion import Denoise, InputDivisor, Inversion, ddim, derivative
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


def _no_residual(walk: Walk, error: RoundTripError) -> Residual:
    return rounding_residual(walk.state)


COMPARED: dict[str, Method] = {
    "fireflow": Method(_fireflow_up, _fireflow_down, _no_residual),
    "leapfrog": Method(_leapfrog_up, _leapfrog_down, _no_residual, double=True),
}
