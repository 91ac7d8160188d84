"""Plans of several runs: refinement passes one after another, variations side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .schedule import StrengthPlan

SEED_MODES = ("increment", "same")
SEED_COUNT = 2**64


@dataclass(frozen=True)
class RefinePass:
    """One pass of a refinement: its sigmas and the seed of its noise."""

    plan: StrengthPlan
    seed: int


def plan_passes(
    strengths: Sequence[float], seed: int, seed_mode: str, plan_strength: Callable[[float], StrengthPlan]
) -> list[RefinePass]:
    """The passes of a refinement, in order.

    strengths:     one for each pass, 0..1
    seed_mode:     ``increment`` gives each pass the next seed, ``same`` repeats the first one
    plan_strength: strength -> sigmas

    Source: SDEdit repeated at falling strengths; loopback in web UIs counts its seeds the same way.
    """
    if seed_mode not in SEED_MODES:
        raise ValueError(f"seed_mode must be one of {', '.join(SEED_MODES)}, got {seed_mode!r}")
    if not strengths:
        raise ValueError("strengths is empty; write one strength for each pass, like 0.6, 0.4, 0.2")
    step = 1 if seed_mode == "increment" else 0
    return [RefinePass(plan_strength(strength), (seed + step * i) % SEED_COUNT) for i, strength in enumerate(strengths)]


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
