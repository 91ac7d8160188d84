"""Plans of refinement: several runs, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .noise import SEED_LIMIT
from .schedule import StrengthPlan

SeedMode = Literal["increment", "same"]
SEED_MODES: tuple[SeedMode, ...] = get_args(SeedMode)
MatchColors = Literal["off", "latent"]
MATCHES: tuple[MatchColors, ...] = get_args(MatchColors)


@dataclass(frozen=True)
class PassSettings:
    """What one pass of a refinement asks for; None takes what all passes share."""

    strength: float
    steps: int | None = None
    cfg: float | None = None
    seed: int | None = None
    positive: Any = None
    negative: Any = None


@dataclass(frozen=True)
class SettledPass:
    """One pass of a refinement, settled.

    prompt: index of the settings whose prompts it uses, for those that have prompts of their own
    """

    plan: StrengthPlan
    seed: int
    cfg: float
    prompt: int


@dataclass(frozen=True)
class RefinePlan:
    """All passes of a refinement, settled.

    sampler:      its name, or "connected: ..." for a connected SAMPLER
    match_colors: whether the colors of each region are brought back after each pass
    max_drift:    mean Delta E at which the refinement stops; 0 for never
    """

    passes: list[SettledPass]
    sampler: str
    match_colors: MatchColors
    max_drift: float = 0.0


def plan_passes(
    settings: Sequence[PassSettings],
    steps: int,
    cfg: float,
    seed: int,
    seed_mode: SeedMode,
    plan_strength: Callable[[float, int], StrengthPlan],
) -> list[SettledPass]:
    """The passes of a refinement, in order.

    steps, cfg:    for passes without their own
    seed_mode:     ``increment`` gives each pass the next seed, ``same`` repeats the first one
    plan_strength: (strength, steps) -> sigmas

    Source: SDEdit repeated at falling strengths; loopback in web UIs counts its seeds the same way.
    """
    if seed_mode not in SEED_MODES:
        raise ValueError(f"seed_mode must be one of {', '.join(SEED_MODES)}, got {seed_mode!r}")
    if not settings:
        raise ValueError("strengths is empty; write one strength for each pass, like 0.6, 0.4, 0.2")
    step = 1 if seed_mode == "increment" else 0
    return [
        SettledPass(
            plan_strength(one.strength, steps if one.steps is None else one.steps),
            (seed + step * index) % SEED_LIMIT if one.seed is None else one.seed,
            cfg if one.cfg is None else one.cfg,
            index,
        )
        for index, one in enumerate(settings)
    ]
