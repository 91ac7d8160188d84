"""NullTextOptimize: an inversion that gives the picture back under guidance, by optimizing the negative prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from comfy_api.latest import io

from .. import host
from ..core.inversion import Inversion
from ..core.inversion_methods import method_named
from ..core.metrics import mse
from ..core.null_text import NullTextInversion, NullTextStep, null_text
from ..core.placing import sent
from ..core.report import Report, Work
from ..core.verdict import judge
from . import inputs


class NullTextOptimize(io.ComfyNode):
    """Find what the negative prompt must say at each step for a guided run to give the picture back."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="Img2ImgNullTextOptimize",
            display_name="Null-Text Optimize",
            category="img2img/inversion",
            search_aliases=[
                "null text inversion",
                "null-text",
                "nti",
                "optimize unconditional",
                "negative prompt inversion",
            ],
            folded=["learning_rate"],
            description="Prepares an inversion for high cfg: finds for every step what the negative prompt must say so "
            "that the picture comes back under guidance. Slow, and needs memory for gradients.",
            inputs=[
                inputs.model(),
                io.Conditioning.Input("positive", tooltip="The prompt that Invert to Noise was given."),
                inputs.InversionInfo.Input(
                    "inversion", tooltip="From Invert to Noise at cfg 1, with keep_trajectory on. Not of noise_maps."
                ),
                inputs.cfg(),
                io.Int.Input(
                    "inner_steps",
                    default=10,
                    min=0,
                    max=200,
                    tooltip="How often the embedding is improved at each step, at most: a step that is close enough "
                    "ends early. Each costs a model call forth and back.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=0.01,
                    min=0.0001,
                    max=1.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="How far the embedding moves each time. It falls to half over the run.",
                ),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip="What the optimization starts from: an empty prompt, as in the paper. Without: the "
                    "positive prompt, which starts closer to the picture.",
                ),
            ],
            outputs=[
                inputs.InversionInfo.Output(display_name="inversion", tooltip="For Inversion Sampler at the same cfg."),
                inputs.report(),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        inversion: Inversion,
        cfg: float,
        inner_steps: int,
        learning_rate: float,
        negative: io.Conditioning.Type | None = None,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        _check(model, inversion, cfg)
        start = "positive" if negative is None else "negative"
        guidance = host.Guidance(model, positive, positive if negative is None else negative, cfg)
        settings = Settings(cfg, inner_steps, learning_rate, start)
        pictures = host.picture_rows(model, inversion.clean) if len(inversion.sigmas) else []
        progress = host.StepCounter(model, len(pictures) * max(0, len(inversion.sigmas) - 1))
        found = [_optimize(guidance, inversion, rows, settings, progress) for rows in pictures]
        facts = _facts(model, inversion, pictures, found)
        text = report.text(_work(found, settings), **asdict(settings), inversion=inversion.settings, **facts)
        made = _inversion_of(inversion, guidance, settings, found)
        return io.NodeOutput(made, text, ui=host.panel(inputs.INVERSION_PANEL, text, **facts))


@dataclass(frozen=True, eq=False, repr=False)
class Settings:
    """How to optimize; ``start`` is the prompt whose embedding it starts from."""

    cfg: float
    inner_steps: int
    learning_rate: float
    start: str


def _check(model: io.Model.Type, inversion: Inversion, cfg: float) -> None:
    """Raise ValueError where there is no path to follow, or no guidance to follow it with."""
    host.check_inversion(model, inversion)
    if not method_named(inversion.method).has_path:
        raise ValueError(
            f"inversion: {inversion.method} leaves no path that a run could follow; set method to corrected in "
            f"Invert to Noise"
        )
    inversion.path()
    if inversion.cfg != 1.0:
        raise ValueError(
            f"inversion: it was made at cfg {inversion.cfg:g}, and only the path at cfg 1 is worth following; set cfg "
            f"to 1 in Invert to Noise"
        )
    if cfg == 1.0:
        raise ValueError(
            "cfg: at 1 the negative prompt says nothing, so there is nothing to optimize; set the cfg to edit with, "
            "or connect the inversion to Inversion Sampler as it is"
        )


def _optimize(
    guidance: host.Guidance, inversion: Inversion, rows: list[int], settings: Settings, progress: Callable[[Any], None]
) -> host.SolvedWithGradients:
    """One picture of the batch, by itself: so it gets the same embeddings in any batch, and needs the least memory.

    rows: of the batch that make the picture, several for a clip
    """
    path = [state[rows] for state in inversion.trajectory]

    def follow(parts: host.GuidedParts, embedding: torch.Tensor, clean: torch.Tensor) -> list[NullTextStep]:
        states = [state.clone() for state in sent(path, clean.device)]
        sigmas, divisor = inversion.sigmas.tolist(), host.input_divisor(guidance.model)
        found = []
        for step in null_text(parts, states, sigmas, embedding, divisor, settings.inner_steps, settings.learning_rate):
            progress(step.state)
            found.append(step)
        return found

    own = guidance.for_pictures(rows, len(inversion.clean))
    return host.solve_with_gradients(own, inversion.sigmas, inversion.clean[rows], follow)


def _inversion_of(
    inversion: Inversion, guidance: host.Guidance, settings: Settings, found: list[host.SolvedWithGradients]
) -> NullTextInversion:
    """The same inversion with the embeddings that were found. Its way down is plain DDIM's, whatever its way up was."""
    per_step = zip(*(one.result for one in found), strict=True)
    embeddings = [torch.cat([step.embedding for step in of_all]) for of_all in per_step]
    return NullTextInversion(
        "ddim",
        inversion.sigmas,
        inversion.clean,
        inversion.state,
        inversion.flow,
        guidance.cfg,
        space=inversion.space,
        model=inversion.model,
        settings=inversion.settings | {"null_text": asdict(settings)},
        embeddings=host.stored(tuple(embeddings)),
        negative=guidance.negative,
    )


def _work(found: list[host.SolvedWithGradients], settings: Settings) -> Work:
    """What the optimization took; planned is what it would take if no step ended early."""
    steps = sum(len(one.result) for one in found)
    calls = sum(sum(one.parts.calls.values()) for one in found)
    # at each step the prompt's own answer, the rounds and a last look, and the guided step itself
    return Work(steps * (settings.inner_steps + 3), calls, sum(one.seconds for one in found))


def _facts(
    model: io.Model.Type, inversion: Inversion, pictures: list[list[int]], found: list[host.SolvedWithGradients]
) -> dict[str, Any]:
    """What the report says of the work and of what came out."""
    calls = {part: sum(one.parts.calls[part] for one in found) for part in host.GuidedParts.PARTS}
    clean = host.to_model_space(model, inversion.clean)
    last = [host.stored(one.result[-1].state) for one in found]
    errors = [mse(state, clean[rows]) for rows, state in zip(pictures, last, strict=True)]
    steps = [step for one in found for step in one.result]
    return {
        "model_calls": sum(calls.values()),
        "calls": calls,
        "backward_passes": sum(step.rounds for step in steps),
        "losses": [
            {"first": [step.first for step in one.result], "last": [step.last for step in one.result]} for one in found
        ],
        "memory_bytes": found[0].parts.memory if found else {},
        "latent_mse": errors,
        "verdict": asdict(judge(max(errors, default=0.0), clean, measured=True)),
    }
