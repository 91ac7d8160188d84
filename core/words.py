"""Reports in words: what a node did, in a line or two for an artist."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Facts = Mapping[str, Any]
LISTED = 4


def in_words(report: str) -> list[str]:
    """The report of any node, its JSON text, in one or two plain lines: what it took, and what happened."""
    facts = json.loads(report)
    happened = [sentence for say in SENTENCES for sentence in say(facts)]
    return [line[0].upper() + line[1:] for line in (_cost(facts), "; ".join(happened)) if line]


def _cost(facts: Facts) -> str:
    """`20 steps, 40 model calls, 2.1 s`; nothing of nodes that never ask a model."""
    if "model_calls" not in facts:
        return ""
    seconds = f"{facts['seconds']:.1f} s"
    if not facts["model_calls"]:
        return f"nothing new to sample, {seconds}"
    runs = facts.get("passes") or ([facts] if "sigmas" in facts else [])
    steps = sum(max(0, len(one["sigmas"]) - 1) for one in runs)
    counts = [_counted(steps, "step")] if steps else []
    graded = f", {facts['grade']['model_calls']} more to grade it" if "grade" in facts else ""
    return ", ".join([*counts, _counted(facts["model_calls"], "model call") + graded, seconds])


def _guidance(facts: Facts) -> Iterable[str]:
    """Where a model or a cfg does harm: guidance on top of guidance as Flux has it, or not what was prepared for."""
    if facts.get("guided_twice"):
        yield "this model has its guidance built in, and cfg above 1 burns its colors: set cfg to 1"
    tuned = facts.get("inversion", {}).get("null_text")
    if facts.get("inverted_by") == "another model":
        yield "another model inverted it, or this one with other LoRAs: the picture may not come back"
    if tuned and facts.get("cfg") == 1.0:
        yield f"at cfg 1 what Null-Text tuned has no part: set cfg to {tuned['cfg']:g}"


def _strength(facts: Facts) -> Iterable[str]:
    """`strength 0.6, started at t 599`."""
    runs = facts.get("passes") or facts.get("items") or [facts.get("inversion", facts)]
    strengths = _listed(f"{one['strength']:g}" for one in runs if "strength" in one)
    parts = [strengths and _plural("strength", strengths)]
    if facts.get("start_timestep"):
        parts.append(f"started at t {facts['start_timestep']:.0f}")
    if "noise_share" in facts and "noised_to" in facts:
        parts.append(f"noised to t {facts['noised_to']:.0f}: {facts['noise_share']:.0%} noise")
    if facts.get("capped"):
        parts.append("all the noise this model knows")
    return filter(None, [", ".join(filter(None, parts))])


def _seed(facts: Facts) -> Iterable[str]:
    """`seed 5`, where it drew anything."""
    if facts.get("seed_counts") is False:
        return ["this seed did nothing: the noise came with the latent"]
    if facts.get("method", "noise_maps") != "noise_maps":  # the other inversions draw nothing
        return []
    runs = facts.get("passes") or facts.get("items") or facts.get("cells") or [facts]
    seeds = _listed(str(one["seed"]) for one in runs if "seed" in one)
    return [_plural("seed", seeds)] if seeds else []


def _chosen(facts: Facts) -> Iterable[str]:
    """Which of the variations goes on."""
    if facts.get("chosen_is_missing"):
        yield f"the chosen one is not among these, so {facts['chosen']} goes on"
    elif "chosen" in facts:
        yield f"{facts['chosen']} goes on as chosen"


def _tiles(facts: Facts) -> Iterable[str]:
    """`6 tiles of 512 x 512`."""
    if facts.get("tiles", 1) > 1:
        height, width = facts["tile_pixels"]
        yield f"{facts['tiles']} tiles of {width} x {height}"


def _grid(facts: Facts) -> Iterable[str]:
    """How many pictures, and the value of each setting that has most marks, where there is just one."""
    if "runs" not in facts:
        return
    kept = f", {facts['reused']} of them kept from before" if facts["reused"] else ""
    yield _counted(facts["runs"], "picture") + kept
    for name, counts in facts["marks"].items():
        best = [value for value, times in counts.items() if times == max(counts.values())]
        if len(best) == 1:
            yield f"most marks: {name} {best[0]}"


def _mask(facts: Facts) -> Iterable[str]:
    """`outside the mask 0 of 13,884 pixels changed`."""
    if "outside" in facts:
        outside = facts["outside"]
        yield f"outside the mask {outside['changed']:,} of {outside['pixels']:,} pixels changed"
    elif facts.get("mask") in ("hard", "soft"):
        rest = "; the rest went through the VAE" if "through_vae" in facts else " only"
        yield f"painted under the mask{rest}"
    elif facts.get("mask") == "none":
        yield "the mask is black all over: nothing may change"
    if "share" in facts:
        yield f"{facts['share']:.0%} of the picture is under the mask"


def _passes(facts: Facts) -> Iterable[str]:
    """How far colors moved, why passes stopped early, and whether a recipe came out the same."""
    drifts = [one["delta_e"] for one in facts.get("passes", []) if one["delta_e"] is not None]
    if drifts:
        yield f"colors moved by {drifts[-1]:.1f} Delta E"
    if facts.get("stopped"):
        yield f"stopped early: {facts['stopped']}"
    if facts.get("recipe_check"):
        yield "identical to the recipe" if facts["recipe_check"]["identical"] else "not identical to the recipe"


def _comparison(facts: Facts) -> Iterable[str]:
    """How far two pictures are apart."""
    if facts.get("identical"):
        yield "the pictures are identical"
    elif "changed_pixels" in facts:
        yield f"PSNR {facts['psnr']:.1f} dB, SSIM {facts['ssim']:.3f}"
        yield f"{facts['changed_pixels']:,} of {facts['pixels']:,} pixels differ"


def _detail(facts: Facts) -> Iterable[str]:
    """Where restored detail is from."""
    if "stands" in facts:
        yield f"{facts['kept']:.0%} is the original's, {facts['stands']:.0%} the edit's, {facts['fitted']:.0%} fitted"


SENTENCES = (_guidance, _strength, _seed, _chosen, _tiles, _grid, _mask, _passes, _comparison, _detail)
"""What is said of facts, in this order; each says nothing where the facts are not there."""


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _listed(texts: Iterable[str]) -> str:
    """The first few of the texts, each once."""
    every = list(dict.fromkeys(texts))
    more = len(every) - LISTED
    return ", ".join(every[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _plural(name: str, listed: str) -> str:
    return f"{name}{'s' if ',' in listed else ''} {listed}"
