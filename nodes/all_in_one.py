"""AllInOne: the whole chain in one node. It may call the functions of the chain's own nodes; no other node may."""

from __future__ import annotations

from collections.abc import Callable

import torch
from comfy_api.latest import io

from .. import host
from ..core.fit import FITS, apply_fit, fit_mask, plan_fit, undo_fit
from ..core.report import Report
from ..core.schedule import Measure, StepCount, StrengthSettings
from . import inputs
from .noise import noise_latent
from .sampling import sample_latent


class AllInOne(io.ComfyNode):
    """The whole chain in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgAllInOne",
            display_name="Image to Image (All in One)",
            category="img2img",
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
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Latent.Output(display_name="latent"),
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
    ) -> io.NodeOutput:
        report = Report(host.versions())
        plan = host.plan_strength(model, StrengthSettings(scheduler, steps, strength, measure, step_count))
        fitted, fitted_mask, unfit = _fitted(image, mask, fit, host.vae_multiple(vae))
        noised, _ = noise_latent(model, host.encode(vae, fitted), plan.sigmas, seed, fitted_mask)
        guidance = host.Guidance(model, positive, negative, cfg)
        chosen = host.Sampler.chosen(sampler_name, sampler)
        latent, work, facts = sample_latent(guidance, chosen, noised, plan.sigmas, seed)
        facts = plan.describe(host.noise_schedule(model)) | facts
        result, text = unfit(host.decode(vae, latent)), report.text(work, **facts)
        return io.NodeOutput(result, latent, text, ui=host.before_after_panel(text, image, result))


def _fitted(
    image: torch.Tensor, mask: torch.Tensor | None, fit: str, multiple: int
) -> tuple[torch.Tensor, torch.Tensor | None, Callable[[torch.Tensor], torch.Tensor]]:
    """The picture and mask at sides the VAE takes whole, and the way back for the result."""
    if fit == "off":
        return image, mask, lambda result: result
    plan = plan_fit(image.shape[1], image.shape[2], fit=fit, multiple=multiple)
    fitted, _ = apply_fit(image, plan)
    return fitted, None if mask is None else fit_mask(mask, plan), lambda result: undo_fit(result, plan, image)
