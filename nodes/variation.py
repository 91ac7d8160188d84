"""VariationBatch: many versions of a picture, each of which can be made again alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io, ui
from PIL import Image

from .. import host
from ..core.noise import SEED_LIMIT, slerp
from ..core.report import Report, Work, plain
from ..core.schedule import Measure, StepCount, StrengthPlan, StrengthSettings
from ..core.sheet import from_pillow
from ..core.text import parse_seeds, parse_strengths
from ..core.variations import Variation, batches, plan_variations
from . import inputs


class VariationBatch(io.ComfyNode):
    """Variations with seeds to keep."""

    SEARCH_ALIASES = ["variations", "batch", "seeds", "subseed", "variation seed", "img2img batch"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VariationBatch",
            display_name="Variation Batch",
            category="img2img/sampling",
            description="Makes several versions of a picture, one for each seed. Each is the same picture alone, in "
            "any batch, or on another machine: note its seed and make it again.",
            inputs=[
                inputs.model(),
                inputs.positive(),
                inputs.negative(),
                inputs.latent(),
                io.Int.Input(
                    "count", default=4, min=1, max=4096, tooltip="How many variations. Ignored where seeds are listed."
                ),
                inputs.strength(0.5),
                inputs.steps(),
                inputs.cfg(3.0),
                inputs.sampler_name(),
                inputs.scheduler(),
                inputs.seed("The seed of the first variation; the others count on from it."),
                io.Float.Input(
                    "variation",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How far each variation's noise turns away from the first one's: 1 is a noise of its own, "
                    "small values give close relatives.",
                ),
                io.String.Input(
                    "seeds",
                    default="",
                    optional=True,
                    tooltip="The seeds to use, like 1, 5, 9..12. Empty: count on from seed.",
                ),
                io.String.Input(
                    "strengths",
                    default="",
                    optional=True,
                    tooltip="A strength for each variation, like 0.3, 0.5, 0.7, and round again. Empty: one for all.",
                ),
                io.Int.Input(
                    "first_item",
                    default=0,
                    min=0,
                    max=1_000_000,
                    optional=True,
                    tooltip="Start at this place of the list, to share a long list between machines.",
                ),
                io.Int.Input(
                    "batch_limit",
                    default=0,
                    min=0,
                    max=4096,
                    optional=True,
                    tooltip="The most pictures to sample at once. 0: as many as fit into memory.",
                ),
                inputs.mask(),
                inputs.measure(),
                inputs.step_count(),
                inputs.sampler(),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Shows the variations in the node as they are. Without it, ComfyUI's rough previews are "
                    "shown there.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="batch"),
                io.String.Output(display_name="seeds", tooltip="The seed of each variation, in order."),
                inputs.report(),
            ],
        )

    @classmethod
    def validate_inputs(cls, seeds: str | None = None, strengths: str | None = None) -> bool | str:
        read_seeds = inputs.readable(parse_seeds, seeds)
        return inputs.readable(parse_strengths, strengths) if read_seeds is True else read_seeds

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent: io.Latent.Type,
        count: int,
        strength: float,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        seed: int,
        variation: float,
        seeds: str = "",
        strengths: str = "",
        first_item: int = 0,
        batch_limit: int = 0,
        mask: torch.Tensor | None = None,
        measure: Measure = "timestep",
        step_count: StepCount = "exact",
        sampler: io.Sampler.Type | None = None,
        vae: io.Vae.Type | None = None,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        opened = host.open_clean_latent(model, latent, mask)
        listed = parse_seeds(seeds) or [(seed + i) % SEED_LIMIT for i in range(first_item + count)]
        levels = parse_strengths(strengths) or [strength]
        items = plan_variations(len(opened.samples), listed, levels, first_item)
        settings = StrengthSettings(scheduler, steps, strength, measure, step_count)
        plans = {level: host.plan_strength(model, replace(settings, strength=level)) for level in set(levels)}
        guidance, chosen = host.Guidance(model, positive, negative, cfg), host.Sampler.chosen(sampler_name, sampler)
        limit = host.batch_size(model, chosen, opened, len(items), batch_limit)
        parts = list(batches(items, limit))
        progress = host.Progress(model, sum(plans[part[0].strength].steps for part in parts))
        sheet, runs = Sheet(items, host.Thumbnails(model, vae, progress)), []
        for part in parts:
            start, area = _start(opened, part, listed[0], variation)
            runs.append(host.sample(guidance, chosen, plans[part[0].strength].sigmas, start, area, progress))
            sheet.add(runs[-1].samples)
        facts = _facts(items, plans, settings) | {"sampler": chosen.label, "cfg": cfg}
        text = report.text(sum((run.work for run in runs), Work()), **facts, variation=variation, batch_limit=limit)
        kept = {key: value for key, value in latent.items() if key not in ("batch_index", "noise_mask")}
        out = host.close_latent(kept, torch.cat([run.samples for run in runs]))
        shown = {"img2img_variations": [sheet.payload()]}
        return io.NodeOutput(out, ", ".join(str(item.seed) for item in items), text, ui=shown)


def _facts(items: list[Variation], plans: Mapping[float, StrengthPlan], settings: StrengthSettings) -> dict[str, Any]:
    return {
        "items": [{"picture": item.picture, "seed": item.seed, "strength": item.strength} for item in items],
        "plans": [
            {"strength": strength, "sigmas": plan.sigmas, "capped": plan.capped}
            for strength, plan in sorted(plans.items())
        ],
        "scheduler": settings.scheduler,
        "measure": settings.measure,
        "step_count": settings.step_count,
    }


class Sheet:
    """The finished variations for the node's body, where each batch appears as soon as it is done.

    items:     all variations of the run
    thumbnail: makes a small picture of a finished latent, or None
    """

    def __init__(self, items: list[Variation], thumbnail: Callable[[torch.Tensor], Image.Image | None]) -> None:
        self.items, self.thumbnail = items, thumbnail
        self.shown: list[dict[str, Any]] = []
        self._tell(0)

    def add(self, samples: torch.Tensor) -> None:
        """Show the next finished variations, [B, C, ...]."""
        before = len(self.shown)
        for item, one in zip(self.items[before:], samples.split(1), strict=False):
            picture = self.thumbnail(one)
            saved = None if picture is None else ui.PreviewImage(from_pillow(picture)).as_dict()["images"][0]
            # As text, because a browser's numbers end at 2^53.
            self.shown.append({"seed": str(item.seed), "strength": item.strength, "image": saved})
        self._tell(before)

    def payload(self, first: int = 0) -> dict[str, Any]:
        """What the node's body shows, from one item of the list on."""
        return {"total": len(self.items), "first": first, "items": plain(self.shown[first:])}

    def _tell(self, first: int) -> None:
        host.tell_browser("img2img.variations", **self.payload(first))


def _start(
    opened: host.OpenLatent, batch: list[Variation], first_seed: int, variation: float
) -> tuple[host.Start, host.RunMask]:
    """Where variations that are sampled together start, and their mask."""
    pictures = [item.picture for item in batch]
    clean = opened.samples[pictures]
    noise = torch.cat([_noise(opened, item, first_seed, variation) for item in batch])
    keys = [opened.keys(item.seed)[item.picture] for item in batch]
    mask = opened.mask
    if mask is not None and len(mask) == len(opened.samples) > 1:
        mask = mask[pictures]
    return host.Start(clean, noise, keys), host.run_mask(mask, clean.shape)


def _noise(opened: host.OpenLatent, item: Variation, first_seed: int, variation: float) -> torch.Tensor:
    """The noise a stock KSampler would draw for this picture alone, turned towards it from the first variation's."""
    picture = opened.samples[item.picture : item.picture + 1]
    index = [opened.keys(0)[item.picture][1]]
    own = host.draw_noise(picture, item.seed, index)
    if variation >= 1.0:
        return own
    return slerp(host.draw_noise(picture, first_seed, index)[0], own[0], variation)[None]
