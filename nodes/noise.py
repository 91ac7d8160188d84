"""SDEditNoise: lift a picture to a noise level."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from comfy_api.latest import io

from .. import host
from ..core.mask import MASKED_CONTENTS, MaskedContent, masked_content
from ..core.noise import FRAME_NOISES, FrameNoise, NoisedRecord, StepNoise, digest
from ..core.report import strict_json
from ..core.schedule import check_sigmas
from . import inputs


class SDEditNoise(io.ComfyNode):
    """Noise a picture part-way."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="SDEditNoise",
            display_name="Noise Latent (SDEdit)",
            category="img2img/noise",
            search_aliases=["SDEdit", "add noise", "noise latent", "img2img noise", "inpaint fill"],
            folded=["noise_multiplier", "frame_noise"],
            description="Noises a latent picture to the first of the sigmas. Guided Sampler takes it from there; "
            "stock samplers take the NOISE output and the clean latent.",
            inputs=[
                inputs.model(),
                inputs.latent(),
                io.Sigmas.Input("sigmas", tooltip="From Strength Scheduler; the first one is the noise level."),
                inputs.seed(),
                inputs.mask(),
                io.Float.Input(
                    "noise_multiplier",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    optional=True,
                    tooltip="Scales the noise. A little under 1 calms the result, a little over 1 adds detail.",
                ),
                io.Combo.Input(
                    "masked_content",
                    options=list(MASKED_CONTENTS),
                    optional=True,
                    tooltip="What stands under the mask before noising. original: the picture. fill: its surroundings "
                    "drawn inwards. noise: noise. neutral: nothing.",
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Shows the noised picture in the node as the VAE sees it. Without it, a rough preview is "
                    "shown there.",
                ),
                io.Combo.Input(
                    "frame_noise",
                    options=list(FRAME_NOISES),
                    optional=True,
                    tooltip="For clips. clip: one draw for the whole clip, as KSampler does. per frame: each frame "
                    "draws its own, which it keeps in a shorter or longer clip. constant: every frame gets the first "
                    "one's noise, so that what stands still flickers less.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="noised", tooltip="For Guided Sampler, with the same sigmas."),
                io.Noise.Output(display_name="NOISE", tooltip="For SamplerCustomAdvanced, with the clean latent."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        latent: io.Latent.Type,
        sigmas: torch.Tensor,
        seed: int,
        mask: torch.Tensor | None = None,
        noise_multiplier: float = 1.0,
        masked_content: MaskedContent = "original",
        vae: io.Vae.Type | None = None,
        frame_noise: FrameNoise = "clip",
    ) -> io.NodeOutput:
        how = Drawing(noise_multiplier, frame_noise)
        noised, noise = noise_latent(model, latent, sigmas, seed, mask, masked_content, how)
        return io.NodeOutput(noised, noise, ui=_shown(model, noised, seed, vae))


class Drawing(NamedTuple):
    """How noise is drawn: how strong it is, and what the frames of a clip get of it."""

    multiplier: float = 1.0
    frames: FrameNoise = "clip"


USUAL = Drawing()


def noise_latent(
    model: io.Model.Type,
    latent: io.Latent.Type,
    sigmas: torch.Tensor,
    seed: int,
    mask: torch.Tensor | None = None,
    content: MaskedContent = "original",
    drawing: Drawing = USUAL,
) -> tuple[io.Latent.Type, host.FixedNoise]:
    """A LATENT noised to the first of the sigmas, with the record of it, and its noise; see SDEditNoise's inputs."""
    check_sigmas(sigmas)
    if content not in MASKED_CONTENTS:
        raise ValueError(f"masked_content must be one of {', '.join(MASKED_CONTENTS)}, got {content!r}")
    opened = host.open_clean_latent(model, latent, mask)
    noise = host.clip_noise(model, opened, seed, drawing.frames) * drawing.multiplier
    masked: Any = {} if opened.mask is None else {"noise_mask": opened.mask}
    if len(sigmas) == 0:
        return latent | masked, host.FixedNoise(noise, seed)
    clean = _with_content(model, opened, content, seed)
    samples = host.noised_samples(model, clean, noise, float(sigmas[0]))
    space = host.latent_space(model)
    record = NoisedRecord(clean, noise, float(sigmas[0]), digest(samples), space=space)
    return host.close_latent(latent, samples, record, **masked), host.FixedNoise(noise, seed)


def _shown(model: io.Model.Type, noised: io.Latent.Type, seed: int, vae: io.Vae.Type | None) -> host.Panel:
    """What the node's body says and shows of the noise."""
    opened = host.open_latent(model, noised)
    if opened.record is None:
        return host.before_after_panel(strict_json({"noised_to": 0.0, "noise_share": 0.0}), [], [])
    sigma, schedule = opened.record.sigma, host.noise_schedule(model)
    facts = {"noised_to": schedule.timestep(sigma), "noise_share": schedule.noise_share(sigma), "seed": seed}
    pictures = host.noised_pictures(model, opened.samples, opened.record, vae)
    return host.before_after_panel(strict_json(facts), *pictures)


def _with_content(model: io.Model.Type, opened: host.OpenLatent, content: MaskedContent, seed: int) -> torch.Tensor:
    """The latent with something else under its mask."""
    if opened.mask is None or content == "original":
        return opened.samples
    mask = host.run_mask(opened.mask, opened.samples.shape)
    if mask.kind == "none":
        return opened.samples
    inside = torch.ones_like(opened.samples) if mask.latent is None else mask.latent.to(opened.samples)
    # A stream of its own: the noise that is added on top must have nothing in common with it, at any seed.
    draw = StepNoise(opened.samples.shape, opened.keys(seed), opened.samples.device, "content")
    noise, neutral = draw(0.0, 0.0), torch.zeros_like(opened.samples)
    return masked_content(opened.samples, inside, content, *(host.from_model_space(model, x) for x in (noise, neutral)))
