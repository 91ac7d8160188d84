"""ProgressiveRefine and RefinePass: several passes at falling strength."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..core.color import delta_e, match_channels
from ..core.mask import keep_outside
from ..core.noise import SEED_LIMIT, digest
from ..core.passes import SEED_MODES, PassSettings, SettledPass, plan_passes
from ..core.recipe import NODE, Recipe, compare_results, describe_result, read_recipe
from ..core.report import report
from ..core.sheet import from_pillow, labelled_row, to_pillow
from ..core.text import parse_strengths
from . import host, inputs
from .schedule import plan_strength

Passes = io.Custom("IMG2IMG_PASSES")

MATCHES = ("off", "latent")


class RefinePass(io.ComfyNode):
    """One pass of a refinement with settings of its own."""

    SEARCH_ALIASES = ["refine pass", "loopback step", "multi pass", "prompt per pass"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Img2ImgRefinePass",
            display_name="Refine Pass",
            category="img2img/sampling",
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
                Passes.Input("passes", optional=True, tooltip="The passes before this one."),
            ],
            outputs=[Passes.Output(display_name="passes", tooltip="For Progressive Refine, or the next Refine Pass.")],
        )

    @classmethod
    def execute(
        cls,
        strength: float,
        steps: int,
        cfg: float,
        seed: int,
        positive: Any = None,
        negative: Any = None,
        passes: tuple[PassSettings, ...] = (),
    ) -> io.NodeOutput:
        one = PassSettings(
            strength, steps or None, None if cfg < 0 else cfg, None if seed < 0 else seed, positive, negative
        )
        return io.NodeOutput((*passes, one))


class ProgressiveRefine(io.ComfyNode):
    """Refine a picture in passes, in latent space."""

    SEARCH_ALIASES = ["loopback", "multi pass", "iterative", "hires fix", "refiner", "img2img loop"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProgressiveRefine",
            display_name="Progressive Refine",
            category="img2img/sampling",
            description="Runs image to image several times in a row at falling strengths, without decoding in between: "
            "first the composition, then the details.",
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
                Passes.Input("passes", optional=True, tooltip="Passes from Refine Pass, with settings of their own."),
                inputs.mask(),
                io.Vae.Input(
                    "vae", optional=True, tooltip="Connect it to see each pass and how far its colours have drifted."
                ),
                io.Float.Input(
                    "max_drift",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    optional=True,
                    tooltip="Stop before the pass that would move the colours further than this from the first picture "
                    "(mean Delta E; about 2 is visible). 0: never. Needs vae.",
                ),
                io.Combo.Input(
                    "match_colors",
                    options=list(MATCHES),
                    optional=True,
                    tooltip="latent: after each pass, bring the colours of each region back to the first picture's. "
                    "Detail stays new. Not for prompts that change colours or light.",
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
            ],
            outputs=[
                io.Latent.Output(display_name="final"),
                io.Latent.Output(display_name="every pass", tooltip="The result of each pass, in order, as one batch."),
                inputs.report(),
            ],
        )

    @classmethod
    def validate_inputs(cls, strengths: str | None = None) -> bool | str:
        return inputs.readable(parse_strengths, strengths)

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        negative: Any,
        latent: dict[str, Any],
        strengths: str,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        seed: int,
        seed_mode: str,
        passes: tuple[PassSettings, ...] = (),
        mask: torch.Tensor | None = None,
        vae: Any = None,
        max_drift: float = 0.0,
        match_colors: str = "off",
        recipe: str = "",
        measure: str = "timestep",
        step_count: str = "exact",
        sampler: Any = None,
    ) -> io.NodeOutput:
        began = time.perf_counter()
        former = read_recipe(recipe) if recipe.strip() else None
        settings = passes or tuple(PassSettings(strength) for strength in parse_strengths(strengths))
        plan = former.passes if former else plan_passes(
            settings, steps, cfg, seed, seed_mode,
            lambda strength, count: plan_strength(model, scheduler, count, strength, measure, step_count),
        )  # fmt: skip
        label, chosen = _sampler(former, sampler_name, sampler)
        prompts = [_prompts(settings, place, positive, negative) for place in range(len(plan))]
        work = Refinement(
            model, prompts, chosen, host.open_clean_latent(model, latent, mask), plan,
            former.match_colors if former else match_colors, _drift_limit(max_drift, vae, former), vae,
        )  # fmt: skip
        done, stopped = work.run()
        facts = work.facts(label)
        final = done[-1].run.samples if done else work.opened.samples
        text = report(
            node=NODE, sampler=label, scheduler=scheduler, seed_mode=seed_mode, match_colors=work.match,
            passes=[one.describe() for one in done], stopped=stopped, facts=facts, result=describe_result(final),
            recipe_check=compare_results(former, facts, final) if former else None,
            model_calls=sum(one.run.calls for one in done), seconds=round(time.perf_counter() - began, 3),
        )  # fmt: skip
        every = torch.cat([one.run.samples for one in done]) if done else final
        strip = None if vae is None else ui.PreviewImage(from_pillow(work.strip(done)), cls=cls)
        return io.NodeOutput(host.close_latent(latent, final), {"samples": every}, text, ui=strip)  # pyright: ignore[reportArgumentType]


def _prompts(settings: tuple[PassSettings, ...], place: int, positive: Any, negative: Any) -> tuple[Any, Any]:
    """The prompts of a pass: its own, or the shared ones."""
    if place >= len(settings):
        return positive, negative
    own = settings[place]
    return (
        positive if own.positive is None else own.positive,
        negative if own.negative is None else own.negative,
    )


def _sampler(former: Recipe | None, sampler_name: str, sampler: Any) -> tuple[str, Any]:
    """The sampler and its label for the report; a recipe brings its own where text can say it."""
    if former is None:
        return host.sampler_label(sampler_name, sampler), host.resolve_sampler(sampler_name, sampler)
    if former.sampler in host.sampler_names():
        return former.sampler, host.resolve_sampler(former.sampler)
    if sampler is None or host.sampler_label(sampler_name, sampler) != former.sampler:
        raise ValueError(
            f"recipe: it was made with a SAMPLER that text cannot make again ({former.sampler}); "
            f"connect the same one to sampler"
        )
    return former.sampler, sampler


def _drift_limit(max_drift: float, vae: Any, former: Recipe | None) -> float:
    if max_drift > 0 and vae is None:
        raise ValueError(
            f"max_drift is {max_drift}, but colours are only seen with a VAE; connect vae, or set max_drift to 0"
        )
    return 0.0 if former else max_drift


@dataclass(frozen=True)
class Done:
    """One pass that was run; ``picture`` and ``drift`` where a VAE is connected."""

    settled: SettledPass
    run: host.Sampled
    picture: torch.Tensor | None = None
    drift: float | None = None

    def describe(self) -> dict[str, Any]:
        """The pass as a recipe needs it, and what it took."""
        plan = self.settled.plan
        return {
            "strength": plan.strength,
            "steps": plan.steps,
            "seed": self.settled.seed,
            "cfg": self.settled.cfg,
            "measure": plan.measure,
            "step_count": plan.step_count,
            "capped": plan.capped,
            "sigmas": plan.sigmas,
            "model_calls": self.run.calls,
            "seconds": round(self.run.seconds, 3),
            "delta_e": self.drift,
        }


@dataclass(frozen=True)
class Refinement:
    """Everything a refinement needs, checked; ``prompts`` holds (positive, negative) for each pass."""

    model: Any
    prompts: list[tuple[Any, Any]]
    sampler: Any
    opened: host.OpenLatent
    passes: list[SettledPass]
    match: str
    max_drift: float
    vae: Any

    @cached_property
    def first(self) -> torch.Tensor | None:
        """The picture before any pass, as the VAE shows it."""
        return self._decode(self.opened.samples)

    def run(self) -> tuple[list[Done], str | None]:
        """Each pass noises what the one before left; one progress bar over all. Also says why it stopped early."""
        progress = host.Progress(self.model, sum(one.plan.steps for one in self.passes))
        done, samples = [], self.opened.samples
        for place, settled in enumerate(self.passes):
            run = self._run_pass(settled, samples, progress)
            picture = self._decode(run.samples)
            drift = None if picture is None or self.first is None else mean(delta_e(picture, self.first))
            if drift is not None and 0 < self.max_drift < drift:
                reason = f"pass {place + 1} would move the colours by {drift:.2f} Delta E, more than {self.max_drift:g}"
                return done, reason
            done.append(Done(settled, run, picture, drift))
            samples = run.samples
        return done, None

    def _run_pass(self, settled: SettledPass, samples: torch.Tensor, progress: host.Progress) -> host.Sampled:
        area = host.run_mask(self.opened.mask, samples.shape)
        start = host.Start(samples, host.draw_noise(samples, settled.seed, self.opened.items))
        keys = self.opened.keys(settled.seed)
        prompts = self.prompts[settled.prompt]
        run = host.sample(
            self.model, *prompts, settled.cfg, self.sampler, settled.plan.sigmas, start, keys, area, progress
        )
        if self.match == "off" or run.calls == 0:
            return run
        matched = match_channels(run.samples, self.opened.samples)
        if area.latent is not None:
            matched = keep_outside(area.latent.to(matched), self.opened.samples, matched)
        return replace(run, samples=matched)

    def _decode(self, samples: torch.Tensor) -> torch.Tensor | None:
        return None if self.vae is None else host.decode(self.vae, {"samples": samples})

    def facts(self, sampler: str) -> dict[str, Any]:
        """What decides the result besides the passes themselves."""
        mask = self.opened.mask
        return {
            "input": digest(self.opened.samples),
            "mask": None if mask is None else digest(mask),
            "model": host.model_fingerprint(self.model),
            "prompts": [[host.conditioning_digest(part) for part in pair] for pair in self.prompts],
            "sampler": sampler,
            "device": str(self.model.load_device),
            **host.versions(),
        }

    def strip(self, done: list[Done]) -> Any:
        """The first picture and each pass with its drift, side by side."""
        pictures = [self.first, *(one.picture for one in done)]
        labels = [
            "input",
            *(f"pass {n + 1}: {one.settled.plan.strength:g}\nDelta E {one.drift:.1f}" for n, one in enumerate(done)),
        ]
        return labelled_row([to_pillow(picture[0]) for picture in pictures if picture is not None], labels)
