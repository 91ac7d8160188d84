"""Recipes: a report of a refinement, from which it can be run again and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .noise import SEED_LIMIT, digest
from .passes import RefinePlan, SettledPass
from .schedule import StrengthPlan, StrengthSettings

NODE = "ProgressiveRefine"
PROBES = 64


@dataclass(frozen=True)
class Recipe:
    """What a former report says.

    plan:   what was run
    facts:  digests and versions to compare with
    result: digest and probes of the former result
    """

    plan: RefinePlan
    facts: dict[str, Any]
    result: dict[str, Any]


def read_recipe(text: str) -> Recipe:
    """Read a report of ProgressiveRefine.

    raises: ValueError naming what is wrong with the text
    """
    try:
        report = json.loads(text)
        if report["node"] != NODE:
            raise ValueError(f"it is a report of {report['node']}")
        passes = [_read_pass(one, index, report["scheduler"]) for index, one in enumerate(report["passes"])]
        plan = RefinePlan(passes, report["sampler"], report["match_colors"])
        return Recipe(plan, report["facts"], report["result"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"recipe: the text is no report of {NODE} ({error}); connect or paste the whole report of a former run"
        ) from error


def _read_pass(facts: Mapping[str, Any], index: int, scheduler: str) -> SettledPass:
    sigmas = torch.tensor(facts["sigmas"], dtype=torch.float32)
    settings = StrengthSettings(scheduler, facts["steps"], facts["strength"], facts["measure"], facts["step_count"])
    seed = int(facts["seed"])
    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"seed {seed} of pass {index + 1} is out of range")
    return SettledPass(StrengthPlan(sigmas, settings, facts["capped"]), seed, float(facts["cfg"]), index)


def describe_result(samples: Tensor) -> dict[str, Any]:
    """A result in short: the digest of its bits, and some of its values, to see how far another one is away."""
    probed = torch.linspace(0, samples.numel() - 1, min(PROBES, samples.numel())).long()
    return {"digest": digest(samples), "shape": list(samples.shape), "probes": samples.flatten()[probed].tolist()}


def compare_results(recipe: Recipe, facts: Mapping[str, Any], samples: Tensor) -> dict[str, Any]:
    """Whether a run gave the recipe's result again, and if not, how far it is away and which facts differ.

    The largest difference is taken over the recorded values; None where the shapes differ.

    facts:   of this run, to compare with the recipe's
    samples: [B, C, ...] of this run
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
