"""ProgressiveRefine: several passes at falling strength."""

from __future__ import annotations

import time
from typing import Any

import torch
from comfy_api.latest import io

from ..core.noise import digest
from ..core.passes import SEED_MODES, RefinePass, plan_passes
from ..core.report import report
from ..core.text import parse_strengths
from . import host, inputs
from .schedule import plan_strength


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
                    tooltip="One strength for each pass, 0 to 1, separated by commas. Let them fall.",
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
                inputs.mask(),
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
        mask: torch.Tensor | None = None,
        measure: str = "timestep",
        step_count: str = "exact",
        sampler: Any = None,
    ) -> io.NodeOutput:
        began = time.perf_counter()
        opened = host.open_clean_latent(model, latent, mask)
        passes = plan_passes(
            parse_strengths(strengths),
            seed,
            seed_mode,
            lambda strength: plan_strength(model, scheduler, steps, strength, measure, step_count),
        )
        chosen = host.resolve_sampler(sampler_name, sampler)
        runs = _run_passes(model, positive, negative, cfg, chosen, opened, passes)
        every = torch.cat([run.samples for run in runs])
        text = report(
            input=digest(opened.samples),
            scheduler=scheduler,
            measure=measure,
            step_count=step_count,
            seed_mode=seed_mode,
            passes=[
                {"strength": one.plan.strength, "seed": one.seed, "capped": one.plan.capped}
                | host.run_facts(run, one.plan.sigmas, cfg, sampler_name, sampler)
                for one, run in zip(passes, runs, strict=True)
            ],
            model_calls=sum(run.calls for run in runs),
            seconds=round(time.perf_counter() - began, 3),
        )
        return io.NodeOutput(host.close_latent(latent, runs[-1].samples), {"samples": every}, text)


def _run_passes(
    model: Any,
    positive: Any,
    negative: Any,
    cfg: float,
    sampler: Any,
    opened: host.OpenLatent,
    passes: list[RefinePass],
) -> list[host.Sampled]:
    """Each pass noises what the one before left, with one progress bar over all of them."""
    area = host.run_mask(opened.mask, opened.samples.shape)
    progress = host.Progress(model, sum(one.plan.steps for one in passes))
    runs, samples = [], opened.samples
    for one in passes:
        start = host.Start(samples, host.draw_noise(samples, one.seed, opened.items))
        run = host.sample(
            model, positive, negative, cfg, sampler, one.plan.sigmas, start, opened.keys(one.seed), area, progress
        )
        runs.append(run)
        samples = run.samples
    return runs
