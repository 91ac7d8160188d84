"""StrengthGrid: a labeled sheet of two settings against each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from comfy_api.latest import io
from PIL import Image

from .. import host
from ..core.conditioning import with_guidance, with_text
from ..core.grid import (
    AXES,
    UNCHANGED,
    Axis,
    AxisName,
    Cell,
    cell_names,
    count_marks,
    distinct,
    parse_axis,
    plan_cells,
    run_of,
)
from ..core.kept import Kept
from ..core.metrics import ssim
from ..core.report import Report, Work
from ..core.schedule import Measure, StepCount, StrengthPlan, StrengthSettings
from ..core.sheet import from_pillow, labeled_grid, thumbnail, to_pillow
from . import inputs

KEPT_GRIDS = 2
SHEET_SIDE = 1600  # pixels of the sheet in the node's body; the output has them all


def read_axes(rows: str, row_values: str, columns: str, column_values: str) -> tuple[Axis, Axis]:
    """Both axes, checked."""
    known = {"sampler": host.sampler_names(), "scheduler": host.scheduler_names()}
    return (
        parse_axis(rows, row_values, "row_values", known),
        parse_axis(columns, column_values, "column_values", known),
    )


class StrengthGrid(io.ComfyNode):
    """Try two settings against each other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def axis(name: str, default: str, values: str) -> list[Any]:
            across = "rows" if name == "row" else "columns"
            first = [default, *(one for one in AXES if one != default)]
            return [
                io.Combo.Input(
                    across, options=first, default=default, tooltip=f"The setting that changes along the {across}."
                ),
                io.String.Input(
                    f"{name}_values",
                    default=values,
                    multiline=True,
                    tooltip="Its values: numbers, seeds or names between commas; prompts on a line each.",
                ),
            ]

        return inputs.Schema(
            node_id="Img2ImgStrengthGrid",
            display_name="Strength Grid (XY plot)",
            category="img2img/compare",
            folded=["marks", "split_at"],
            search_aliases=["XY plot", "xyz plot", "grid", "compare samplers", "contact sheet", "parameter sweep"],
            description="Repaints one picture with every pair of two settings and shows them as a labeled table. "
            "Equal cells run once.",
            inputs=[
                inputs.model(),
                inputs.positive(),
                inputs.negative(),
                inputs.latent(),
                io.Vae.Input("vae", tooltip="The VAE of the model, to show the cells."),
                *axis("row", "strength", "0.3, 0.6, 0.9"),
                *axis("column", "cfg", "4, 7.5, 12"),
                inputs.strength(0.6),
                inputs.steps(),
                inputs.cfg(),
                inputs.sampler_name(),
                inputs.scheduler(),
                inputs.seed(),
                io.Clip.Input("clip", optional=True, tooltip="Only for the axis prompt: encodes its lines."),
                inputs.mask(),
                inputs.measure(),
                inputs.step_count(),
                inputs.sampler(),
                io.String.Input(
                    "marks",
                    default="",
                    optional=True,
                    tooltip="The cells you like best, by their values. Click a cell in the node to mark it; the node "
                    "counts the marks for each value.",
                ),
                *inputs.low_model(),
            ],
            outputs=[
                io.Image.Output(display_name="sheet"),
                io.Latent.Output(display_name="cells", tooltip="The result of every cell, row by row, as one batch."),
                inputs.report(),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        rows: str | None = None,
        row_values: str | None = None,
        columns: str | None = None,
        column_values: str | None = None,
    ) -> bool:
        if rows is not None and row_values is not None and columns is not None and column_values is not None:
            # It raises: what is returned, ComfyUI says once for each of these inputs.
            plan_cells(*read_axes(rows, row_values, columns, column_values), UNCHANGED)
        return True

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent: io.Latent.Type,
        vae: io.Vae.Type,
        rows: AxisName,
        row_values: str,
        columns: AxisName,
        column_values: str,
        strength: float,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        seed: int,
        clip: io.Clip.Type | None = None,
        mask: torch.Tensor | None = None,
        measure: Measure = "timestep",
        step_count: StepCount = "exact",
        sampler: io.Sampler.Type | None = None,
        marks: str = "",
        low_model: io.Model.Type | None = None,
        split_at: float = 0.875,
    ) -> io.NodeOutput:
        report = Report(host.versions())
        axes = read_axes(rows, row_values, columns, column_values)
        cells = plan_cells(*axes, Cell(strength, cfg, steps, sampler_name, scheduler, seed))
        _check_connected(model, axes, clip, sampler)
        guidance = host.Guidance(model, positive, negative, cfg).with_low(low_model, split_at)
        opened = _one_picture(model, host.open_clean_latent(model, latent, mask))
        painter = Painter(guidance, vae, clip, sampler, opened)
        settings = StrengthSettings(scheduler, steps, strength, measure, step_count)
        sources = (positive, negative, latent, vae, clip, mask, sampler, measure, step_count, low_model, split_at)
        done = _finished.setdefault(model, Kept(KEPT_GRIDS)).get(sources, dict)
        facts, work = painter.run_missing(distinct(cells), settings, done)
        shown = [done[run_of(cell)] for cell in cells]
        sheet, drawn = _sheet(axes, shown)
        text = report.text(work, **_facts(axes, cells, shown), **facts, marks=count_marks(marks, *axes))
        typed = {"rows": rows, "row_values": row_values, "columns": columns, "column_values": column_values}
        panel = host.panel("img2img_grid", text, **drawn, typed=typed)
        return io.NodeOutput(sheet, {"samples": torch.cat([one.run.samples for one in shown])}, text, ui=panel)


@dataclass(frozen=True, eq=False, repr=False)
class Shown:
    """A run of the grid: its latent, its picture, and how like the input that is (SSIM)."""

    run: host.Sampled
    picture: Image.Image
    likeness: float
    plan: StrengthPlan

    @property
    def label(self) -> str:
        """What stands under it on the sheet."""
        return f"likeness {self.note}" if self.run.work.calls else self.note

    @property
    def note(self) -> str:
        """The same for little room."""
        return f"{self.likeness:.2f}, {self.run.work.seconds:.1f} s" if self.run.work.calls else "unchanged"


_finished: WeakKeyDictionary[io.Model.Type, Kept[dict[Cell, Shown]]] = WeakKeyDictionary()
"""The cells of the last grids, by model: a new mark or value samples only new cells.

ComfyUI itself runs the whole node again whenever a widget changes, and hands it the same objects as before wherever
nothing changed upstream. What is kept goes when ComfyUI lets go of the model.
"""


def _check_connected(
    model: io.Model.Type, axes: tuple[Axis, Axis], clip: io.Clip.Type | None, sampler: io.Sampler.Type | None
) -> None:
    names = [axis.name for axis in axes]
    if "guidance" in names and not host.takes_guidance(model):
        where = "rows" if names[0] == "guidance" else "columns"
        raise ValueError(
            f"{where}: guidance is for models that have it built in, such as Flux dev, and this one has not; choose cfg"
        )
    if clip is None and "prompt" in names:
        raise ValueError("clip: it is not connected, but one axis is prompt; connect the CLIP of the model")
    if sampler is not None and "sampler" in names:
        raise ValueError("sampler: it is connected, but one axis is sampler; disconnect it or choose another axis")


def _one_picture(model: io.Model.Type, opened: host.OpenLatent) -> host.OpenLatent:
    if host.makes_sound(model):
        raise ValueError(
            "model: it makes sound, and a grid shows pictures; connect a model of pictures, or try strengths one by "
            "one with Guided Sampler"
        )
    if len(host.picture_rows(model, opened.samples)) != 1:
        raise ValueError(
            f"latent: it holds {len(opened.samples)} pictures, but a grid shows one; pick it with Latent From Batch"
        )
    return opened


def _settings_of(cell: Cell, shared: StrengthSettings) -> StrengthSettings:
    """The strength settings of a cell; a cell that stays unchanged needs none of its own."""
    if cell == UNCHANGED:
        return replace(shared, strength=0.0)
    return replace(shared, scheduler=cell.scheduler, steps=cell.steps, strength=cell.strength)


@dataclass(frozen=True, eq=False, repr=False)
class Painter:
    """What all cells of a grid share.

    sampler: a connected one, which takes the place of every cell's own
    clip:    encodes the prompts of cells that have one
    """

    guidance: host.Guidance
    vae: io.Vae.Type
    clip: io.Clip.Type | None
    sampler: io.Sampler.Type | None
    opened: host.OpenLatent

    def run_missing(
        self, wanted: list[Cell], settings: StrengthSettings, done: dict[Cell, Shown]
    ) -> tuple[dict[str, int], Work]:
        """Bring ``done`` to exactly the wanted runs; returns how many they are, how many were new, and what these took.

        settings: shared by all, but for what a cell says itself
        """
        plans = {cell: host.plan_strength(self.guidance.model, _settings_of(cell, settings)) for cell in wanted}
        for cell in done.keys() - plans.keys():
            del done[cell]
        new = [cell for cell in plans if cell not in done]
        if new:
            self._paint_all(new, plans, done)
        return {"runs": len(done), "reused": len(done) - len(new)}, sum((done[cell].run.work for cell in new), Work())

    def _paint_all(self, new: list[Cell], plans: dict[Cell, StrengthPlan], done: dict[Cell, Shown]) -> None:
        """One progress bar over all; what is done stays done if the rest is interrupted.

        Noise is drawn once for each seed, and a prompt encoded once.
        """
        opened, progress = self.opened, host.Progress(self.guidance.model, sum(plans[cell].steps for cell in new))
        noises = {seed: host.draw_noise(opened.samples, seed, opened.items) for seed in {cell.seed for cell in new}}
        prompts = {text: self._prompt(text) for text in dict.fromkeys(cell.prompt for cell in new)}
        first = self._decoded(opened.samples)
        for cell in new:
            start = host.Start(opened.samples, noises[cell.seed], opened.keys(cell.seed))
            positive = prompts[cell.prompt]
            positive = positive if cell.guidance is None else with_guidance(positive, cell.guidance)
            guidance = replace(self.guidance, positive=positive, cfg=cell.cfg)
            done[cell] = self._paint(cell, plans[cell], guidance, start, progress, first)

    def _paint(
        self,
        cell: Cell,
        plan: StrengthPlan,
        guidance: host.Guidance,
        start: host.Start,
        progress: host.Progress,
        first: torch.Tensor,
    ) -> Shown:
        if cell == UNCHANGED:
            run = host.Sampled(start.clean, None, Work())
        else:
            area = host.run_mask(self.opened.mask, start.clean.shape)
            chosen = host.Sampler.chosen(cell.sampler, self.sampler)
            run = host.sample(guidance, chosen, plan.sigmas, start, area, progress)
        picture = self._decoded(run.samples) if run.work.calls else first
        return Shown(run, to_pillow(picture), ssim(picture[None], first[None]), plan)

    def _prompt(self, text: str | None) -> io.Conditioning.Type:
        """A line of the prompt axis in the connected prompt's place, with all else that this one carries."""
        positive = self.guidance.positive
        return positive if text is None or self.clip is None else with_text(positive, host.encode_text(self.clip, text))

    def _decoded(self, samples: torch.Tensor) -> torch.Tensor:
        return host.decode(self.vae, {"samples": samples})[0]


def _sheet(axes: tuple[Axis, Axis], shown: list[Shown]) -> tuple[torch.Tensor, dict[str, Any]]:
    """The labeled sheet as an IMAGE, and what the node's body needs to make its cells clickable."""
    rows, columns = axes
    pictures, labels = [one.picture for one in shown], [one.label for one in shown]
    sheet, boxes = labeled_grid(pictures, labels, rows.labels, columns.labels, f"{rows.name} / {columns.name}")
    image = from_pillow(sheet)
    headings = {"rows": rows.labels, "columns": columns.labels, "names": cell_names(rows, columns)}
    notes = {"notes": [one.note for one in shown]}
    return image, {"image": host.small_jpeg(thumbnail(image[0], SHEET_SIDE)), "boxes": boxes} | headings | notes


def _facts(axes: tuple[Axis, Axis], cells: list[Cell], shown: list[Shown]) -> dict[str, Any]:
    rows, columns = axes
    return {
        "rows": {"setting": rows.name, "values": rows.values},
        "columns": {"setting": columns.name, "values": columns.values},
        "cells": [_describe(cell, one) for cell, one in zip(cells, shown, strict=True)],
    }


def _describe(cell: Cell, shown: Shown) -> dict[str, Any]:
    return {
        **asdict(cell),
        "start_sigma": shown.plan.start_sigma,
        "steps_run": shown.plan.steps,
        "capped": shown.plan.capped,
        "ssim_to_input": shown.likeness,
        **shown.run.work.describe(),
    }
