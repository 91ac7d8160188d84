"""Inversion: from a picture up to the noise that gives it back, and down again.

Every algorithm is written over a denoiser ``denoise(x, sigma) -> x0`` and a list of sigmas. For every family of models
the sampling path obeys the same equation, dx/dsigma = (x - denoise(x, sigma)) / sigma: the derivative below. The menu
of methods, and what each is made of, is the table in ``inversion_methods.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from torch import Tensor

from .fixed_point import fixed_point
from .placing import sent

Denoise = Callable[[Tensor, float], Tensor]
InputDivisor = Callable[[float], float]
"""1 / c_in of Karras et al. 2022 (arXiv:2206.00364, sec. 5): what a model divides its input by at a sigma."""
LEAP = 3.0
"""From how many times the level below on, a last step is a leap."""


@dataclass(frozen=True, eq=False, repr=False)
class Inversion:
    """An inverted picture: what IMG2IMG_INVERSION holds.

    method:      a key of ``inversion_methods.METHODS``: how it gets down again
    sigmas:      [steps + 1] falling, ending in 0: the way back down
    clean:       [B, C, ...] the picture, in ComfyUI's latent space
    state:       the noise it became, in the model's space, at ``sigmas[0]``
    flow:        whether it was made on a flow model
    cfg:         the guidance it was made under
    below:       the state at ``sigmas[1]``, which ``exact`` needs besides; else None
    corrections: what to add after each step down (``pinned`` and ``noise_maps``), in falling order
    trajectory:  every state from the noise down to the picture, where it was asked to be kept
    settings:    what it was made with, for reports only
    prompt:      the fingerprint of the prompt it was made under (``conditioning.conditioning_digest``)
    space:       the name of the latent space of the model that it was made with, empty where it is not known
    model:       the fingerprint of that model, empty where it is not known
    """

    method: str
    sigmas: Tensor
    clean: Tensor
    state: Tensor
    flow: bool
    cfg: float = 1.0
    below: Tensor | None = None
    corrections: tuple[Tensor, ...] = ()
    trajectory: tuple[Tensor, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    prompt: str = ""
    space: str = ""
    model: str = ""

    def on(self, x: Tensor) -> Inversion:
        """The same with its state on the device and of the type of ``x``, ready to run."""
        below = None if self.below is None else self.below.to(x)
        return replace(self, state=self.state.to(x), below=below, corrections=sent(self.corrections, x.device))

    def path(self) -> tuple[Tensor, ...]:
        """Every state from the noise down to the picture; ValueError where they were not kept."""
        if len(self.sigmas) and not self.trajectory:
            raise ValueError("inversion: the path is not in it; switch keep_trajectory on in Invert to Noise")
        return self.trajectory


def derivative(denoise: Denoise, x: Tensor, sigma: float) -> Tensor:
    """dx/dsigma = (x - denoise(x, sigma)) / sigma; sigma above 0. (k-diffusion's ``to_d``)"""
    return (x - denoise(x, sigma)) / sigma


def euler_step(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """From sigma s to s': x' = (s'/s) x + (1 - s'/s) denoise(x, s), DDIM's step; at s' = 0 the denoised picture.

    x: [B, C, ...] at ``sigma``, which is above 0
    """
    ratio = sigma_next / sigma
    return ratio * x + (1 - ratio) * denoise(x, sigma)


def ddim(denoise: Denoise, x: Tensor, sigmas: Sequence[float], input_divisor: InputDivisor) -> Iterator[Tensor]:
    """DDIM inversion (arXiv:2105.05233, appendix F): the states at ``sigmas[1:]``, rising.

    x+ = x + (s+ - s) · d(x^, s+). The derivative is taken at the target sigma, because at s = 0 it is 0/0, and x^ is x
    scaled to the variance of a picture noised to s+. One call a step.

    x:      [B, C, ...] the clean picture in the model's space
    sigmas: [steps + 1] rising, the first one 0
    """
    for sigma, sigma_next in pairwise(sigmas):
        scaled = x * (input_divisor(sigma_next) / input_divisor(sigma))
        x = x + (sigma_next - sigma) * derivative(denoise, scaled, sigma_next)
        yield x


def corrected(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], input_divisor: InputDivisor, iterations: int
) -> Iterator[Tensor]:
    """Uni-Inv (arXiv:2504.13109) and a corrector: the states at ``sigmas[1:]``, rising.

    Sampling steps down by x = x+ - (s+ - s) · d(x+, s+). The state sought solves this for x+. The last step's
    derivative carries on to a first guess, x + (s+ - s) · d; then the equation is iterated. One iteration is Uni-Inv.
    ``iterations`` calls a step, at least one, and one at the start, spread as ``_spread`` says. The error of a round
    trip falls with the power ``iterations`` + 1 of the number of steps.

    x, sigmas: as for ``ddim``
    """
    d = derivative(denoise, x * (input_divisor(sigmas[1]) / input_divisor(sigmas[0])), sigmas[1])
    for (sigma, sigma_next), count in zip(pairwise(sigmas), _spread(sigmas, max(1, iterations)), strict=True):
        step = sigma_next - sigma
        found = fixed_point(
            lambda z, x=x, step=step, sigma_next=sigma_next: x + step * derivative(denoise, z, sigma_next),
            x + step * d,
            count,
        )
        d = (found - x) / step
        x = found
        yield x


def _spread(sigmas: Sequence[float], iterations: int) -> list[int]:
    """How many calls each step of ``corrected`` gets, ``iterations`` in the mean.

    Where steps are few, the last one is a leap, and needs more calls than the first one, which starts at 0 and is all
    but right as guessed.
    """
    counts = [iterations] * (len(sigmas) - 1)
    if len(counts) > 1 and sigmas[-1] > LEAP * sigmas[-2]:
        counts[0] -= iterations - 1
        counts[-1] += iterations - 1
    return counts


def exact(denoise: Denoise, first: Tensor, second: Tensor, sigmas: Sequence[float]) -> Iterator[Tensor]:
    """O-BELM (arXiv:2410.07273, eq. 18), up or down: the states at ``sigmas[1:]``.

    Each state comes from the two before it, so that the same formula undoes the step without rounding but its own:
    x+ = (h+²/h²) x- + (1 - h+²/h²) x + (h+(h + h+)/h) d(x, s), with h = s - s- and h+ = s+ - s.
    One call a step but the first. The sums cancel: use float64.

    first, second: [B, C, ...] the states at ``sigmas[0]`` and ``sigmas[1]``
    """
    before, x = first, second
    yield x
    for sigma_before, sigma, sigma_next in zip(sigmas, sigmas[1:], sigmas[2:], strict=False):
        last, step = sigma - sigma_before, sigma_next - sigma
        ratio = (step / last) ** 2
        change = step * (last + step) / last * derivative(denoise, x, sigma)
        before, x = x, ratio * before + (1 - ratio) * x + change
        yield x


def euler_back(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], corrections: Sequence[Tensor] = (), preserve: float = 1.0
) -> Iterator[Tensor]:
    """Euler steps down, which are DDIM's: the states at ``sigmas[1:]``, falling.

    corrections: [B, C, ...] each, added after the first share ``preserve`` (0..1) of the steps (Direct Inversion,
                 arXiv:2310.01506); few or none
    """
    kept = round(preserve * len(corrections))
    for index, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = euler_step(denoise, x, sigma, sigma_next)
        if index < kept:
            x = x + corrections[index].to(x)
        yield x


def pinned_corrections(denoise: Denoise, states: Sequence[Tensor], sigmas: Sequence[float]) -> Iterator[Tensor]:
    """What each step down misses the inverted path by (Direct Inversion, arXiv:2310.01506), falling.

    states: [B, C, ...] each, the path from the noise down to the picture; sigmas: theirs, falling
    """
    for (state, state_next), (sigma, sigma_next) in zip(pairwise(states), pairwise(sigmas), strict=True):
        yield state_next - euler_step(denoise, state, sigma, sigma_next)


def ancestral_mean(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float, flow: bool) -> Tensor:
    """Where an ancestral step from s to s' lands before its noise (k-diffusion's ``get_ancestral_step`` at eta 1).

    An Euler step to s_down = s'²/s; flow states are scaled from the signal there, 1 - s_down, to that of s'.

    x: [B, C, ...] at ``sigma``
    """
    sigma_down = sigma_next**2 / sigma
    mean = euler_step(denoise, x, sigma, sigma_down)
    return mean * ((1 - sigma_next) / (1 - sigma_down)) if flow else mean


def noise_maps(
    denoise: Denoise, x: Tensor, noise_at: Callable[[float], Tensor], sigmas: Sequence[float], flow: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Edit-friendly DDPM inversion (arXiv:2304.06140): pairs of (state, correction), falling.

    Every state is the picture noised independently; the correction is what an ancestral step from it must add to reach
    the next. The last one, to the picture itself, is kept too. One call a step.

    x:        [B, C, ...] the clean picture in the model's space
    noise_at: the unit noise of a sigma, of the shape of ``x``; asked once for each, falling
    sigmas:   falling, ending in 0
    """

    def noised(sigma: float) -> Tensor:
        return (x * (1 - sigma) if flow else x) + sigma * noise_at(sigma).to(x)

    state = noised(sigmas[0])
    for sigma, sigma_next in pairwise(sigmas):
        state_next = noised(sigma_next) if sigma_next > 0 else x
        yield state, state_next - ancestral_mean(denoise, state, sigma, sigma_next, flow)
        state = state_next


def noise_maps_back(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], corrections: Sequence[Tensor], flow: bool
) -> Iterator[Tensor]:
    """The way down of ``noise_maps``: ancestral steps with the noise that was found; the states at ``sigmas[1:]``."""
    for (sigma, sigma_next), correction in zip(pairwise(sigmas), corrections, strict=True):
        x = ancestral_mean(denoise, x, sigma, sigma_next, flow) + correction.to(x)
        yield x
