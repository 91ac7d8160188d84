"""StrengthScheduler: from one number to the sigmas of an image-to-image run."""

from __future__ import annotations

from comfy_api.latest import io

from .. import host
from ..core.report import Report
from ..core.schedule import Measure, StepCount, StrengthSettings
from . import inputs


class StrengthScheduler(io.ComfyNode):
    """Sigmas that start exactly where a strength says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="StrengthScheduler",
            display_name="Strength Scheduler (denoise)",
            category="img2img/schedule",
            search_aliases=["denoise", "SDEdit", "img2img strength", "sigmas", "scheduler", "basic scheduler"],
            description="Turns a strength into sigmas. The same strength starts at the same noise level with every "
            "scheduler and any number of steps.",
            inputs=[
                inputs.model(),
                inputs.scheduler(),
                inputs.steps(),
                inputs.strength(0.6),
                inputs.measure(),
                inputs.step_count(),
            ],
            outputs=[
                io.Sigmas.Output(display_name="sigmas", tooltip="For Noise Latent, Guided Sampler and stock samplers."),
                io.Float.Output(display_name="start_sigma", tooltip="The first sigma: the noise level of the start."),
                inputs.report(),
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
    ) -> io.NodeOutput:
        report = Report(host.versions())
        plan = host.plan_strength(model, StrengthSettings(scheduler, steps, strength, measure, step_count))
        facts = plan.describe(host.noise_schedule(model))
        shown = {"img2img_strength": [host.shown_plan(model, plan)]}
        return io.NodeOutput(plan.sigmas, plan.start_sigma, report.text(**facts), ui=shown)
