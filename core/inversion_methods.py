"""The inversion methods to choose from: one table entry each says how it gets up, how it gets down, and how well.

A new method is a function (in ``inversion.py``, or a file beside it) and an entry in METHODS, where the menu has its
name from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from .inversion import (
    Denoise,
    InputDivisor,
    Inversion,
    corrected,
    ddim,
    euler_back,
    exact,
    noise_maps,
    noise_maps_back,
    pinned_corrections,
)
from .multistep import multistep
from .verdict import MidpointError, Residual, RoundTripError, corrections_residual, path_residual, rounding_residual


@dataclass(frozen=True, eq=False, repr=False)
class Ascent:
    """What a way up is made with; each method takes of it what it needs.

    sigmas:        rising from 0
    flow:          whether the model is a flow model
    input_divisor: of the model
    iterations:    calls a step of ``corrected``
    noise_at:      for ``noise_maps``, the unit noise of a sigma; asked in falling order
    keep:          whether every state is wanted
    watch:         is shown each state, and each correction, as it is found
    """

    sigmas: Sequence[float]
    flow: bool
    input_divisor: InputDivisor
    iterations: int
    noise_at: Callable[[float], Tensor]
    keep: bool
    watch: Callable[[Tensor], None]


@dataclass(frozen=True, eq=False, repr=False)
class Walk:
    """What a method found on its way up; the fields are those of ``Inversion``."""

    state: Tensor
    below: Tensor | None = None
    corrections: tuple[Tensor, ...] = ()
    trajectory: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Method:
    """A way from a picture to noise and back.

    up:       (denoise, clean picture, ascent) -> Walk
    down:     (denoise, inversion, preserve) -> the states from ``sigmas[1]`` on, falling
    residual: what the way up shows of the round trip's error without running back
    walks:    how many times the way up goes through the sigmas, for the progress bar
    double:   whether its sums cancel, so that states must be float64
    error:    what foretells the error of its way down as the way up goes, where that can be
    has_path: whether its states lie on a path that a sampler could follow down
    """

    up: Callable[[Denoise, Tensor, Ascent], Walk]
    down: Callable[[Denoise, Inversion, float], Iterator[Tensor]]
    residual: Callable[[Walk, RoundTripError], Residual]
    walks: int = 1
    double: bool = False
    error: type[RoundTripError] | None = None
    has_path: bool = True


def _climb(x: Tensor, ascent: Ascent, states: Iterator[Tensor], whole: bool = False) -> deque[Tensor]:
    """The states of a way up, highest first: all of them where they are wanted, else only the last two."""
    path = deque([x], maxlen=None if whole or ascent.keep else 2)
    path.extendleft(_watched(states, ascent.watch))
    return path


def _watched(items: Iterator[Tensor], watch: Callable[[Tensor], None]) -> Iterator[Tensor]:
    for item in items:
        watch(item)
        yield item


def _ddim_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    path = _climb(x, ascent, ddim(denoise, x, ascent.sigmas, ascent.input_divisor))
    return Walk(path[0], trajectory=tuple(path) if ascent.keep else ())


def _corrected_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    states = corrected(denoise, x, ascent.sigmas, ascent.input_divisor, ascent.iterations)
    path = _climb(x, ascent, states)
    return Walk(path[0], trajectory=tuple(path) if ascent.keep else ())


def _exact_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    second = next(ddim(denoise, x, ascent.sigmas[:2], ascent.input_divisor))
    path = _climb(x, ascent, exact(denoise, x, second, ascent.sigmas))
    return Walk(path[0], below=path[1], trajectory=tuple(path) if ascent.keep else ())


def _pinned_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    path = tuple(_climb(x, ascent, ddim(denoise, x, ascent.sigmas, ascent.input_divisor), whole=True))
    corrections = tuple(_watched(pinned_corrections(denoise, path, ascent.sigmas[::-1]), ascent.watch))
    return Walk(path[0], corrections=corrections, trajectory=path if ascent.keep else ())


def _multistep_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    path = _climb(x, ascent, multistep(denoise, x, ascent.sigmas, ascent.input_divisor))
    return Walk(path[0], trajectory=tuple(path) if ascent.keep else ())


def _noise_maps_up(denoise: Denoise, x: Tensor, ascent: Ascent) -> Walk:
    states, corrections = [], []
    for state, correction in noise_maps(denoise, x, ascent.noise_at, ascent.sigmas[::-1], ascent.flow):
        ascent.watch(state)
        states.append(state)
        corrections.append(correction)
    return Walk(states[0], corrections=tuple(corrections), trajectory=(*states, x) if ascent.keep else ())


def _euler_down(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    return euler_back(denoise, inversion.state, inversion.sigmas.tolist(), inversion.corrections, preserve)


def _exact_down(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    assert inversion.below is not None
    return exact(denoise, inversion.state, inversion.below, inversion.sigmas.tolist())


def _multistep_down(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    return multistep(denoise, inversion.state, inversion.sigmas.tolist(), lambda sigma: 1.0)


def _noise_maps_down(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    sigmas = inversion.sigmas.tolist()
    return noise_maps_back(denoise, inversion.state, sigmas, inversion.corrections, inversion.flow)


def _foretold_residual(walk: Walk, error: RoundTripError) -> Residual:
    return path_residual(error)


def _exact_residual(walk: Walk, error: RoundTripError) -> Residual:
    return rounding_residual(walk.state)


def _pinned_residual(walk: Walk, error: RoundTripError) -> Residual:
    return corrections_residual("the error that is put right after a step down", walk.state, walk.corrections)


def _noise_maps_residual(walk: Walk, error: RoundTripError) -> Residual:
    return corrections_residual("the noise that a step down adds", walk.state, walk.corrections)


METHODS: dict[str, Method] = {
    "corrected": Method(_corrected_up, _euler_down, _foretold_residual, error=RoundTripError),
    "exact": Method(_exact_up, _exact_down, _exact_residual, double=True),
    "pinned": Method(_pinned_up, _euler_down, _pinned_residual, walks=2),
    "noise_maps": Method(_noise_maps_up, _noise_maps_down, _noise_maps_residual, has_path=False),
    "multistep": Method(_multistep_up, _multistep_down, _foretold_residual, error=MidpointError),
    "ddim": Method(_ddim_up, _euler_down, _foretold_residual, error=RoundTripError),
}
"""In the order of the menu."""

FOLLOWED = ("ddim", "exact", "multistep", "corrected")
"""Those whose noise a sampler may start from, fewest calls first. Pinned's noise is ddim's, at twice the calls."""


def method_named(name: str) -> Method:
    """The method of that name; raises ValueError where there is none."""
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]


def invert(denoise: Denoise, x: Tensor, method: Method, ascent: Ascent) -> tuple[Walk, Residual]:
    """Walk a picture up to noise; also what the walk shows of how well it will come back.

    x: [B, C, ...] the clean picture in the model's space
    """
    error = (method.error or RoundTripError)(x, ascent.input_divisor)

    def watch(state: Tensor) -> None:
        ascent.watch(state)
        if method.error:
            error.found(state)

    walk = method.up(error.listening(denoise), x, replace(ascent, watch=watch))
    return walk, method.residual(walk, error)


def run_back(denoise: Denoise, inversion: Inversion, preserve: float) -> Iterator[Tensor]:
    """From the noise of an inversion down to a picture, by the method it was made with; the states, falling.

    preserve: 0..1, the share of the run that is held to the original, for methods that can
    """
    return METHODS[inversion.method].down(denoise, inversion, preserve)
