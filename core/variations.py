"""Plans of variations: several runs side by side, each of which can be made again alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Variation:
    """One picture of a variation batch: which input picture it starts from, its seed and its strength."""

    picture: int
    seed: int
    strength: float


def plan_variations(
    pictures: int, seeds: Sequence[int], strengths: Sequence[float], first_item: int
) -> list[Variation]:
    """The variations to make: every picture with every seed, picture by picture.

    seeds:      of the whole list, however it is split between machines
    strengths:  one for every seed, repeated from the start where there are fewer
    first_item: index in the list of the first one to make
    """
    if first_item >= len(seeds):
        raise ValueError(
            f"first_item is {first_item}, but the list holds items 0 to {len(seeds) - 1}; choose one of these"
        )
    return [
        Variation(picture, seeds[index], strengths[index % len(strengths)])
        for picture in range(pictures)
        for index in range(first_item, len(seeds))
    ]


def names_of(items: Sequence[Variation]) -> list[str]:
    """What each item is called: by its seed, and by whatever else tells it from the others."""
    several = len({item.picture for item in items}) > 1
    strengths: dict[int, set[float]] = {}
    for item in items:
        strengths.setdefault(item.seed, set()).add(item.strength)
    return [
        str(item.seed)
        + (f" at {item.strength:g}" if len(strengths[item.seed]) > 1 else "")
        + (f", picture {item.picture + 1}" if several else "")
        for item in items
    ]


def place_of(name: str, items: Sequence[Variation]) -> int | None:
    """The place of the item that is called so; of no name the first, and None where no item has this name."""
    names = [*names_of(items), ""]
    return names.index(name.strip()) % len(items) if name.strip() in names else None


def batches(items: Sequence[Variation], limit: int) -> Iterator[list[Variation]]:
    """The items in parts that can be sampled together: neighbors of one strength, at most ``limit`` at a time."""
    batch: list[Variation] = []
    for item in items:
        if batch and (len(batch) == limit or item.strength != batch[0].strength):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
