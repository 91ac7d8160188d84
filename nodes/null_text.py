"""NullTextOptimize: an inversion that gives the picture back under guidance, by optimising the negative prompt."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch
from comfy_api.latest import io

from ..core.inversion import Inversion
from ..core.metrics import mse
from ..core.null_text import NullTextInversion, NullTextStep, null_text
from ..core.report import plain, report
from ..core.verdict import judge
from . import host, inputs
from .inversion import PANEL, InversionInfo, check_model


class NullTextOptimize(io.ComfyNode):
    """Find what the negative prompt must say at each step for a guided run to give the picture back."""

    SEARCH_ALIASES = ["null text inversion", "null-text", "nti", "optimise unconditional", "negative prompt inversion"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Img2ImgNullTextOptimize",
            display_name="Null-Text Optimize",
            category="img2img/inversion",
            description="Prepares an inversion for high cfg: finds for every step what the negative prompt must say so "
            "that the picture comes back under guidance. Slow, and needs memory for gradients.",
            inputs=[
                inputs.model(),
                io.Conditioning.Input("positive", tooltip="The prompt that DDIM Invert was given."),
                InversionInfo.Input(
                    "inversion", tooltip="From DDIM Invert at cfg 1, with keep_trajectory on. Not of noise_maps."
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
                    tooltip="What the optimisation starts from: an empty prompt, as in the paper. Without: the "
                    "positive prompt, which starts closer to the picture.",
                ),
            ],
            outputs=[
                InversionInfo.Output(display_name="inversion", tooltip="For Inversion Sampler at the same cfg."),
                inputs.report(),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        inversion: Inversion,
        cfg: float,
        inner_steps: int,
        learning_rate: float,
        negative: Any = None,
    ) -> io.NodeOutput:
        began = time.perf_counter()
        _check(model, inversion, cfg)
        start = "positive" if negative is None else "negative"
        negative = positive if negative is None else negative
        settings = {"cfg": cfg, "inner_steps": inner_steps, "learning_rate": learning_rate, "start": start}
        progress = host.StepCounter(model, len(inversion.clean) * max(0, len(inversion.sigmas) - 1))
        items = [
            _optimise(model, positive, negative, inversion, item, settings, progress)
            for item in range(len(inversion.clean) if len(inversion.sigmas) else 0)
        ]
        per_step = zip(*(steps for _, steps in items), strict=True)
        embeddings = [torch.cat([step.embedding for step in of_all]) for of_all in per_step]
        made = NullTextInversion(
            "null_text", inversion.sigmas, inversion.clean, inversion.state, embeddings=host.stored(tuple(embeddings)),
            negative=negative, settings=inversion.settings | {"method": "null_text", "null_text": settings},
        )  # fmt: skip
        facts = _facts(model, inversion, items)
        seconds = round(time.perf_counter() - began, 3)
        text = report(**settings, inversion=inversion.settings, **facts, seconds=seconds, versions=host.versions())
        return io.NodeOutput(made, text, ui={PANEL: [plain(facts)]})


def _check(model: Any, inversion: Inversion, cfg: float) -> None:
    """Raise ValueError where there is no path to follow, or no guidance to follow it with."""
    check_model(model, inversion)
    if inversion.method == "noise_maps":
        raise ValueError(
            "inversion: noise_maps leaves no path that a run could follow; set method to corrected in DDIM Invert"
        )
    if len(inversion.sigmas) and not inversion.trajectory:
        raise ValueError("inversion: the path is not in it; switch keep_trajectory on in DDIM Invert")
    if inversion.settings.get("cfg", 1.0) != 1.0:
        raise ValueError(
            f"inversion: it was made at cfg {inversion.settings['cfg']:g}, and only the path at cfg 1 is worth "
            f"following; set cfg to 1 in DDIM Invert"
        )
    if cfg == 1.0:
        raise ValueError(
            "cfg: at 1 the negative prompt says nothing, so there is nothing to optimise; set the cfg to edit with, "
            "or connect the inversion to Inversion Sampler as it is"
        )


def _optimise(
    model: Any, positive: Any, negative: Any, inversion: Inversion, item: int, settings: dict[str, Any], progress: Any
) -> tuple[host.GuidedParts, list[NullTextStep]]:
    """One picture of the batch, by itself: so it gets the same embeddings in any batch, and needs the least memory."""
    path = [state[item : item + 1] for state in inversion.trajectory]

    def follow(parts: host.GuidedParts, embedding: torch.Tensor, clean: torch.Tensor) -> list[NullTextStep]:
        states = [state.to(clean).clone() for state in path]
        found = []
        for step in null_text(
            parts, states, inversion.sigmas.tolist(), embedding, host.input_scale(model), settings["inner_steps"],
            settings["learning_rate"],
        ):  # fmt: skip
            progress(step.state)
            found.append(step)
        return found

    said, unsaid = (host.prompt_of_item(prompt, item) for prompt in (positive, negative))
    clean = inversion.clean[item : item + 1]
    return host.solve_with_gradients(model, said, unsaid, settings["cfg"], inversion.sigmas, clean, follow)


def _facts(
    model: Any, inversion: Inversion, items: list[tuple[host.GuidedParts, list[NullTextStep]]]
) -> dict[str, Any]:
    """What the report says of the work and of what came out."""
    calls = {part: sum(parts.calls[part] for parts, _ in items) for part in host.GuidedParts.PARTS}
    clean = host.to_model_space(model, inversion.clean)
    errors = [mse(host.stored(steps[-1].state), clean[item : item + 1]) for item, (_, steps) in enumerate(items)]
    return {
        "model_calls": sum(calls.values()),
        "calls": calls,
        "backward_passes": sum(step.rounds for _, steps in items for step in steps),
        "losses": [{"first": [s.first for s in steps], "last": [s.last for s in steps]} for _, steps in items],
        "memory_bytes": items[0][0].memory if items else {},
        "latent_mse": errors,
        "verdict": asdict(judge(max(errors, default=0.0), clean, measured=True)),
    }
