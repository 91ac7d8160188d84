"""DDIMInvert, InversionSampler, InversionSteps: a picture up to noise, down again, and what lies between."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from comfy_api.latest import io

from .. import host
from ..core.inversion import Inversion
from ..core.inversion_methods import METHODS
from ..core.mask import composite
from ..core.metrics import mse, psnr
from ..core.noise import digest
from ..core.report import Report, Work
from ..core.schedule import StrengthSettings
from ..core.verdict import judge
from . import inputs


class DDIMInvert(io.ComfyNode):
    """Find the noise a picture could have come from."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="DDIMInvert",
            display_name="Invert to Noise (DDIM)",
            category="img2img/inversion",
            search_aliases=[
                "unsampler",
                "inversion",
                "ddim inversion",
                "invert image",
                "noise inversion",
                "reconstruct",
            ],
            folded=["corrector_steps", "keep_trajectory"],
            description="Turns a real picture into the noise it could have come from, so that Inversion Sampler can "
            "give it back under the same prompt or edit it under another one.",
            inputs=[
                inputs.model(),
                io.Conditioning.Input("positive", tooltip="A prompt that describes the picture as it is."),
                inputs.latent(),
                inputs.scheduler(),
                inputs.steps(50),
                inputs.strength(
                    1.0,
                    "How far back to walk: 1 goes all the way to pure noise and leaves most room for change, lower "
                    "keeps more of the picture, 0 does nothing.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="noise_maps",
                    tooltip="noise_maps: the best edits, for few calls; only Inversion Sampler can go on from it. "
                    "multistep: comes back well for few calls. corrected: a good path at some cost. exact: comes back "
                    "to rounding, but is poor to edit from. pinned: remembers what each step misses. ddim: plain.",
                ),
                io.Int.Input(
                    "corrector_steps",
                    default=3,
                    min=0,
                    max=20,
                    tooltip="For corrected: how often each step is improved, at least once. Each time costs a model "
                    "call a step.",
                ),
                inputs.cfg(1.0),
                inputs.seed("The seed of the noise that noise_maps draws. The other methods draw none."),
                inputs.negative(optional=True),
                io.Boolean.Input(
                    "keep_trajectory",
                    default=False,
                    optional=True,
                    tooltip="Keep the latent of every step, in memory.",
                ),
                io.Boolean.Input(
                    "grade",
                    default=False,
                    optional=True,
                    tooltip="Run back down at once and report how well the picture comes back. Costs one call a step.",
                ),
            ],
            outputs=[
                inputs.InversionInfo.Output(display_name="inversion", tooltip="For Inversion Sampler."),
                io.Latent.Output(display_name="noise", tooltip="The noise as a latent, for Guided Sampler."),
                io.Noise.Output(
                    display_name="NOISE",
                    tooltip="The same for SamplerCustomAdvanced, with an empty latent and these SIGMAS.",
                ),
                io.Sigmas.Output(display_name="sigmas"),
                inputs.report(),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        latent: io.Latent.Type,
        scheduler: str,
        steps: int,
        strength: float,
        method: str,
        corrector_steps: int,
        cfg: float,
        seed: int,
        negative: io.Conditioning.Type | None = None,
        keep_trajectory: bool = False,
        grade: bool = False,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        guidance = _guidance(model, positive, negative, cfg)
        asked = {"method": method, "strength": strength, "steps": steps, "scheduler": scheduler}
        asked |= {"cfg": cfg, "seed": seed}
        sigmas = host.plan_strength(model, StrengthSettings(scheduler, steps, strength)).sigmas
        settings = host.InversionSettings(method, corrector_steps, seed, keep_trajectory, asked)
        found = host.invert_latent(guidance, host.open_clean_latent(model, latent), sigmas, settings)
        judged = _judged(guidance, found, grade)
        goes_on = "any sampler that draws no noise" if METHODS[method].has_path else "Inversion Sampler alone"
        facts = asked | {"corrector_steps": corrector_steps, "sigmas": sigmas, "goes_on_with": goes_on}
        facts |= _identity(found) | judged
        text = report.text(found.work, **facts)
        shown = host.panel(inputs.INVERSION_PANEL, text, **judged)
        noise = host.inverted_noise(model, latent, found.inversion)
        return io.NodeOutput(found.inversion, *noise, sigmas, text, ui=shown)


def _guidance(
    model: io.Model.Type, positive: io.Conditioning.Type, negative: io.Conditioning.Type | None, cfg: float
) -> host.Guidance:
    if negative is None and cfg != 1.0:
        raise ValueError(f"negative: it is not connected, but cfg is {cfg}; connect a negative prompt or set cfg to 1")
    return host.Guidance(model, positive, positive if negative is None else negative, cfg)


def _identity(found: host.Inverted) -> dict[str, str]:
    """Fingerprints of what went in and came out, to tell whether two runs were the same."""
    return {
        "input": digest(found.inversion.clean),
        "noise": digest(found.inversion.state),
        "model": found.inversion.model,
        "positive": found.inversion.prompt,
    }


def _judged(guidance: host.Guidance, found: host.Inverted, grade: bool) -> dict[str, Any]:
    """How well the picture comes back under its own prompt, as far as the solver is to blame."""
    model, inversion = guidance.model, found.inversion
    clean = host.to_model_space(model, inversion.clean)
    facts: dict[str, Any] = {"residual": asdict(found.residual)}
    error = found.residual.picture
    if grade:
        back, work = host.run_inversion_back(guidance, inversion, preserve=1.0)
        back = host.to_model_space(model, back)
        error = mse(back, clean)
        peak = float(clean.max() - clean.min()) or 1.0
        facts["grade"] = {"latent_mse": error, "latent_psnr": psnr(back, clean, peak), "model_calls": work.calls}
    return facts | {"verdict": asdict(judge(error, clean, measured=grade))}


class InversionSampler(io.ComfyNode):
    """From the noise of a picture to the picture, or an edit of it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgInversionSampler",
            display_name="Inversion Sampler",
            category="img2img/inversion",
            search_aliases=["unsampler", "resample", "inversion edit", "prompt edit", "reconstruct"],
            description="Runs an inverted picture back down: under its own prompt it comes back, "
            "under a new prompt it is edited.",
            inputs=[
                inputs.model(),
                inputs.positive(),
                inputs.negative(),
                inputs.InversionInfo.Input("inversion", tooltip="From Invert to Noise, made with the same model."),
                inputs.cfg(1.0),
                io.Float.Input(
                    "preserve",
                    default=-1.0,
                    min=-1.0,
                    max=1.0,
                    step=0.05,
                    tooltip="For pinned inversions: the share of the run that stays tied to the original. 1 gives the "
                    "picture back, 0 edits most freely. -1 chooses: 1 under the inversion's own prompt, else 0.6.",
                ),
                inputs.mask(),
            ],
            outputs=[io.Latent.Output(display_name="latent"), inputs.report()],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        inversion: Inversion,
        cfg: float,
        preserve: float,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        host.check_inversion(model, inversion)
        preserve = host.preserved_share(preserve, inversion, positive)
        area = host.run_mask(mask, inversion.clean.shape)
        samples, work = inversion.clean, Work()
        if area.kind != "none":
            guidance = host.Guidance(model, positive, negative, cfg)
            samples, work = host.run_inversion_back(guidance, inversion, preserve)
        if area.latent is not None:
            samples = composite(area.latent.to(samples), inversion.clean, samples)
        facts = {"inversion": inversion.settings, "cfg": cfg, "preserve": preserve, "mask": area.kind}
        facts["inverted_by"] = host.inverting_model(model, inversion)
        text = report.text(work, **facts, sigmas=inversion.sigmas)
        return io.NodeOutput({"samples": samples}, text, ui=host.words_panel(text))


class InversionSteps(io.ComfyNode):
    """The latents between a picture and its noise."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgInversionSteps",
            display_name="Inversion Steps",
            category="img2img/inversion",
            search_aliases=["trajectory", "intermediate latents", "inversion path", "timesteps"],
            description="The latents that an inversion went through, from the picture to its noise, to decode and look "
            "at.",
            inputs=[
                inputs.model(),
                inputs.InversionInfo.Input("inversion", tooltip="From Invert to Noise, with keep_trajectory on."),
                io.Int.Input(
                    "count",
                    default=6,
                    min=2,
                    max=10000,
                    tooltip="How many of the steps, evenly chosen; the picture is the first, its noise the last. A "
                    "large number gives all of them.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="steps", tooltip="A batch, as strong as the model sees them. For VAE Decode."
                )
            ],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, inversion: Inversion, count: int) -> io.NodeOutput:
        host.check_inversion(model, inversion)
        return io.NodeOutput({"samples": host.inversion_steps(model, inversion, count)})
