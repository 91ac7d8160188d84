"""PromptEdit and PromptMask: say what the picture shows and what it should show, and everything else stays."""

from __future__ import annotations

from typing import get_args

import torch
from comfy_api.latest import io

from .. import host
from ..core.mask import grown
from ..core.report import Report
from ..core.schedule import Measure, StepCount, StrengthSettings
from . import inputs


def _source() -> io.Conditioning.Input:
    return io.Conditioning.Input("source", tooltip="What the picture shows now, from CLIP Text Encode.")


def _threshold(optional: bool) -> io.Float.Input:
    return io.Float.Input(
        "threshold",
        default=0.4,
        min=0.05,
        max=1.0,
        step=0.05,
        optional=optional,
        tooltip="How much the prompts must disagree about a spot for it to count. Lower finds more.",
    )


class PromptEdit(io.ComfyNode):
    """Change what two prompts disagree about."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgPromptEdit",
            display_name="Edit by Words",
            category="img2img/sampling",
            search_aliases=[
                "edit",
                "prompt edit",
                "FlowEdit",
                "change object",
                "replace",
                "instruct",
                "inversion free",
            ],
            folded=["source_cfg", "averages", "finish"],
            description="Say what the picture shows now and what it should show. What the two prompts disagree about "
            "changes, the rest stays. No inversion, no mask, any model.",
            inputs=[
                inputs.model(),
                _source(),
                inputs.positive(),
                inputs.negative(),
                inputs.latent(),
                inputs.scheduler(),
                inputs.steps(14),
                inputs.strength(
                    0.95,
                    "How much of the way to noise and back is walked. Lower keeps shapes better; too low, and a new "
                    "color does not arrive.",
                ),
                inputs.cfg(1.0),
                io.Float.Input(
                    "source_cfg",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="Guidance of the source prompt. At 1 the source prompt is the negative of the edit, and "
                    "the negative prompt is only asked in the finish.",
                ),
                inputs.seed(),
                io.Int.Input(
                    "averages",
                    default=1,
                    min=1,
                    max=16,
                    optional=True,
                    tooltip="How many noises each step is averaged over. More is calmer and takes that much longer.",
                ),
                io.Float.Input(
                    "finish",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="The share of the steps at the end that paint freely under the new prompt, for textures of "
                    "its own. 0 keeps most of the picture.",
                ),
                inputs.mask(),
                io.Combo.Input(
                    "find_mask",
                    options=list(get_args(host.FindMask)),
                    optional=True,
                    tooltip="show: give out where the prompts disagree. use: find that first and change nothing "
                    "elsewhere, for objects and colors. off: neither; best for light, season and style.",
                ),
                _threshold(optional=True),
                inputs.measure(),
                inputs.step_count(),
            ],
            outputs=[
                io.Latent.Output(display_name="latent"),
                io.Mask.Output(display_name="mask", tooltip="Where the prompts disagree; white all over with off."),
                inputs.report(),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        source: io.Conditioning.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent: io.Latent.Type,
        scheduler: str,
        steps: int,
        strength: float,
        cfg: float,
        source_cfg: float,
        seed: int,
        averages: int = 1,
        finish: float = 0.0,
        mask: torch.Tensor | None = None,
        find_mask: host.FindMask = "off",
        threshold: float = 0.4,
        measure: Measure = "timestep",
        step_count: StepCount = "exact",
    ) -> io.NodeOutput:
        report = Report(host.versions())
        plan = host.plan_strength(model, StrengthSettings(scheduler, steps, strength, measure, step_count))
        guidance = host.EditGuidance(model, positive, negative, cfg, source, source_cfg)
        opened = host.open_clean_latent(model, latent, mask)
        area = host.run_mask(opened.mask, opened.samples.shape)
        settings = host.EditSettings(scheduler, seed, averages, finish, find_mask, threshold)
        edited = host.edit_latent(guidance, opened, plan.sigmas, settings, area)
        facts = plan.describe(host.noise_schedule(model)) | {"cfg": cfg, "source_cfg": source_cfg, "seed": seed}
        facts |= {"averages": averages, "finish": finish, "mask": area.kind, "find_mask": find_mask}
        found = host.picture_mask(edited.found, opened, model)
        text = report.text(edited.work, **facts)
        return io.NodeOutput(host.close_latent(latent, edited.samples), found, text, ui=host.words_panel(text))


class PromptMask(io.ComfyNode):
    """Find where two prompts disagree."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgPromptMask",
            display_name="Mask by Words",
            category="img2img/mask",
            search_aliases=[
                "auto mask",
                "DiffEdit",
                "find object",
                "segment by prompt",
                "mask by words",
                "inpaint mask",
            ],
            description="Finds where two prompts disagree about a picture, as a mask for inpainting, Keep Unmasked or "
            "Upscale. For objects and colors; light, season and style are everywhere.",
            inputs=[
                inputs.model(),
                _source(),
                inputs.positive(),
                inputs.latent(),
                inputs.scheduler(),
                inputs.seed("The seed of the noise that is looked through."),
                _threshold(optional=False),
                io.Int.Input(
                    "grow",
                    default=0,
                    min=0,
                    max=512,
                    optional=True,
                    tooltip="Widen the white by so many pixels, so that nothing of the old thing shows at its edge "
                    "where the mask meets a picture that was painted elsewhere.",
                ),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="White where the prompts disagree."),
                inputs.report(),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        source: io.Conditioning.Type,
        positive: io.Conditioning.Type,
        latent: io.Latent.Type,
        scheduler: str,
        seed: int,
        threshold: float,
        grow: int = 0,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        guidance = host.EditGuidance(model, positive, positive, 1.0, source, 1.0)
        opened = host.open_clean_latent(model, latent)
        settings = host.EditSettings(scheduler, seed, threshold=threshold)
        found, work = host.find_mask(guidance, opened, settings, host.StepCounter(model, host.FIND_STEPS))
        mask = grown(host.picture_mask(found, opened, model), grow)
        text = report.text(work, seed=seed, threshold=threshold, grow=grow, share=float(mask.mean()))
        return io.NodeOutput(mask, text, ui=host.mask_panel(mask, text))
