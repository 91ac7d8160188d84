"""GuidedSampler: from noise to a picture under a prompt."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from comfy_api.latest import io

from .. import host
from ..core.noise import ItemKey, NoisedRecord, digest
from ..core.report import Report, Work
from ..core.schedule import check_sigmas
from . import inputs

AddNoise = Literal["auto", "enable", "disable"]
DRAWN_HERE = "noise drawn here"


class GuidedSampler(io.ComfyNode):
    """Denoise under a prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgGuidedSampler",
            display_name="Guided Sampler",
            category="img2img/sampling",
            folded=["think", "split_at"],
            search_aliases=["ksampler", "sampler", "img2img", "denoise", "inpaint", "SDEdit"],
            description="Denoises a latent from Noise Latent under a prompt. With a plain latent it adds the noise "
            "itself, as KSampler does.",
            inputs=[
                inputs.model(),
                inputs.positive(),
                inputs.negative(),
                inputs.latent("A noised latent from Noise Latent, or a clean one from VAE Encode."),
                io.Sigmas.Input("sigmas", tooltip="From Strength Scheduler: the same that Noise Latent got."),
                inputs.cfg(),
                inputs.sampler_name(),
                inputs.seed("The seed of the noise drawn here and at the steps of stochastic samplers."),
                inputs.mask(),
                io.Combo.Input(
                    "add_noise",
                    options=list(get_args(AddNoise)),
                    optional=True,
                    tooltip="auto: continue a latent from Noise Latent, noise any other. enable: always noise it. "
                    "disable: take the samples as they are.",
                ),
                inputs.sampler(),
                inputs.think(),
                *inputs.low_model(),
            ],
            outputs=[io.Latent.Output(display_name="latent"), inputs.report()],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent: io.Latent.Type,
        sigmas: torch.Tensor,
        cfg: float,
        sampler_name: str,
        seed: int,
        mask: torch.Tensor | None = None,
        add_noise: AddNoise = "auto",
        sampler: io.Sampler.Type | None = None,
        think: int = 0,
        low_model: io.Model.Type | None = None,
        split_at: float = 0.875,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        guidance = host.Guidance(model, positive, negative, cfg).with_low(low_model, split_at)
        chosen = host.Sampler.chosen(sampler_name, sampler)
        out, work, facts = sample_latent(guidance, chosen, latent, sigmas, seed, mask, add_noise, think)
        seed_counts = facts["started_from"] == DRAWN_HERE or chosen.draws_noise
        text = report.text(work, **facts, seed_counts=seed_counts)
        return io.NodeOutput(out, text, ui=host.words_panel(text))


def sample_latent(
    guidance: host.Guidance,
    sampler: host.Sampler,
    latent: io.Latent.Type,
    sigmas: torch.Tensor,
    seed: int,
    mask: torch.Tensor | None = None,
    add_noise: AddNoise = "auto",
    think: int = 0,
) -> tuple[io.Latent.Type, Work, dict[str, Any]]:
    """A LATENT sampled from the first of the sigmas to the last, what it took, and facts for the report."""
    check_sigmas(sigmas)
    opened = host.open_latent(guidance.model, latent, mask)
    area = host.run_mask(opened.mask, opened.samples.shape)
    start, started_from = choose_start(guidance.model, opened, sigmas, seed, add_noise)
    if opened.record is not None and opened.record.inverted and add_noise != "enable":
        _check_inverted(opened.record, sampler)
    progress = host.Progress(guidance.model, len(sigmas) - 1)
    run = host.sample(guidance, sampler, sigmas, start, area, progress, think)
    facts = {
        "sampler": sampler.label,
        "cfg": guidance.cfg,
        "sigmas": sigmas,
        "start_timestep": host.start_timestep(guidance.model, sigmas),
        "seed": seed,
        "started_from": started_from,
        "mask": area.kind,
        "think": think,
        **guidance.facts_of_parts(sigmas),
    }
    if len(sigmas) < 2 and opened.record is not None:  # nothing to sample: what comes next continues from the record
        return host.close_latent(latent, latent["samples"], opened.record), run.work, facts
    return host.close_latent(latent, run.samples, _record_left(guidance, start, run, sigmas)), run.work, facts


def choose_start(
    model: io.Model.Type, opened: host.OpenLatent, sigmas: torch.Tensor, seed: int, add_noise: AddNoise
) -> tuple[host.Start, str]:
    """Where a run starts from, and in words for the report.

    ``auto`` continues what SDEditNoise or an unfinished run left, and noises a latent that met neither, as KSampler
    would. ``enable`` always noises the samples, ``disable`` never does.
    """
    if add_noise not in get_args(AddNoise):
        raise ValueError(f"add_noise must be one of {', '.join(get_args(AddNoise))}, got {add_noise!r}")
    record, first, keys = opened.record, float(sigmas[0]) if len(sigmas) else 0.0, opened.keys(seed)
    _check_space(model, record)
    if record is not None and len(sigmas) < 2:
        return host.Start(opened.samples, torch.zeros_like(opened.samples), keys), "nothing to sample"
    if add_noise == "enable" or (add_noise == "auto" and record is None):
        noise = host.draw_noise(opened.samples, seed, opened.items)
        return host.Start(opened.samples, noise, keys), DRAWN_HERE
    if record is None:
        return _as_it_is(model, opened, first, keys), "the samples as they are, without noise"
    at_its_level = abs(record.sigma - first) <= 1e-5 * first
    if add_noise == "auto" and not at_its_level:
        raise ValueError(
            f"sigmas: they start at {first:.6g}, but the latent was noised for {record.sigma:.6g}; connect the same "
            f"SIGMAS to Noise Latent and here, or set add_noise to enable (noise it anew) or disable (take it as it is)"
        )
    if opened.intact:
        state = record.state if at_its_level else host.state_of(model, opened.samples, record.sigma)
        keys = opened.keys(host.SOLVER_SEED) if record.inverted else keys
        return host.Start(record.clean, record.noise, keys, state), "the noised latent"
    if opened.mask is not None and add_noise == "auto":
        raise ValueError(
            "latent: it was changed after Noise Latent, so what the mask should keep is not known any more; change the "
            "picture before Noise Latent, remove the mask, or set add_noise to enable or disable"
        )
    return _as_it_is(model, opened, record.sigma, keys), "the noised latent, changed by another node since"


def _as_it_is(model: io.Model.Type, opened: host.OpenLatent, sigma: float, keys: list[ItemKey]) -> host.Start:
    state = host.state_of(model, opened.samples, sigma)
    return host.Start(opened.samples, torch.zeros_like(opened.samples), keys, state)


def _check_space(model: io.Model.Type, record: NoisedRecord | None) -> None:
    """Raise ValueError for a noised latent that a model of another family has left."""
    space = host.latent_space(model)
    if record is not None and record.space not in ("", space):
        raise ValueError(
            f"latent: it was noised for a model of another family ({record.space}) than model ({space}), so its noise "
            f"means nothing here; finish it with the model it was noised for, then VAE Decode and VAE Encode in between"
        )


def _check_inverted(record: NoisedRecord, sampler: host.Sampler) -> None:
    """Raise ValueError where an inverted picture is not in its noise, or would not survive the sampler."""
    if record.refusal:
        raise ValueError(f"latent: {record.refusal}")
    if sampler.draws_noise:
        raise ValueError(
            f"sampler_name or sampler: {sampler.label} throws noise away and draws new noise at each step, but in the "
            f"noise of Invert to Noise is the picture; choose one that draws none, such as euler, or Inversion Sampler"
        )


def _record_left(
    guidance: host.Guidance, start: host.Start, run: host.Sampled, sigmas: torch.Tensor
) -> NoisedRecord | None:
    if run.state is None:
        return None
    space, stands = host.latent_space(guidance.model), digest(run.samples)
    return NoisedRecord(start.clean, start.noise, float(sigmas[-1]), stands, run.state, space=space)
