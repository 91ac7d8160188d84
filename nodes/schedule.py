"""StrengthScheduler: from one number to the sigmas of an image-to-image run."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..core.report import plain, report
from ..core.schedule import NoiseSchedule, StrengthPlan, noise_share, snr_db, strength_sigmas
from . import host, inputs


def plan_strength(
    model: Any, scheduler: str, steps: int, strength: float, measure: str = "timestep", step_count: str = "exact"
) -> StrengthPlan:
    """The sigmas for a strength on a MODEL; see ``core.schedule.strength_sigmas``."""
    return strength_sigmas(
        host.noise_schedule(model), host.spacing(model, scheduler), steps, strength, measure, step_count
    )


def describe(plan: StrengthPlan, schedule: NoiseSchedule, scheduler: str) -> dict[str, Any]:
    """A plan in plain numbers, for reports and the curve in the node's body."""
    start = plan.start_sigma
    return {
        "strength": plan.strength,
        "measure": plan.measure,
        "step_count": plan.step_count,
        "scheduler": scheduler,
        "start_sigma": start,
        "start_timestep": schedule.timestep(start) if start else 0.0,
        "snr_db": snr_db(start, schedule.flow),
        "noise_share": noise_share(start, schedule.flow),
        "model_calls": plan.steps,
        "capped": plan.capped,
        "sigma_max": schedule.sigma_max,
        "family": "flow" if schedule.flow else "VE",
        "sigmas": plan.sigmas.tolist(),
        "timesteps": [schedule.timestep(sigma) if sigma else 0.0 for sigma in plan.sigmas.tolist()],
    }


class StrengthScheduler(io.ComfyNode):
    """Sigmas that start exactly where a strength says."""

    SEARCH_ALIASES = ["denoise", "SDEdit", "img2img strength", "sigmas", "scheduler", "basic scheduler"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StrengthScheduler",
            display_name="Strength Scheduler",
            category="img2img/schedule",
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
                io.Sigmas.Output(display_name="sigmas", tooltip="For SDEdit Noise, Guided Sampler and stock samplers."),
                io.Float.Output(display_name="start_sigma", tooltip="The first sigma: the noise level of the start."),
                inputs.report(),
            ],
            # ComfyUI repeats what a node shows only for output nodes when the result comes from its cache, as it does
            # after the page has been loaded again; the curve would stay an estimate.
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        scheduler: str,
        steps: int,
        strength: float,
        measure: str = "timestep",
        step_count: str = "exact",
    ) -> io.NodeOutput:
        plan = plan_strength(model, scheduler, steps, strength, measure, step_count)
        facts = describe(plan, host.noise_schedule(model), scheduler)
        text = report(**facts, versions=host.versions())
        return io.NodeOutput(plan.sigmas, plan.start_sigma, text, ui={"img2img_strength": [plain(facts)]})
