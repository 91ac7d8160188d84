"""StrengthPreset: recommended settings for common jobs."""

from __future__ import annotations

from comfy_api.latest import io

from .. import host
from ..core.preset import RECOMMENDATIONS, noise_note, recommend
from . import inputs


class StrengthPreset(io.ComfyNode):
    """Good first values for a job."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgStrengthPreset",
            display_name="Strength Preset",
            category="img2img/schedule",
            search_aliases=["denoise", "settings", "recommended", "defaults", "style transfer", "inpaint"],
            description="Recommended strength, cfg and steps for a job, as a place to start from.",
            inputs=[
                io.Combo.Input("use_case", options=list(RECOMMENDATIONS), tooltip="What you want to do."),
                io.Float.Input(
                    "amount",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="From the gentle end of the recommended range (0) to the bold end (1).",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="If this model has its guidance built in, as Flux has, cfg becomes 1. Turbo, Lightning "
                    "and LCM models cannot be told from their weights: set their cfg and steps by hand.",
                ),
            ],
            outputs=[
                io.Float.Output(display_name="strength"),
                io.Float.Output(display_name="cfg"),
                io.Int.Output(display_name="steps", tooltip="Steps to execute: use step_count 'exact' with them."),
                io.String.Output(display_name="note", tooltip="Where the values come from."),
            ],
        )

    @classmethod
    def execute(cls, use_case: str, amount: float, model: io.Model.Type | None = None) -> io.NodeOutput:
        if model is None:
            return io.NodeOutput(*recommend(use_case, amount))
        schedule = host.noise_schedule(model)
        settings = recommend(use_case, amount, host.is_guidance_distilled(model), schedule.flow)
        note = noise_note(settings.strength, schedule, host.stable_diffusion_schedule())
        return io.NodeOutput(*settings[:3], "\n".join(filter(None, [settings.note, note])))
