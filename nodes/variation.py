"""VariationBatch: many versions of a picture, each of which can be made again alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..core.noise import SEED_LIMIT, ItemKey, turn
from ..core.passes import Variation, batches, plan_variations
from ..core.report import plain, report
from ..core.sheet import from_pillow
from ..core.text import parse_seeds, parse_strengths
from . import host, inputs
from .schedule import plan_strength


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
        model: Any,
        positive: Any,
        negative: Any,
        latent: dict[str, Any],
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
        measure: str = "timestep",
        step_count: str = "exact",
        sampler: Any = None,
        vae: Any = None,
    ) -> io.NodeOutput:
        began = time.perf_counter()
        opened = host.open_clean_latent(model, latent, mask)
        listed = parse_seeds(seeds) or [(seed + i) % SEED_LIMIT for i in range(first_item + count)]
        levels = parse_strengths(strengths) or [strength]
        items = plan_variations(len(opened.samples), listed, levels, first_item, len(listed))
        plans = {s: plan_strength(model, scheduler, steps, s, measure, step_count) for s in set(levels)}
        chosen = host.resolve_sampler(sampler_name, sampler)
        limit = host.batch_size(model, chosen, opened, len(items), batch_limit)
        progress = host.Progress(model, sum(plans[items[batch[0]].strength].steps for batch in batches(items, limit)))
        sheet = Sheet(items, host.Thumbnails(model, vae, progress))

        def sample_batch(batch: list[Variation]) -> host.Sampled:
            start, keys, area = _start(opened, batch, listed[0], variation)
            sigmas = plans[batch[0].strength].sigmas
            run = host.sample(model, positive, negative, cfg, chosen, sigmas, start, keys, area, progress)
            sheet.add(run.samples)
            return run

        runs = [sample_batch([items[place] for place in batch]) for batch in batches(items, limit)]
        samples = torch.cat([run.samples for run in runs])
        text = report(
            items=[{"picture": item.picture, "seed": item.seed, "strength": item.strength} for item in items],
            plans=[{"strength": s, "sigmas": plan.sigmas, "capped": plan.capped} for s, plan in sorted(plans.items())],
            variation=variation, sampler=host.sampler_label(sampler_name, sampler), scheduler=scheduler, cfg=cfg,
            measure=measure, step_count=step_count, batch_limit=limit, model_calls=sum(run.calls for run in runs),
            seconds=round(time.perf_counter() - began, 3), versions=host.versions(),
        )  # fmt: skip
        out = {key: value for key, value in latent.items() if key not in ("batch_index", "noise_mask")} | {
            "samples": samples
        }
        return io.NodeOutput(
            out, ", ".join(str(item.seed) for item in items), text, ui={"img2img_variations": [sheet.payload()]}
        )


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

    def payload(self, place: int = 0) -> dict[str, Any]:
        """What the node's body shows, from one place of the list on."""
        return {"total": len(self.items), "place": place, "items": plain(self.shown[place:])}

    def _tell(self, place: int) -> None:
        host.tell_browser("img2img.variations", **self.payload(place))


def _start(
    opened: host.OpenLatent, batch: list[Variation], first_seed: int, variation: float
) -> tuple[host.Start, list[ItemKey], host.RunMask]:
    """Clean latents, noise, noise keys and mask of variations that are sampled together."""
    pictures = [item.picture for item in batch]
    clean = opened.samples[pictures]
    noise = torch.cat([_noise(opened, item, first_seed, variation) for item in batch])
    keys = [opened.keys(item.seed)[item.picture] for item in batch]
    mask = opened.mask
    if mask is not None and len(mask) == len(opened.samples) > 1:
        mask = mask[pictures]
    return host.Start(clean, noise), keys, host.run_mask(mask, clean.shape)


def _noise(opened: host.OpenLatent, item: Variation, first_seed: int, variation: float) -> torch.Tensor:
    """The noise a stock KSampler would draw for this picture alone, turned towards it from the first variation's."""
    picture = opened.samples[item.picture : item.picture + 1]
    place = [opened.keys(0)[item.picture][1]]
    own = host.draw_noise(picture, item.seed, place)
    if variation >= 1.0:
        return own
    return turn(host.draw_noise(picture, first_seed, place)[0], own[0], variation)[None]
