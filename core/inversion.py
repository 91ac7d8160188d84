"""Inversion: from a picture up to the noise that gives it back, and down again.

Everything is written over a denoiser ``denoise(x, sigma) -> x0`` and a list of sigmas. For every family of models the
sampling path obeys the same equation, dx/dsigma = (x - denoise(x, sigma)) / sigma, called the slope here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]
InputScale = Callable[[float], float]
"""How strong a noised picture is at a sigma; what the model divides its input by."""

METHODS = ("corrected", "exact", "pinned", "noise_maps", "ddim")

MIXED = 5
"""How many of the last points the corrector mixes."""
RIDGE = 1e3
"""How many roundings the corrector's least squares are kept from being singular by."""


@dataclass(frozen=True)
class Inversion:
    """An inverted picture: what IMG2IMG_INVERSION holds.

    method:      one of METHODS
    sigmas:      [steps + 1] falling, ending in 0: the way back down
    clean:       [B, C, ...] the picture, in ComfyUI's latent space
    state:       the noise it became, in the model's space, at ``sigmas[0]``
    below:       the state one step below, which ``exact`` needs besides; else None
    corrections: what to add after each step down (``pinned`` and ``noise_maps``), in falling order
    trajectory:  every state from the noise down to the picture, where it was asked to be kept
    settings:    what it was made with, for reports
    """

    method: str
    sigmas: Tensor
    clean: Tensor
    state: Tensor
    below: Tensor | None = None
    corrections: tuple[Tensor, ...] = ()
    trajectory: tuple[Tensor, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def flow(self) -> bool:
        """Whether it was made on a flow model."""
        return bool(self.settings.get("flow"))

    def on(self, x: Tensor) -> Inversion:
        """The same with its state on the device and of the type of ``x``, ready to run."""
        return replace(self, state=self.state.to(x), below=None if self.below is None else self.below.to(x))


def slope(denoise: Denoise, x: Tensor, sigma: float) -> Tensor:
    """dx/dsigma = (x - denoise(x, sigma)) / sigma; sigma above 0."""
    return (x - denoise(x, sigma)) / sigma


def ddim(denoise: Denoise, x: Tensor, sigmas: Sequence[float], input_scale: InputScale) -> Iterator[Tensor]:
    """DDIM inversion (arXiv:2105.05233, appendix F): the states at ``sigmas[1:]``, rising.

    x⁺ = x + (σ⁺ - σ) · slope(x̂, σ⁺). The slope is taken at the target sigma, because at σ = 0 it is 0/0, and x̂ is x as
    strong as a picture noised to σ⁺. One call a step.

    x:      [B, C, ...] the clean picture in the model's space
    sigmas: [steps + 1] rising, the first one 0
    """
    for sigma, above in pairwise(sigmas):
        x = x + (above - sigma) * slope(denoise, x * (input_scale(above) / input_scale(sigma)), above)
        yield x


def corrected(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], input_scale: InputScale, iterations: int
) -> Iterator[Tensor]:
    """Uni-Inv (arXiv:2504.13109) and a corrector: the states at ``sigmas[1:]``, rising.

    Sampling steps down by x = x⁺ - (σ⁺ - σ) · slope(x⁺, σ⁺). The state sought solves this for x⁺. The last step's
    slope carries on to a first guess, x + (σ⁺ - σ) · slope; then the equation is iterated. One iteration is Uni-Inv.
    ``iterations`` calls a step, at least one, and one at the start. The error of a round trip falls with the power
    ``iterations`` + 1 of the number of steps.
    """
    carried = slope(denoise, x * (input_scale(sigmas[1]) / input_scale(sigmas[0])), sigmas[1])
    for sigma, above in pairwise(sigmas):
        step = above - sigma
        found = fixed_point(
            lambda z, x=x, step=step, above=above: x + step * slope(denoise, z, above), x + step * carried, iterations
        )
        carried = (found - x) / step
        x = found
        yield x


def fixed_point(function: Callable[[Tensor], Tensor], guess: Tensor, iterations: int) -> Tensor:
    """Approach z = function(z) in ``iterations`` calls, at least one.

    Anderson acceleration (doi:10.1145/321296.321305; for inversion arXiv:2309.04907): the next point mixes the values
    so far. An item whose residual a step made worse goes back and tries again half as far, so that an iteration which
    would diverge is damped.

    guess: [B, C, ...]; every item is solved as if it were alone
    """
    shape = (-1, *[1] * (guess.ndim - 1))
    best = aim = point = guess
    least = guess.new_full((len(guess),), math.inf)
    damping = torch.ones_like(least)
    values: deque[Tensor] = deque(maxlen=MIXED)
    residuals: deque[Tensor] = deque(maxlen=MIXED)
    for _ in range(max(1, iterations)):
        value = function(point)
        values.append(value)
        residuals.append(value - point)
        residual = residuals[-1].flatten(1).square().mean(1)
        better = residual < least
        least = torch.where(better, residual, least)
        damping = torch.where(better, 1.0, damping / 2)
        better, damped = better.view(shape), damping.view(shape)
        best, aim = torch.where(better, point, best), torch.where(better, value, aim)
        ahead = _mixed(values, residuals) if len(values) > 2 else value  # two values only lie too close together
        point = torch.where(better, ahead, torch.lerp(best, aim, damped))
    return point


def _mixed(values: Sequence[Tensor], residuals: Sequence[Tensor]) -> Tensor:
    """The sum of values with those weights, adding up to 1, that make the same sum of residuals smallest."""
    rows = torch.stack(tuple(residuals), 1).flatten(2)
    products = (rows @ rows.mT).cpu().double()
    norms = products.diagonal(dim1=1, dim2=2).sqrt().clamp_min(1e-100)
    # scaled to a unit diagonal, and kept from being singular by a little more than its rounding
    ridge = RIDGE * torch.finfo(rows.dtype).eps * torch.eye(len(values))
    weights = torch.linalg.solve(products / (norms[:, :, None] * norms[:, None]) + ridge, 1 / norms) / norms
    weights = (weights / weights.sum(1, keepdim=True)).to(rows)
    return torch.einsum("bn,bn...->b...", weights, torch.stack(tuple(values), 1))


def exact(denoise: Denoise, first: Tensor, second: Tensor, sigmas: Sequence[float]) -> Iterator[Tensor]:
    """O-BELM (arXiv:2410.07273, eq. 18), up or down: the states at ``sigmas[1:]``.

    Each state comes from the two before it, so that the same formula undoes the step without rounding but its own:
    x⁺ = (h⁺²/h²) x⁻ + (1 - h⁺²/h²) x + (h⁺(h + h⁺)/h) slope(x, σ), with h = σ - σ⁻ and h⁺ = σ⁺ - σ.
    One call a step but the first. The sums cancel: use float64.

    first, second: the states at ``sigmas[0]`` and ``sigmas[1]``
    """
    before, x = first, second
    yield x
    for sigma_before, sigma, target in zip(sigmas, sigmas[1:], sigmas[2:], strict=False):
        last, step = sigma - sigma_before, target - sigma
        ratio = (step / last) ** 2
        change = step * (last + step) / last * slope(denoise, x, sigma)
        before, x = x, ratio * before + (1 - ratio) * x + change
        yield x


def leapfrog(denoise: Denoise, first: Tensor, second: Tensor, sigmas: Sequence[float]) -> Iterator[Tensor]:
    """BDIA with γ = 1 (arXiv:2307.10829), up or down, for comparison; arguments and states as for ``exact``.

    x⁺ = x⁻ + (σ⁺ - σ⁻) · slope(x, σ). One call a step but the first.
    """
    before, x = first, second
    yield x
    for sigma_before, sigma, target in zip(sigmas, sigmas[1:], sigmas[2:], strict=False):
        before, x = x, before + (target - sigma_before) * slope(denoise, x, sigma)
        yield x


TWO_STEP = {"exact": exact, "leapfrog": leapfrog}


def fireflow(denoise: Denoise, x: Tensor, sigmas: Sequence[float], input_scale: InputScale) -> Iterator[Tensor]:
    """FireFlow (arXiv:2412.07517, algorithm 1), up or down, for comparison: the states at ``sigmas[1:]``.

    The midpoint rule, which takes the slope of the midpoint before to reach the next:
    x⁺ = x + (σ⁺ - σ) · v, v = slope(x + (σ⁺ - σ)/2 · v⁻, (σ + σ⁺)/2). One call a step, and one at the start.
    """
    start = sigmas[0] or sigmas[1]  # at 0 the slope is 0/0
    velocity = slope(denoise, x * (input_scale(start) / input_scale(sigmas[0])), start)
    for sigma, target in pairwise(sigmas):
        half = (target - sigma) / 2
        velocity = slope(denoise, x + half * velocity, sigma + half)
        x = x + 2 * half * velocity
        yield x


def euler_back(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], corrections: Sequence[Tensor] = (), preserve: float = 1.0
) -> Iterator[Tensor]:
    """Euler steps down, which are DDIM's: the states at ``sigmas[1:]``, falling.

    corrections: added after the first share ``preserve`` of the steps (Direct Inversion, arXiv:2310.01506); few or none
    """
    kept = round(preserve * len(corrections))
    for place, (sigma, under) in enumerate(pairwise(sigmas)):
        x = euler_step(denoise, x, sigma, under)
        if place < kept:
            x = x + corrections[place].to(x)
        yield x


def euler_step(denoise: Denoise, x: Tensor, sigma: float, under: float) -> Tensor:
    """x' = (σ'/σ) x + (1 - σ'/σ) denoise(x, σ); at σ' = 0 this is the denoised picture itself."""
    ratio = under / sigma
    return ratio * x + (1 - ratio) * denoise(x, sigma)


def pinned_corrections(denoise: Denoise, states: Sequence[Tensor], sigmas: Sequence[float]) -> Iterator[Tensor]:
    """What each step down misses the inverted path by (Direct Inversion, arXiv:2310.01506), falling.

    states: the path from the noise down to the picture; sigmas: theirs, falling
    """
    for (state, below), (sigma, under) in zip(pairwise(states), pairwise(sigmas), strict=True):
        yield below - euler_step(denoise, state, sigma, under)


def ancestral_mean(denoise: Denoise, x: Tensor, sigma: float, under: float, flow: bool) -> Tensor:
    """Where an ancestral step from σ to σ' lands before its noise: an Euler step to σ'²/σ, at the signal of σ'."""
    down = under**2 / sigma
    mean = euler_step(denoise, x, sigma, down)
    return mean * ((1 - under) / (1 - down)) if flow else mean


def noise_maps(
    denoise: Denoise, x: Tensor, noises: Iterator[Tensor], sigmas: Sequence[float], flow: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Edit-friendly DDPM inversion (arXiv:2304.06140): pairs of (state, correction), falling.

    Every state is the picture noised independently; the correction is what an ancestral step from it must add to reach
    the next. The last one, to the picture itself, is kept too. One call a step.

    x:      the clean picture in the model's space
    noises: one unit noise for each sigma above 0, in falling order
    sigmas: falling, ending in 0
    """

    def noised(sigma: float) -> Tensor:
        return (x * (1 - sigma) if flow else x) + sigma * next(noises).to(x)

    state = noised(sigmas[0])
    for sigma, under in pairwise(sigmas):
        below = noised(under) if under > 0 else x
        yield state, below - ancestral_mean(denoise, state, sigma, under, flow)
        state = below


def noise_maps_back(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], corrections: Sequence[Tensor], flow: bool
) -> Iterator[Tensor]:
    """The way down of ``noise_maps``: ancestral steps with the noise that was found; the states at ``sigmas[1:]``."""
    for (sigma, under), correction in zip(pairwise(sigmas), corrections, strict=True):
        x = ancestral_mean(denoise, x, sigma, under, flow) + correction.to(x)
        yield x


@dataclass(frozen=True)
class Path:
    """What a method found on its way up; fields as in ``Inversion``."""

    state: Tensor
    below: Tensor | None = None
    corrections: tuple[Tensor, ...] = ()
    trajectory: tuple[Tensor, ...] = ()


def invert(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    method: str,
    *,
    input_scale: InputScale,
    iterations: int,
    noises: Iterator[Tensor],
    flow: bool,
    keep: bool,
    watch: Callable[[Tensor], None],
) -> Path:
    """Invert a picture by one of METHODS, or by ``fireflow`` or ``leapfrog``, which are here to compare with.

    x:          the clean picture in the model's space
    sigmas:     rising from 0
    iterations: calls a step of ``corrected``
    noises:     for ``noise_maps``, one for each sigma above 0, falling
    keep:       return every state
    watch:      is shown each state as it is found
    """
    if method == "noise_maps":
        pairs = list(_watched(noise_maps(denoise, x, noises, sigmas[::-1], flow), lambda pair: watch(pair[0])))
        states, corrections = zip(*pairs, strict=True)
        return Path(states[0], None, corrections, (*states, x) if keep else ())
    whole_path = keep or method == "pinned"
    path = deque([x], maxlen=None if whole_path else 2)
    path.extend(_watched(_rising(denoise, x, sigmas, method, input_scale, iterations), watch))
    falling = tuple(reversed(path))
    corrections = ()
    if method == "pinned":
        corrections = tuple(_watched(pinned_corrections(denoise, falling, sigmas[::-1]), watch))
    return Path(falling[0], falling[1] if method in TWO_STEP else None, corrections, falling if keep else ())


def _rising(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], method: str, input_scale: InputScale, iterations: int
) -> Iterator[Tensor]:
    """The way up of a method that walks it: the states at ``sigmas[1:]``."""
    if method == "corrected":
        return corrected(denoise, x, sigmas, input_scale, iterations)
    if method in TWO_STEP:
        return TWO_STEP[method](denoise, x, next(ddim(denoise, x, sigmas[:2], input_scale)), sigmas)
    if method == "fireflow":
        return fireflow(denoise, x, sigmas, input_scale)
    if method in ("ddim", "pinned"):
        return ddim(denoise, x, sigmas, input_scale)
    raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")


def _watched(items: Iterator[Any], watch: Callable[[Any], None]) -> Iterator[Any]:
    for item in items:
        watch(item)
        yield item


def run_back(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    """From the noise of an inversion down to a picture, by the method it was made with; the states, falling."""
    sigmas = inversion.sigmas.tolist()
    if inversion.below is not None:
        return TWO_STEP[inversion.method](denoise, inversion.state, inversion.below, sigmas)
    if inversion.method == "noise_maps":
        return noise_maps_back(denoise, inversion.state, sigmas, inversion.corrections, inversion.flow)
    if inversion.method == "fireflow":
        return fireflow(denoise, inversion.state, sigmas, lambda sigma: 1.0)
    return euler_back(denoise, inversion.state, sigmas, inversion.corrections, preserve)
