"""Plans of several runs: refinement passes one after another, variations side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .noise import SEED_LIMIT
from .schedule import StrengthPlan

SEED_MODES = ("increment", "same")


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

    prompt: place of the settings whose prompts it uses, for those that have prompts of their own
    """

    plan: StrengthPlan
    seed: int
    cfg: float
    prompt: int


def plan_passes(
    settings: Sequence[PassSettings],
    steps: int,
    cfg: float,
    seed: int,
    seed_mode: str,
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
            (seed + step * place) % SEED_LIMIT if one.seed is None else one.seed,
            cfg if one.cfg is None else one.cfg,
            place,
        )
        for place, one in enumerate(settings)
    ]


@dataclass(frozen=True)
class Variation:
    """One picture of a variation batch: which input picture it starts from, its seed and its strength."""

    picture: int
    seed: int
    strength: float


def plan_variations(
    pictures: int, seeds: Sequence[int], strengths: Sequence[float], first_item: int, count: int
) -> list[Variation]:
    """The variations to make: every picture with every seed, picture by picture.

    seeds:      of the whole list, however it is split between machines
    strengths:  one for every seed, repeated from the start where there are fewer
    first_item: the first place of the list to make
    count:      how many places of the list to make
    """
    if first_item >= len(seeds):
        raise ValueError(
            f"first_item is {first_item}, but the list holds items 0 to {len(seeds) - 1}; choose one of these"
        )
    places = range(first_item, min(first_item + count, len(seeds)))
    return [
        Variation(picture, seeds[place], strengths[place % len(strengths)])
        for picture in range(pictures)
        for place in places
    ]


def batches(items: Sequence[Variation], limit: int) -> Iterator[list[int]]:
    """Places of the items that can be sampled together: neighbours of one strength, at most ``limit`` at a time."""
    batch: list[int] = []
    for place, item in enumerate(items):
        if batch and (len(batch) == limit or item.strength != items[batch[0]].strength):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
