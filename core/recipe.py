"""Recipes: a report of a refinement, from which it can be run again and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .noise import SEED_LIMIT, digest
from .passes import SettledPass
from .schedule import StrengthPlan

NODE = "ProgressiveRefine"
PROBES = 64


@dataclass(frozen=True)
class Recipe:
    """What a former report says.

    passes:       as they were run
    sampler:      its name, or "connected: ..." where it was a connected SAMPLER
    match_colors: as it was set
    facts:        digests and versions to compare with
    result:       digest and probes of the former result
    """

    passes: list[SettledPass]
    sampler: str
    match_colors: str
    facts: dict[str, Any]
    result: dict[str, Any]


def read_recipe(text: str) -> Recipe:
    """Read a report of ProgressiveRefine.

    raises: ValueError naming what is wrong with the text
    """
    try:
        said = json.loads(text)
        if said["node"] != NODE:
            raise ValueError(f"it is a report of {said['node']}")
        passes = [_read_pass(one, place) for place, one in enumerate(said["passes"])]
        return Recipe(passes, said["sampler"], said["match_colors"], said["facts"], said["result"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"recipe: the text is no report of {NODE} ({error}); connect or paste the whole report of a former run"
        ) from error


def _read_pass(said: Mapping[str, Any], place: int) -> SettledPass:
    sigmas = torch.tensor(said["sigmas"], dtype=torch.float32)
    plan = StrengthPlan(sigmas, said["strength"], said["measure"], said["step_count"], said["capped"])
    seed = int(said["seed"])
    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"seed {seed} of pass {place + 1} is out of range")
    return SettledPass(plan, seed, float(said["cfg"]), place)


def describe_result(samples: Tensor) -> dict[str, Any]:
    """A result in short: the digest of its bits, and some of its values, to see how far another one is away."""
    places = torch.linspace(0, samples.numel() - 1, min(PROBES, samples.numel())).long()
    return {"digest": digest(samples), "shape": list(samples.shape), "probes": samples.flatten()[places].tolist()}


def compare_results(recipe: Recipe, facts: Mapping[str, Any], samples: Tensor) -> dict[str, Any]:
    """Whether a run gave the recipe's result again, and if not, how far it is away and which facts differ.

    The largest difference is taken over the recorded values; None where the shapes differ.
    """
    now = describe_result(samples)
    if now["digest"] == recipe.result["digest"]:
        return {"identical": True}
    differs = [name for name, value in facts.items() if recipe.facts.get(name) != value]
    largest = None
    if now["shape"] == recipe.result["shape"]:
        pairs = zip(now["probes"], recipe.result["probes"], strict=True)
        largest = max(abs(new - old) for new, old in pairs)
    return {"identical": False, "largest_difference": largest, "differs": differs}
