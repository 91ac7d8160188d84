"""GuidedSampler and AllInOne: from noise to a picture under a prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from comfy_api.latest import io

from ..core.fit import FITS, apply_fit, fit_mask, plan_fit, undo_fit
from ..core.noise import NoisedRecord, digest
from ..core.report import report
from . import host, inputs
from .noise import SDEditNoise
from .schedule import describe, plan_strength

ADD_NOISE = ("auto", "enable", "disable")


def choose_start(
    model: Any, opened: host.OpenLatent, sigmas: torch.Tensor, seed: int, add_noise: str
) -> tuple[host.Start, str]:
    """Where a run starts from, and in words for the report.

    ``auto`` continues what SDEditNoise or an unfinished run left, and noises a latent that met neither, as KSampler
    would. ``enable`` always noises the samples, ``disable`` never does.
    """
    if add_noise not in ADD_NOISE:
        raise ValueError(f"add_noise must be one of {', '.join(ADD_NOISE)}, got {add_noise!r}")
    record, first = opened.record, float(sigmas[0]) if len(sigmas) else 0.0
    if record is not None and len(sigmas) < 2:
        return host.Start(opened.samples, torch.zeros_like(opened.samples)), "nothing to sample"
    if add_noise == "enable" or (add_noise == "auto" and record is None):
        return host.Start(opened.samples, host.draw_noise(opened.samples, seed, opened.items)), "noise drawn here"
    if record is None:
        return _as_it_is(model, opened, first), "the samples as they are, without noise"
    at_its_level = abs(record.sigma - first) <= 1e-5 * first
    if add_noise == "auto" and not at_its_level:
        raise ValueError(
            f"sigmas: they start at {first:.6g}, but the latent was noised for {record.sigma:.6g}; connect the same "
            f"SIGMAS to SDEdit Noise and here, or set add_noise to enable (noise it anew) or disable (take it as it is)"
        )
    if opened.intact:
        state = record.state if at_its_level else host.state_of(model, opened.samples, record.sigma)
        return host.Start(record.clean, record.noise, state), "the noised latent"
    if opened.mask is not None and add_noise == "auto":
        raise ValueError(
            "latent: it was changed after SDEdit Noise, so what the mask should keep is not known any more; change the "
            "picture before SDEdit Noise, remove the mask, or set add_noise to enable or disable"
        )
    return _as_it_is(model, opened, record.sigma), "the noised latent, changed by another node since"


def _as_it_is(model: Any, opened: host.OpenLatent, sigma: float) -> host.Start:
    state = host.state_of(model, opened.samples, sigma)
    return host.Start(opened.samples, torch.zeros_like(opened.samples), state)


class GuidedSampler(io.ComfyNode):
    """Denoise under a prompt."""

    SEARCH_ALIASES = ["ksampler", "sampler", "img2img", "denoise", "inpaint", "SDEdit"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Img2ImgGuidedSampler",
            display_name="Guided Sampler",
            category="img2img/sampling",
            description="Denoises a latent from SDEdit Noise under a prompt. With a plain latent it adds the noise "
            "itself, as KSampler does.",
            inputs=[
                inputs.model(),
                inputs.positive(),
                inputs.negative(),
                inputs.latent("A noised latent from SDEdit Noise, or a clean one from VAE Encode."),
                io.Sigmas.Input("sigmas", tooltip="From Strength Scheduler: the same that SDEdit Noise got."),
                inputs.cfg(),
                inputs.sampler_name(),
                inputs.seed("The seed of the noise drawn here and at the steps of stochastic samplers."),
                inputs.mask(),
                io.Combo.Input(
                    "add_noise",
                    options=list(ADD_NOISE),
                    optional=True,
                    tooltip="auto: continue a latent from SDEdit Noise, noise any other. enable: always noise it. "
                    "disable: take the samples as they are.",
                ),
                inputs.sampler(),
            ],
            outputs=[io.Latent.Output(display_name="latent"), inputs.report()],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        negative: Any,
        latent: dict[str, Any],
        sigmas: torch.Tensor,
        cfg: float,
        sampler_name: str,
        seed: int,
        mask: torch.Tensor | None = None,
        add_noise: str = "auto",
        sampler: Any = None,
    ) -> io.NodeOutput:
        host.check_sigmas(sigmas)
        opened = host.open_latent(model, latent, mask)
        area = host.run_mask(opened.mask, opened.samples.shape)
        chosen = host.resolve_sampler(sampler_name, sampler)
        start, started_from = choose_start(model, opened, sigmas, seed, add_noise)
        if opened.record is not None and opened.record.inverted and add_noise != "enable":
            _check_keeps_noise(chosen, host.sampler_label(sampler_name, sampler))
        progress = host.Progress(model, len(sigmas) - 1)
        run = host.sample(model, positive, negative, cfg, chosen, sigmas, start, opened.keys(seed), area, progress)
        facts = host.run_facts(run, sigmas, cfg, sampler_name, sampler)
        text = report(**facts, seed=seed, started_from=started_from, mask=area.kind)
        return io.NodeOutput(host.close_latent(latent, run.samples, _record_left(start, run, sigmas)), text)


def _check_keeps_noise(sampler: Any, label: str) -> None:
    """Raise ValueError for a sampler that an inverted picture would not survive."""
    if host.draws_noise(sampler):
        raise ValueError(
            f"sampler_name or sampler: {label} throws noise away and draws new noise at each step, but in the noise of "
            f"DDIM Invert is the picture; choose one that draws none, such as euler, or use Inversion Sampler"
        )


def _record_left(start: host.Start, run: host.Sampled, sigmas: torch.Tensor) -> NoisedRecord | None:
    if run.state is None:
        return None
    return NoisedRecord(start.clean, start.noise, float(sigmas[-1]), digest(run.samples), run.state)


class AllInOne(io.ComfyNode):
    """The whole chain in one node."""

    SEARCH_ALIASES = ["img2img", "image to image", "simple", "ksampler", "inpaint", "denoise"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Img2ImgAllInOne",
            display_name="Image to Image (All in One)",
            category="img2img",
            description="Picture in, picture out: encodes, noises, samples under the prompt and decodes. The same "
            "bits as the chain of single nodes.",
            inputs=[
                io.Image.Input("image", tooltip="The picture to start from."),
                inputs.model(),
                io.Vae.Input("vae", tooltip="The VAE of the model."),
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
                    optional=True,
                    tooltip="What to do where the sides are no whole multiples of 8. off: leave it to the VAE, which "
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
        model: Any,
        vae: Any,
        positive: Any,
        negative: Any,
        strength: float,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        seed: int,
        mask: torch.Tensor | None = None,
        fit: str = "off",
        measure: str = "timestep",
        step_count: str = "exact",
        sampler: Any = None,
    ) -> io.NodeOutput:
        plan = plan_strength(model, scheduler, steps, strength, measure, step_count)
        fitted, fitted_mask, undo = _fitted(image, mask, fit, host.vae_multiple(vae))
        encoded = host.encode(vae, fitted)
        noised = SDEditNoise.execute(model, encoded, plan.sigmas, seed, fitted_mask).args[0]
        latent, text = GuidedSampler.execute(
            model, positive, negative, noised, plan.sigmas, cfg, sampler_name, seed, sampler=sampler
        ).args
        facts = describe(plan, host.noise_schedule(model), scheduler) | json.loads(text)
        return io.NodeOutput(undo(host.decode(vae, latent)), latent, report(**facts))


def _fitted(
    image: torch.Tensor, mask: torch.Tensor | None, fit: str, multiple: int
) -> tuple[torch.Tensor, torch.Tensor | None, Callable[[torch.Tensor], torch.Tensor]]:
    """The picture and mask at sides the VAE takes whole, and the way back for the result."""
    if fit == "off":
        return image, mask, lambda result: result
    plan = plan_fit(image.shape[1], image.shape[2], fit=fit, multiple=multiple)
    fitted, _ = apply_fit(image, plan)
    return fitted, None if mask is None else fit_mask(mask, plan), lambda result: undo_fit(result, plan, image)
