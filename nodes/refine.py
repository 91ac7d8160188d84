"""ProgressiveRefine and RefinePass: several passes at decreasing strength."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from comfy_api.latest import io

from .. import host
from ..core.noise import SEED_LIMIT
from ..core.passes import MATCHES, SEED_MODES, MatchColors, PassSettings, RefinePlan, SeedMode, plan_passes
from ..core.recipe import NODE, Recipe, compare_results, describe_result, read_recipe
from ..core.report import Report
from ..core.schedule import Measure, StepCount, StrengthPlan, StrengthSettings
from ..core.text import parse_strengths
from . import inputs


class RefinePass(io.ComfyNode):
    """One pass of a refinement with settings of its own."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgRefinePass",
            display_name="Refine Pass",
            category="img2img/sampling",
            search_aliases=["refine pass", "loopback step", "multi pass", "prompt per pass"],
            description="One pass for Progressive Refine, with its own strength and, if you like, its own prompt, cfg, "
            "steps and seed. Chain one after another.",
            inputs=[
                inputs.strength(0.5),
                io.Int.Input(
                    "steps", default=0, min=0, max=10000, tooltip="Steps of this pass. 0: as in Progressive Refine."
                ),
                io.Float.Input(
                    "cfg",
                    default=-1.0,
                    min=-1.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Guidance of this pass. -1: as in Progressive Refine.",
                ),
                io.Int.Input(
                    "seed",
                    default=-1,
                    min=-1,
                    max=SEED_LIMIT - 1,
                    control_after_generate=False,
                    tooltip="Seed of this pass. -1: counted on by Progressive Refine.",
                ),
                io.Conditioning.Input(
                    "positive", optional=True, tooltip="The prompt of this pass. Without: the shared one."
                ),
                io.Conditioning.Input(
                    "negative", optional=True, tooltip="The negative prompt of this pass. Without: the shared one."
                ),
                inputs.Passes.Input("passes", optional=True, tooltip="The passes before this one."),
            ],
            outputs=[
                inputs.Passes.Output(display_name="passes", tooltip="For Progressive Refine, or the next Refine Pass.")
            ],
        )

    @classmethod
    def execute(
        cls,
        strength: float,
        steps: int,
        cfg: float,
        seed: int,
        positive: io.Conditioning.Type | None = None,
        negative: io.Conditioning.Type | None = None,
        passes: tuple[PassSettings, ...] = (),
    ) -> io.NodeOutput:
        one = PassSettings(
            strength, steps or None, None if cfg < 0 else cfg, None if seed < 0 else seed, positive, negative
        )
        return io.NodeOutput((*passes, one))


class ProgressiveRefine(io.ComfyNode):
    """Refine a picture in passes, in latent space."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="ProgressiveRefine",
            display_name="Progressive Refine (loopback)",
            category="img2img/sampling",
            search_aliases=["loopback", "multi pass", "iterative", "hires fix", "refiner", "img2img loop"],
            folded=["seed_mode", "max_drift", "recipe", "split_at"],
            description="Runs image to image several times in a row at decreasing strengths, without decoding in "
            "between: first the composition, then the details.",
            inputs=[
                inputs.model(),
                inputs.positive(),
                inputs.negative(),
                inputs.latent(),
                io.String.Input(
                    "strengths",
                    default="0.6, 0.4, 0.2",
                    tooltip="One strength for each pass, 0 to 1, separated by commas, or a range like 0.7..0.3 x5. "
                    "Let them fall. Not used where passes are connected.",
                ),
                inputs.steps(),
                inputs.cfg(),
                inputs.sampler_name(),
                inputs.scheduler(),
                inputs.seed("The seed of the first pass."),
                io.Combo.Input(
                    "seed_mode",
                    options=list(SEED_MODES),
                    tooltip="increment: each pass gets the next seed. same: all passes get the same noise.",
                ),
                inputs.Passes.Input(
                    "passes", optional=True, tooltip="Passes from Refine Pass, with settings of their own."
                ),
                inputs.mask(),
                io.Vae.Input(
                    "vae", optional=True, tooltip="Connect it to see each pass and how far its colors have drifted."
                ),
                io.Float.Input(
                    "max_drift",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    optional=True,
                    tooltip="Stop before the pass that would move the colors further than this from the first picture "
                    "(mean Delta E; about 2 is visible). 0: never. Needs vae.",
                ),
                io.Combo.Input(
                    "match_colors",
                    options=list(MATCHES),
                    optional=True,
                    tooltip="latent: after each pass, bring the colors of each region back to the first picture's. "
                    "Detail stays new. Not for prompts that change colors or light.",
                ),
                io.String.Input(
                    "recipe",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="A former report. Its passes are run again exactly, and the new report says whether the "
                    "result is identical.",
                ),
                inputs.measure(),
                inputs.step_count(),
                inputs.sampler(),
                *inputs.low_model(),
            ],
            outputs=[
                io.Latent.Output(display_name="final"),
                io.Latent.Output(display_name="every pass", tooltip="The result of each pass, in order, as one batch."),
                inputs.report(),
            ],
        )

    @classmethod
    def validate_inputs(cls, strengths: str | None = None) -> bool | str:
        return inputs.readable("strengths", parse_strengths, strengths)

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent: io.Latent.Type,
        strengths: str,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        seed: int,
        seed_mode: SeedMode,
        passes: tuple[PassSettings, ...] = (),
        mask: torch.Tensor | None = None,
        vae: io.Vae.Type | None = None,
        max_drift: float = 0.0,
        match_colors: MatchColors = "off",
        recipe: str = "",
        measure: Measure = "timestep",
        step_count: StepCount = "exact",
        sampler: io.Sampler.Type | None = None,
        low_model: io.Model.Type | None = None,
        split_at: float = 0.875,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        former = read_recipe(recipe) if recipe.strip() else None
        settings = passes or tuple(PassSettings(strength) for strength in parse_strengths(strengths))
        planned = partial(_plan_pass, model, StrengthSettings(scheduler, steps, 0.0, measure, step_count))
        fresh = plan_passes(settings, steps, cfg, seed, seed_mode, planned)
        chosen, limit = _chosen_sampler(former, sampler_name, sampler), _drift_limit(max_drift, vae)
        plan = former.plan if former else RefinePlan(fresh, chosen.label, match_colors, limit)
        shared = host.Guidance(model, positive, negative, cfg).with_low(low_model, split_at)
        guidances = _guidances(shared, settings, plan)
        _check_has_colors(model, plan)
        opened = host.open_clean_latent(model, latent, mask)
        refinement = host.Refinement(model, guidances, chosen, opened, plan, vae)
        refined = refinement.run()
        facts = _facts(refinement, refined, former) | {"scheduler": scheduler, "seed_mode": seed_mode}
        text = report.text(refined.work, **facts)
        final, every = host.close_latent(latent, refined.final), {"samples": refined.every}
        return io.NodeOutput(final, every, text, ui=host.before_after_panel(text, *refinement.shown(refined), first=-1))


def _plan_pass(model: io.Model.Type, shared: StrengthSettings, strength: float, steps: int) -> StrengthPlan:
    return host.plan_strength(model, replace(shared, strength=strength, steps=steps))


def _guidances(shared: host.Guidance, settings: tuple[PassSettings, ...], plan: RefinePlan) -> list[host.Guidance]:
    """What each pass is guided by: its own cfg and prompts, or the shared ones."""
    guidances = []
    for settled in plan.passes:
        own = settings[settled.prompt] if settled.prompt < len(settings) else PassSettings(0.0)
        positive = shared.positive if own.positive is None else own.positive
        negative = shared.negative if own.negative is None else own.negative
        guidances.append(replace(shared, positive=positive, negative=negative, cfg=settled.cfg))
    return guidances


def _chosen_sampler(former: Recipe | None, sampler_name: str, sampler: io.Sampler.Type | None) -> host.Sampler:
    """The sampler; a recipe brings its own where text can say it."""
    if former is None:
        return host.Sampler.chosen(sampler_name, sampler)
    label = former.plan.sampler
    if label in host.sampler_names():
        return host.Sampler.chosen(label)
    if sampler is None or host.Sampler.chosen(sampler_name, sampler).label != label:
        raise ValueError(
            f"recipe: it was made with a SAMPLER that text cannot make again ({label}); connect the same one to sampler"
        )
    return host.Sampler.chosen(sampler_name, sampler)


def _check_has_colors(model: io.Model.Type, plan: RefinePlan) -> None:
    if plan.match_colors != "off" and host.makes_sound(model):
        raise ValueError(
            f"match_colors is {plan.match_colors}, but this model makes sound, without colors; set it to off"
        )


def _drift_limit(max_drift: float, vae: io.Vae.Type | None) -> float:
    if max_drift > 0 and vae is None:
        raise ValueError(
            f"max_drift is {max_drift}, but colors are only seen with a VAE; connect vae, or set max_drift to 0"
        )
    return max_drift


def _facts(refinement: host.Refinement, refined: host.Refined, former: Recipe | None) -> dict[str, Any]:
    """What the report says; after a recipe, also whether the result is the same again."""
    facts = refinement.facts()
    return {
        "node": NODE,
        "sampler": refinement.plan.sampler,
        "match_colors": refinement.plan.match_colors,
        "passes": [one.describe() for one in refined.passes],
        "stopped": refined.stopped,
        "facts": facts,
        "result": describe_result(refined.final),
        "recipe_check": compare_results(former, facts, refined.final) if former else None,
    }
