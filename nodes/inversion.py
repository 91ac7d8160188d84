"""DDIMInvert and InversionSampler: a picture up to noise, and the noise down to a picture."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch
from comfy_api.latest import io

from ..core.inversion import METHODS, Inversion, Path, invert, run_back
from ..core.mask import composite
from ..core.metrics import mse, psnr
from ..core.noise import NoisedRecord, StepNoise, digest
from ..core.null_text import NullTextInversion
from ..core.report import plain, report
from ..core.verdict import MissMeter, Residual, judge, residual_of
from . import host, inputs
from .schedule import plan_strength

InversionInfo = io.Custom("IMG2IMG_INVERSION")
PANEL = "img2img_inversion"
"""Under this key goes what the node's body shows."""


class DDIMInvert(io.ComfyNode):
    """Find the noise a picture could have come from."""

    SEARCH_ALIASES = ["unsampler", "inversion", "ddim inversion", "invert image", "noise inversion", "reconstruct"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DDIMInvert",
            display_name="DDIM Invert",
            category="img2img/inversion",
            description="Turns a real picture into the noise it could have come from, so that Inversion Sampler can "
            "give it back under the same prompt or edit it under another one.",
            inputs=[
                inputs.model(),
                io.Conditioning.Input("positive", tooltip="A prompt that describes the picture as it is."),
                inputs.latent(),
                inputs.scheduler(),
                inputs.steps(50),
                inputs.strength(
                    0.8,
                    "How far back to walk: 1 goes all the way to pure noise and leaves most room for change, 0.8 suits "
                    "most edits, 0 does nothing.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    tooltip="corrected: a good path at some cost. exact: gives the picture back to rounding, but is "
                    "poor to edit from. pinned: remembers what each step misses. noise_maps: remembers noise for every "
                    "step, for good edits at few calls. ddim: the plain one.",
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
                    "keep_trajectory", default=False, optional=True, tooltip="Keep the latent of every step, in memory."
                ),
                io.Boolean.Input(
                    "grade",
                    default=False,
                    optional=True,
                    tooltip="Run back down at once and report how well the picture comes back. Costs one call a step.",
                ),
            ],
            outputs=[
                InversionInfo.Output(display_name="inversion", tooltip="For Inversion Sampler."),
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
        model: Any,
        positive: Any,
        latent: dict[str, Any],
        scheduler: str,
        steps: int,
        strength: float,
        method: str,
        corrector_steps: int,
        cfg: float,
        seed: int,
        negative: Any = None,
        keep_trajectory: bool = False,
        grade: bool = False,
    ) -> io.NodeOutput:
        began = time.perf_counter()
        negative = _negative(positive, negative, cfg)
        opened = host.open_clean_latent(model, latent)
        sigmas = plan_strength(model, scheduler, steps, strength).sigmas
        settings = {
            "method": method,
            "strength": strength,
            "steps": steps,
            "scheduler": scheduler,
            "cfg": cfg,
            "seed": seed,
        }
        inversion, calls, residual = _invert(
            model, positive, negative, opened, sigmas, settings, corrector_steps, keep_trajectory
        )
        facts = _graded(model, positive, negative, cfg, inversion, residual, grade)
        text = report(
            **settings, corrector_steps=corrector_steps, sigmas=sigmas, input=digest(opened.samples),
            noise=digest(inversion.state), model=host.model_fingerprint(model),
            positive=host.conditioning_digest(positive), model_calls=calls,
            seconds=round(time.perf_counter() - began, 3), versions=host.versions(), **facts,
        )  # fmt: skip
        shown = {PANEL: [plain(facts | {"model_calls": calls})]}
        return io.NodeOutput(inversion, *_for_samplers(model, latent, inversion, seed), sigmas, text, ui=shown)


def check_model(model: Any, inversion: Inversion) -> None:
    """Raise ValueError where an inversion cannot have been made with this model."""
    host.open_latent(model, {"samples": inversion.clean})
    if inversion.flow != host.noise_schedule(model).flow:
        raise ValueError("inversion: it was made with a model of another family; connect the same model to DDIM Invert")


def _negative(positive: Any, negative: Any, cfg: float) -> Any:
    if negative is None and cfg != 1.0:
        raise ValueError(f"negative: it is not connected, but cfg is {cfg}; connect a negative prompt or set cfg to 1")
    return positive if negative is None else negative


def _invert(
    model: Any,
    positive: Any,
    negative: Any,
    opened: host.OpenLatent,
    sigmas: torch.Tensor,
    settings: dict[str, Any],
    iterations: int,
    keep: bool,
) -> tuple[Inversion, int, Residual]:
    method, flow = settings["method"], host.noise_schedule(model).flow
    settings = settings | {"flow": flow}
    if len(sigmas) == 0:
        unchanged = Residual("nothing is done at strength 0", 0.0, 0.0)
        return Inversion(method, sigmas, opened.samples, opened.samples, settings=settings), 0, unchanged
    rising = sigmas.flip(0).tolist()
    maps = StepNoise(opened.samples.shape, opened.keys(settings["seed"]), torch.device("cpu"), "noise maps")
    progress = host.StepCounter(model, (len(sigmas) - 1) * (2 if method == "pinned" else 1))
    scale = host.input_scale(model)

    def up(denoise: Any, x: torch.Tensor) -> tuple[Path, Residual]:
        meter = MissMeter(x, scale)

        def watch(state: torch.Tensor) -> None:
            progress(state)
            if method in ("ddim", "corrected"):
                meter.found(state)

        path = invert(
            meter.listening(denoise), x, rising, method, input_scale=scale, iterations=iterations,
            noises=(maps(sigma, sigma) for sigma in sigmas.tolist()), flow=flow, keep=keep, watch=watch,
        )  # fmt: skip
        return path, residual_of(method, path, meter)

    (path, residual), calls = host.solve(
        model, positive, negative, settings["cfg"], sigmas, opened.samples, up, double=method == "exact"
    )
    state, below, *lists = host.stored((path.state, path.below, path.corrections, path.trajectory))
    return Inversion(method, sigmas, opened.samples, state, below, *lists, settings=settings), calls, residual


def _for_samplers(
    model: Any, latent: dict[str, Any], inversion: Inversion, seed: int
) -> tuple[dict[str, Any], host.FixedNoise]:
    """The noise as a LATENT and as a NOISE."""
    if len(inversion.sigmas) == 0:
        return latent, host.FixedNoise(torch.zeros_like(inversion.clean), seed)
    first, state = float(inversion.sigmas[0]), inversion.state.float()
    samples, noise = host.samples_of(model, state, first), host.noise_of(model, state, first)
    record = NoisedRecord(inversion.clean, noise, first, digest(samples), state, inverted=True)
    return host.close_latent(latent, samples, record), host.FixedNoise(noise, seed)


def _run_back(
    model: Any, positive: Any, negative: Any, cfg: float, inversion: Inversion, preserve: float
) -> tuple[torch.Tensor, int]:
    """The picture an inversion gives under a prompt, in ComfyUI's latent space, and the model calls."""
    if len(inversion.sigmas) == 0:
        return inversion.clean, 0
    progress = host.StepCounter(model, len(inversion.sigmas) - 1)

    def down(denoise: Any, x: torch.Tensor) -> torch.Tensor:
        state = x
        for state in run_back(denoise, inversion.on(x), preserve):
            progress(state)
        return state

    embeddings = ()
    if isinstance(inversion, NullTextInversion):
        negative, embeddings = inversion.negative, inversion.embeddings
    state, calls = host.solve(
        model, positive, negative, cfg, inversion.sigmas, inversion.clean, down, inversion.below is not None, embeddings
    )
    return host.stored(host.from_model_space(model, state.float())), calls


def _graded(
    model: Any, positive: Any, negative: Any, cfg: float, inversion: Inversion, residual: Residual, grade: bool
) -> dict[str, Any]:
    """How well the picture comes back under its own prompt, as far as the solver is to blame."""
    clean = host.to_model_space(model, inversion.clean)
    facts: dict[str, Any] = {"residual": asdict(residual)}
    error = residual.picture
    if grade:
        back, calls = _run_back(model, positive, negative, cfg, inversion, 1.0)
        back = host.to_model_space(model, back)
        error = mse(back, clean)
        peak = float(clean.max() - clean.min()) or 1.0
        facts["grade"] = {"latent_mse": error, "latent_psnr": psnr(back, clean, peak), "model_calls": calls}
    return facts | {"verdict": asdict(judge(error, clean, measured=grade))}


class InversionSampler(io.ComfyNode):
    """From the noise of a picture to the picture, or an edit of it."""

    SEARCH_ALIASES = ["unsampler", "resample", "inversion edit", "prompt edit", "reconstruct"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Img2ImgInversionSampler",
            display_name="Inversion Sampler",
            category="img2img/inversion",
            description="Runs an inverted picture back down: under its own prompt it comes back, "
            "under a new prompt it is edited.",
            inputs=[
                inputs.model(),
                inputs.positive(),
                inputs.negative(),
                InversionInfo.Input("inversion", tooltip="From DDIM Invert, made with the same model."),
                inputs.cfg(),
                io.Float.Input(
                    "preserve",
                    default=0.6,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="For pinned inversions: for this share of the run, hold what ties the result to the "
                    "original. 1 gives the picture back, 0 edits most freely.",
                ),
                inputs.mask(),
            ],
            outputs=[io.Latent.Output(display_name="latent"), inputs.report()],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        negative: Any,
        inversion: Inversion,
        cfg: float,
        preserve: float,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        began = time.perf_counter()
        check_model(model, inversion)
        area = host.run_mask(mask, inversion.clean.shape)
        samples, calls = (
            (inversion.clean, 0)
            if area.kind == "none"
            else _run_back(model, positive, negative, cfg, inversion, preserve)
        )
        if area.latent is not None:
            samples = composite(area.latent.to(samples), inversion.clean, samples)
        text = report(
            inversion=inversion.settings, cfg=cfg, preserve=preserve, mask=area.kind, sigmas=inversion.sigmas,
            model_calls=calls, seconds=round(time.perf_counter() - began, 3), versions=host.versions(),
        )  # fmt: skip
        return io.NodeOutput({"samples": samples}, text)
