"""AllInOne: the whole chain in one node. It may call the functions of the chain's own nodes; no other node may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from comfy_api.latest import io

from .. import host
from ..core.fit import FITS, apply_fit, fit_mask, plan_fit, undo_fit
from ..core.metrics import proof_outside
from ..core.region import cut_out, plan_region, put_back
from ..core.report import Report
from ..core.schedule import Measure, StepCount, StrengthSettings
from . import inputs
from .noise import noise_latent
from .sampling import sample_latent

MaskArea = Literal["whole picture", "region"]


class AllInOne(io.ComfyNode):
    """The whole chain in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgAllInOne",
            display_name="Image to Image (All in One)",
            category="img2img",
            folded=["context", "target", "think", "split_at", "batch"],
            search_aliases=["img2img", "image to image", "simple", "ksampler", "inpaint", "denoise"],
            description="Picture in, picture out: encodes, noises, samples under the prompt and decodes. The same "
            "bits as the chain of single nodes.",
            inputs=[
                io.Image.Input("image", tooltip="The picture to start from."),
                inputs.model(),
                inputs.vae(),
                inputs.positive(),
                inputs.negative(),
                inputs.strength(0.5),
                inputs.steps(),
                inputs.cfg(),
                inputs.sampler_name(),
                inputs.scheduler(),
                inputs.seed(),
                inputs.mask(),
                io.Combo.Input(
                    "fit",
                    options=["off", *[fit for fit in FITS if fit != "stretch"]],
                    default="pad",
                    optional=True,
                    tooltip="What to do where the sides aren't multiples of 8. off: leave it to the VAE, which "
                    "cuts. pad: add borders and take them off again. crop: cut the borders and put them back.",
                ),
                inputs.measure(),
                inputs.step_count(),
                inputs.sampler(),
                io.Combo.Input(
                    "mask_area",
                    options=list(get_args(MaskArea)),
                    optional=True,
                    tooltip="With a mask. whole picture: paint the picture at its size. region: paint only what the "
                    "mask shows with some context, at the size target says, and put it back without a seam; a small "
                    "part gets full detail, and nothing outside the mask changes.",
                ),
                inputs.context(" Counts where mask_area is region."),
                inputs.target(" Counts where mask_area is region."),
                inputs.think(),
                *inputs.low_model(),
                io.Combo.Input(
                    "batch",
                    options=list(host.BATCHES),
                    optional=True,
                    tooltip="What several pictures are to a model of clips, such as Wan. clip: the frames of one clip. "
                    "pictures: each a still of its own. Models of pictures always take them one by one.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Latent.Output(display_name="latent", tooltip="What was painted; of a region, that part alone."),
                inputs.report(),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        model: io.Model.Type,
        vae: io.Vae.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        strength: float,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        seed: int,
        mask: torch.Tensor | None = None,
        fit: str = "pad",
        measure: Measure = "timestep",
        step_count: StepCount = "exact",
        sampler: io.Sampler.Type | None = None,
        mask_area: MaskArea = "whole picture",
        context: float = 0.5,
        target: int = 512,
        think: int = 0,
        low_model: io.Model.Type | None = None,
        split_at: float = 0.875,
        batch: host.Batch = "clip",
    ) -> io.NodeOutput:
        report = Report(host.versions())
        plan = host.plan_strength(model, StrengthSettings(scheduler, steps, strength, measure, step_count))
        as_it_is = fit == "off" and mask_area != "region"
        multiple = host.vae_multiple(vae) if as_it_is else host.canvas_multiple(model, vae)
        if mask_area == "region":
            canvas = _region(image, mask, target, context, multiple)
        else:
            canvas = _fitted(image, mask, fit, multiple)
        encoded = host.encode_for(model, vae, canvas.image, batch=batch)
        noised, _ = noise_latent(model, encoded, plan.sigmas, seed, canvas.mask)
        guidance = host.Guidance(model, positive, negative, cfg).with_low(low_model, split_at)
        chosen = host.Sampler.chosen(sampler_name, sampler)
        latent, work, facts = sample_latent(guidance, chosen, noised, plan.sigmas, seed, think=think)
        result, about = canvas.back(host.decode(vae, latent))
        text = report.text(work, **(plan.describe(host.noise_schedule(model)) | facts | about))
        return io.NodeOutput(result, latent, text, ui=host.before_after_panel(text, image, result))


@dataclass(frozen=True, eq=False, repr=False)
class _Canvas:
    """What is painted, with its mask, and the way back to the whole picture, with facts for the report."""

    image: torch.Tensor
    mask: torch.Tensor | None
    back: Callable[[torch.Tensor], tuple[torch.Tensor, dict[str, Any]]]


def _fitted(image: torch.Tensor, mask: torch.Tensor | None, fit: str, multiple: int) -> _Canvas:
    """The whole picture at sides the VAE takes whole."""
    through_vae = {"through_vae": True}  # what lies outside the mask was decoded as well
    if fit == "off":
        return _Canvas(image, mask, lambda result: (result, through_vae))
    plan = plan_fit(image.shape[1], image.shape[2], fit=fit, multiple=multiple)
    fitted_mask = None if mask is None else fit_mask(mask, plan)
    return _Canvas(apply_fit(image, plan)[0], fitted_mask, lambda result: (undo_fit(result, plan, image), through_vae))


def _region(image: torch.Tensor, mask: torch.Tensor | None, target: int, context: float, multiple: int) -> _Canvas:
    """The part under the mask at the size it is painted at."""
    if mask is None:
        raise ValueError(
            "mask_area is region, but no mask is connected: connect one to mask, or set mask_area to whole picture"
        )
    region = plan_region(image, mask, target, context, multiple)

    def back(painted: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        result, outside = put_back(painted, region, image, "seamless")
        whole = image.expand(len(result), -1, -1, -1)
        return result, region.describe() | proof_outside(whole, result, outside)

    return _Canvas(*cut_out(image[..., :3], region), back)
