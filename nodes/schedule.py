"""StrengthScheduler: from one number to the sigmas of an image-to-image run."""

from __future__ import annotations

from comfy_api.latest import io

from .. import host
from ..core.report import Report
from ..core.schedule import Measure, StepCount, StrengthSettings, split_sigmas
from . import inputs


class StrengthScheduler(io.ComfyNode):
    """Sigmas that start exactly where a strength says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="StrengthScheduler",
            display_name="Strength Scheduler (denoise)",
            category="img2img/schedule",
            folded=["split_at"],
            search_aliases=["denoise", "SDEdit", "img2img strength", "sigmas", "basic scheduler", "split sigmas"],
            description="Turns a strength into sigmas. The same strength starts at the same noise level with every "
            "scheduler and any number of steps.",
            inputs=[
                inputs.model(),
                inputs.scheduler(),
                inputs.steps(),
                inputs.strength(0.6),
                inputs.measure(),
                inputs.step_count(),
                inputs.split_at(
                    0.0,
                    "Splits sigmas where the share of noise falls below this, for a model in two halves: high_sigmas "
                    "go to its first sampler, low_sigmas to its second. 0: everything is high_sigmas.",
                ),
            ],
            outputs=[
                io.Sigmas.Output(display_name="sigmas", tooltip="For Noise Latent, Guided Sampler and stock samplers."),
                io.Float.Output(display_name="start_sigma", tooltip="The first sigma: the noise level of the start."),
                inputs.report(),
                io.Sigmas.Output(display_name="high_sigmas", tooltip="The part above split_at, for the first sampler."),
                io.Sigmas.Output(display_name="low_sigmas", tooltip="The part below split_at, for the second sampler."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        scheduler: str,
        steps: int,
        strength: float,
        measure: Measure = "timestep",
        step_count: StepCount = "exact",
        split_at: float = 0.0,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        plan = host.plan_strength(model, StrengthSettings(scheduler, steps, strength, measure, step_count))
        schedule = host.noise_schedule(model)
        facts = plan.describe(schedule)
        high, low = split_sigmas(plan.sigmas, schedule.sigma_of_share(split_at))
        if split_at:
            facts |= {"split_at": split_at, "high_steps": max(0, len(high) - 1), "low_steps": max(0, len(low) - 1)}
        shown = {"img2img_strength": [host.shown_plan(model, plan)]}
        return io.NodeOutput(plan.sigmas, plan.start_sigma, report.text(**facts), high, low, ui=shown)
