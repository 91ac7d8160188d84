"""VariationBatch: many versions of a picture, each of which can be made again alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from comfy_api.latest import io

from .. import host
from ..core.kept import Kept
from ..core.noise import SEED_LIMIT, slerp
from ..core.report import Report, Work
from ..core.schedule import Measure, StepCount, StrengthPlan, StrengthSettings
from ..core.sheet import thumbnail
from ..core.text import parse_seeds, parse_strengths
from ..core.variations import Variation, batches, names_of, place_of, plan_variations
from . import inputs

THUMBNAIL_SIDE = 512  # pixels


class VariationBatch(io.ComfyNode):
    """Variations with seeds to keep."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return inputs.Schema(
            node_id="VariationBatch",
            display_name="Variation Batch",
            category="img2img/sampling",
            search_aliases=["variations", "batch", "seeds", "subseed", "variation seed", "img2img batch"],
            folded=["seeds", "strengths", "first_item", "batch_limit", "chosen", "split_at"],
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
                    tooltip="The most pictures to sample at once; each appears in the node as soon as it is done. 0: "
                    "as many as fit into memory, or one by one where that takes no longer, as on a CPU from 512 "
                    "pixels on.",
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
                io.String.Input(
                    "chosen",
                    default="",
                    optional=True,
                    tooltip="The seed of the variation that goes out as chosen; click Use below its picture. Empty: "
                    "the first one.",
                ),
                *inputs.low_model(),
            ],
            outputs=[
                io.Latent.Output(display_name="batch"),
                io.String.Output(display_name="seeds", tooltip="The seed of each variation, in order."),
                inputs.report(),
                io.Latent.Output(display_name="chosen", tooltip="The variation you chose, alone."),
                io.Int.Output(display_name="chosen seed", tooltip="Its seed."),
            ],
        )

    @classmethod
    def validate_inputs(cls, seeds: str | None = None, strengths: str | None = None) -> bool:
        parse_seeds(seeds or "")  # raises: what is returned, ComfyUI says once for each of these inputs
        parse_strengths(strengths or "")
        return True

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
        chosen: str = "",
        low_model: io.Model.Type | None = None,
        split_at: float = 0.875,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        guidance = host.Guidance(model, positive, negative, cfg).with_low(low_model, split_at)
        painted_by = host.Sampler.chosen(sampler_name, sampler)
        settings = StrengthSettings(scheduler, steps, strength, measure, step_count)
        listed = parse_seeds(seeds) or [(seed + i) % SEED_LIMIT for i in range(first_item + count)]
        levels = parse_strengths(strengths) or [strength]
        pictures = host.picture_rows(model, (opened := host.open_clean_latent(model, latent, mask)).samples)
        items = plan_variations(len(pictures), listed, levels, first_item)
        plans = {level: host.plan_strength(model, replace(settings, strength=level)) for level in set(levels)}
        limit = host.batch_size(guidance, painted_by, opened, len(items), batch_limit)
        painter = Painter(guidance, painted_by, opened, pictures, plans, listed[0], variation)
        sources = (positive, negative, latent, mask, sampler, vae, sampler_name, low_model)
        numbers = repr((split_at, items, listed[0], settings, cfg, variation, limit))
        sheet = Sheet(items, _finished.setdefault(model, Kept(1)).get((*sources, numbers), list), chosen)
        work = painter.paint(sheet, limit, vae)
        text = report.text(work, **painter.facts(items, settings), **sheet.choice(), batch_limit=limit)
        batch, one = (_closed(latent, samples) for samples in sheet.samples())
        return io.NodeOutput(batch, sheet.seeds(), text, one, items[sheet.place].seed, ui=sheet.panel(text, listed[0]))


def _closed(latent: io.Latent.Type, samples: torch.Tensor) -> io.Latent.Type:
    """Variations as a LATENT, without what belongs to single pictures of the input."""
    kept: Any = {key: value for key, value in latent.items() if key not in ("batch_index", "noise_mask")}
    return host.close_latent(kept, samples)


@dataclass(frozen=True, eq=False, repr=False)
class Finished:
    """A variation that is painted: its latent [1, C, ...], and where the browser finds its picture."""

    samples: torch.Tensor
    image: str | None


_finished: WeakKeyDictionary[io.Model.Type, Kept[list[Finished]]] = WeakKeyDictionary()
"""The variations of the last run, by model: choosing one, or going on after an interruption, paints nothing anew.

What is kept goes when ComfyUI lets go of the model, and with the next run that differs in anything but the choice.
"""


class Sheet:
    """The variations in the node's body, where each batch appears as soon as it is done.

    items:  all variations of the run
    done:   those that are painted, in order
    chosen: the name of one of them; the first one stands for one that is not there
    """

    def __init__(self, items: list[Variation], done: list[Finished], chosen: str) -> None:
        self.items, self.done, self.names = items, done, names_of(items)
        place = place_of(chosen, items)
        self.place, self.is_missing = place or 0, place is None
        self._tell(0)

    def add(self, finished: Sequence[torch.Tensor], seen: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
        """Take in the next finished variations, [1, C, ...] or clips [B, C, ...], and show a small picture of each."""
        before = len(self.done)
        for one in finished:
            picture = seen(one[:1])
            image = None if picture is None else host.small_jpeg(thumbnail(picture, THUMBNAIL_SIDE))
            self.done.append(Finished(one, image))
        self._tell(before)

    def samples(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All of them, [B, C, ...], and the chosen one alone, once all are painted."""
        return torch.cat([one.samples for one in self.done]), self.done[self.place].samples

    def seeds(self) -> str:
        """The seed of each, in order."""
        return ", ".join(str(item.seed) for item in self.items)

    def choice(self) -> dict[str, Any]:
        """What the report says of the chosen variation."""
        return {"chosen": self.names[self.place], "chosen_is_missing": self.is_missing}

    def panel(self, text: str, first_seed: int) -> host.Panel:
        """All of it, for a browser that comes later; ``text`` is the report."""
        return host.panel("img2img_variations", text, **self._payload(0), first_seed=str(first_seed))

    def _payload(self, first: int) -> dict[str, Any]:
        """What the node's body shows, from one item on. Seeds are texts: a browser's numbers end at 2^53."""
        shown = zip(self.items[first:], self.names[first:], self.done[first:], strict=False)
        items = [
            {"name": name, "seed": str(item.seed), "strength": item.strength, "image": one.image}
            for item, name, one in shown
        ]
        return {"total": len(self.items), "first": first, "items": items}

    def _tell(self, first: int) -> None:
        host.tell_browser("img2img.variations", **self._payload(first))


@dataclass(frozen=True, eq=False, repr=False)
class Painter:
    """What all variations of a run share.

    pictures:   the rows of the latent that make each of them
    plans:      of each strength
    first_seed: the seed whose noise the others turn away from
    variation:  how far they turn, 0..1
    """

    guidance: host.Guidance
    sampler: host.Sampler
    opened: host.OpenLatent
    pictures: list[list[int]]
    plans: Mapping[float, StrengthPlan]
    first_seed: int
    variation: float

    def paint(self, sheet: Sheet, limit: int, vae: io.Vae.Type | None) -> Work:
        """Sample what the sheet lacks, batch after batch, under one progress bar; each is shown as soon as done."""
        model, work, parts = self.guidance.model, Work(), list(batches(sheet.items[len(sheet.done) :], limit))
        progress = host.Progress(model, sum(self.plans[part[0].strength].steps for part in parts))
        seen = host.Thumbnails(model, vae, progress)
        for part in parts:
            rows = [row for item in part for row in self.pictures[item.picture]]
            start, area = self._start(part, rows)
            guidance = self.guidance.for_pictures(rows, len(self.opened.samples))
            run = host.sample(guidance, self.sampler, self.plans[part[0].strength].sigmas, start, area, progress)
            sheet.add(run.samples.chunk(len(part)), seen)
            work += run.work
        return work

    def _start(self, part: list[Variation], rows: list[int]) -> tuple[host.Start, host.RunMask]:
        """Where variations that are sampled together start, and their mask; rows are those of the latent."""
        opened = self.opened
        clean = opened.samples[rows]
        noise = torch.cat([self._noise(item) for item in part])
        keys = [opened.keys(item.seed)[row] for item in part for row in self.pictures[item.picture]]
        mask = opened.mask
        if mask is not None and len(mask) == len(opened.samples) > 1:
            mask = mask[rows]
        return host.Start(clean, noise, keys), host.run_mask(mask, clean.shape)

    def _noise(self, item: Variation) -> torch.Tensor:
        """What a stock KSampler would draw for this picture alone, turned that way from the first variation's noise."""
        rows = self.pictures[item.picture]
        picture, index = self.opened.samples[rows], [self.opened.keys(0)[row][1] for row in rows]
        index = self.opened.items if len(rows) > 1 else index  # a clip's noise is one draw
        own = host.draw_noise(picture, item.seed, index)
        if self.variation >= 1.0:
            return own
        return slerp(host.draw_noise(picture, self.first_seed, index), own, self.variation)

    def facts(self, items: list[Variation], settings: StrengthSettings) -> dict[str, Any]:
        """What the report says of the run, besides what it took."""
        plans = sorted(self.plans.items())
        return {
            "items": [{"picture": item.picture, "seed": item.seed, "strength": item.strength} for item in items],
            "plans": [{"strength": level, "sigmas": plan.sigmas, "capped": plan.capped} for level, plan in plans],
            "variation": self.variation,
            "sampler": self.sampler.label,
            "scheduler": settings.scheduler,
            "cfg": self.guidance.cfg,
            "measure": settings.measure,
            "step_count": settings.step_count,
        }
