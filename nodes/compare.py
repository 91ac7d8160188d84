"""StrengthPlot and CompareImages: seeing and measuring what happened."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from .. import host
from ..core.checks import check_masks_fit
from ..core.fit import size_in_words
from ..core.mask import resized_mask
from ..core.metrics import changed_pixels, masked_pair, mse, psnr, ssim
from ..core.placing import beside
from ..core.plot import draw_strengths, strength_figures
from ..core.report import Report
from ..core.schedule import STEP_COUNTS, Measure, StepCount, StrengthSettings
from ..core.sheet import from_pillow
from ..core.text import parse_strengths
from . import inputs

MOST_STRENGTHS = 101
EQUAL_DECIBELS = 200.0  # the PSNR of equal pictures is infinite, which neither JSON nor a FLOAT widget can say


class StrengthPlot(io.ComfyNode):
    """Draws signal to noise, executed steps and signal left."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgStrengthPlot",
            display_name="Strength Plot",
            category="img2img/compare",
            search_aliases=["denoise", "sigmas", "SNR", "alpha bar", "visualize schedule", "curve", "graph"],
            description="Draws what each strength means on this model: how much of the picture is left at the start, "
            "how many steps are executed, and how the signal fades over the timesteps.",
            inputs=[
                io.Model.Input("model", tooltip="The model whose noise schedule is drawn."),
                inputs.scheduler(),
                io.Int.Input("steps", default=50, min=1, max=10000, tooltip="Steps of the whole schedule."),
                io.String.Input(
                    "strengths",
                    default="0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0",
                    tooltip="Strengths to mark, from 0 to 1, separated by commas.",
                ),
                inputs.measure(),
                io.Combo.Input(
                    "step_count",
                    options=list(STEP_COUNTS),
                    default="proportional",
                    optional=True,
                    tooltip="proportional: strength x steps are executed. exact: always as many as steps says, as "
                    "Strength Scheduler does unless told otherwise.",
                ),
            ],
            outputs=[io.Image.Output(display_name="plot")],
        )

    @classmethod
    def validate_inputs(cls, strengths: str | None = None) -> bool | str:
        return inputs.readable("strengths", parse_strengths, strengths)

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        scheduler: str,
        steps: int,
        strengths: str,
        measure: Measure = "timestep",
        step_count: StepCount = "proportional",
    ) -> io.NodeOutput:
        values = parse_strengths(strengths)
        if not 1 <= len(values) <= MOST_STRENGTHS:
            raise ValueError(f"strengths: name 1 to {MOST_STRENGTHS} numbers, like 0.2, 0.5, 0.8; got {len(values)}")
        settings = StrengthSettings(scheduler, steps, 0.0, measure, step_count)
        figures = strength_figures(host.noise_schedule(model), host.scheduler_of(model, scheduler), settings, values)
        plot = draw_strengths(figures, f"{steps} steps, scheduler {scheduler}, measure {measure}, {step_count}")
        return io.NodeOutput(from_pillow(plot))


class CompareImages(io.ComfyNode):
    """How far two pictures are apart, in numbers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgCompareImages",
            display_name="Compare Images (before/after)",
            category="img2img/compare",
            search_aliases=["mse", "psnr", "ssim", "difference", "quality", "metrics", "before after"],
            description="Measures how far two pictures of one size are apart: mean squared error, PSNR in decibel and "
            "structural similarity.",
            inputs=[
                io.Image.Input("image_a", tooltip="One picture or batch."),
                io.Image.Input(
                    "image_b", tooltip="The other one, of the same size; a single picture is compared to all."
                ),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Count only pixels under the white part. SSIM always sees the whole."
                ),
            ],
            outputs=[
                io.Float.Output(display_name="mse", tooltip="Mean squared error on 0..1; 0 where equal."),
                io.Float.Output(display_name="psnr", tooltip="Decibel; 30 is good, 40 hard to see, 200 means equal."),
                io.Float.Output(display_name="ssim", tooltip="Structural similarity; 1 where equal."),
                inputs.report(),
            ],
        )

    @classmethod
    def execute(cls, image_a: torch.Tensor, image_b: torch.Tensor, mask: torch.Tensor | None = None) -> io.NodeOutput:
        report = Report(host.versions())
        first, second = _same_shape(image_a, image_b)
        counted = first, second
        if mask is not None:
            check_masks_fit("mask", mask, len(first))
            counted = masked_pair(first, second, resized_mask(beside(first, mask), *first.shape[1:3]))
        if counted[0].numel() == 0:
            raise ValueError("mask: nothing is left under it; paint it white where the pictures should be compared")
        error, decibels, similarity = mse(*counted), min(psnr(*counted), EQUAL_DECIBELS), ssim(first, second)
        changed, pixels = changed_pixels(first, second), first[..., 0].numel()
        facts: dict[str, Any] = {"mse": error, "psnr": decibels, "ssim": similarity, "identical": changed == 0}
        text = report.text(**facts, changed_pixels=changed, pixels=pixels)
        return io.NodeOutput(error, decibels, similarity, text, ui=host.before_after_panel(text, first, second))


def _same_shape(image_a: torch.Tensor, image_b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two batches of one shape; a single picture is repeated, and transparency is left out."""
    first, second = image_a[..., :3], beside(image_a, image_b)[..., :3]
    if first.shape[1:] != second.shape[1:] or (len(first) != len(second) and 1 not in (len(first), len(second))):
        raise ValueError(
            f"image_b: it is {size_in_words(image_b)}, but image_a is {size_in_words(image_a)}; bring both to one "
            f"size, with as many pictures or a single one"
        )
    return torch.broadcast_tensors(first, second)
