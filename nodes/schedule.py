"""StrengthScheduler: from one number to the sigmas of an image-to-image run."""

from __future__ import annotations

from comfy_api.latest import io

from .. import host
from ..core.report import Report
from ..core.schedule import Measure, StepCount, StrengthSettings, check_sigmas, split_sigmas
from . import inputs


class StrengthScheduler(io.ComfyNode):
    """Sigmas that start exactly where a strength says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="StrengthScheduler",
            display_name="Strength Scheduler (denoise)",
            category="img2img/schedule",
            search_aliases=["denoise", "SDEdit", "img2img strength", "sigmas", "basic scheduler"],
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


class SplitSigmas(io.ComfyNode):
    """The two parts of sigmas, for a model in two halves with a sampler for each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgSplitSigmas",
            display_name="Split Sigmas at Noise",
            category="img2img/schedule",
            search_aliases=["split sigmas", "wan 2.2", "refiner", "high noise", "low noise"],
            description="Splits sigmas where a model in two halves changes hands, whatever the strength and the number "
            "of steps.",
            inputs=[
                inputs.model(),
                io.Sigmas.Input("sigmas", tooltip="The sigmas of the whole run, from Strength Scheduler."),
                inputs.split_at(
                    "The share of noise below which the second half takes over: high_sigmas go to the first sampler, "
                    "low_sigmas to the second."
                ),
            ],
            outputs=[
                io.Sigmas.Output(display_name="high_sigmas", tooltip="The part above split_at, for the first sampler."),
                io.Sigmas.Output(display_name="low_sigmas", tooltip="The part below split_at, for the second sampler."),
            ],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, sigmas: io.Sigmas.Type, split_at: float = 0.875) -> io.NodeOutput:
        check_sigmas(sigmas)
        return io.NodeOutput(*split_sigmas(sigmas, host.noise_schedule(model).sigma_of_share(split_at)))
