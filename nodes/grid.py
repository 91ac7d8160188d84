"""StrengthGrid: a labelled sheet of two settings against each other."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..core.grid import AXES, Axis, Cell, count_marks, distinct, parse_axis, plan_cells, run_of
from ..core.metrics import ssim
from ..core.report import plain, report
from ..core.schedule import StrengthPlan
from ..core.sheet import from_pillow, labelled_grid, to_pillow
from ..core.text import parse_seeds
from . import host, inputs
from .schedule import plan_strength

KEPT_GRIDS = 2


def read_axes(rows: str, row_values: str, columns: str, column_values: str) -> tuple[Axis, Axis]:
    """Both axes, checked."""
    known = {"sampler": host.sampler_names(), "scheduler": host.scheduler_names()}
    return (
        parse_axis(rows, row_values, "row_values", known),
        parse_axis(columns, column_values, "column_values", known),
    )


class StrengthGrid(io.ComfyNode):
    """Try two settings against each other."""

    SEARCH_ALIASES = ["XY plot", "xyz plot", "grid", "compare samplers", "contact sheet", "parameter sweep"]

    @classmethod
    def define_schema(cls) -> io.Schema:
        def axis(name: str, default: str, values: str) -> list[Any]:
            place = "rows" if name == "row" else "columns"
            first = [default, *(one for one in AXES if one != default)]
            return [
                io.Combo.Input(
                    place, options=first, default=default, tooltip=f"The setting that changes along the {place}."
                ),
                io.String.Input(
                    f"{name}_values",
                    default=values,
                    multiline=True,
                    tooltip="Its values: numbers, seeds or names between commas; prompts on a line each.",
                ),
            ]

        return io.Schema(
            node_id="Img2ImgStrengthGrid",
            display_name="Strength Grid",
            category="img2img/compare",
            description="Repaints one picture with every pair of two settings and shows them as a labelled table. "
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
                    tooltip="The cells you like best, counted row by row from 0, such as 1, 5..7. Click a cell in the "
                    "node to mark it. The report counts the marks for each value.",
                ),
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
        marks: str | None = None,
    ) -> bool | str:
        readable = inputs.readable(lambda text: parse_seeds(text, "marks"), marks)
        if readable is not True:
            return readable
        if rows is None or row_values is None or columns is None or column_values is None:
            return True
        try:
            plan_cells(*read_axes(rows, row_values, columns, column_values), Cell(0.5, 1.0, 1, "", "", 0))
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        negative: Any,
        latent: dict[str, Any],
        vae: Any,
        rows: str,
        row_values: str,
        columns: str,
        column_values: str,
        strength: float,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        seed: int,
        clip: Any = None,
        mask: torch.Tensor | None = None,
        measure: str = "timestep",
        step_count: str = "exact",
        sampler: Any = None,
        marks: str = "",
    ) -> io.NodeOutput:
        began = time.perf_counter()
        axes = read_axes(rows, row_values, columns, column_values)
        cells = plan_cells(*axes, Cell(strength, cfg, steps, sampler_name, scheduler, seed))
        if clip is None and "prompt" in (rows, columns):
            raise ValueError("clip: it is not connected, but one axis is prompt; connect the CLIP of the model")
        if sampler is not None and "sampler" in (rows, columns):
            raise ValueError("sampler: it is connected, but one axis is sampler; disconnect it or choose another axis")
        opened = host.open_clean_latent(model, latent, mask)
        if len(opened.samples) != 1:
            raise ValueError(
                f"latent: it holds {len(opened.samples)} pictures, but a grid shows one; pick it with Latent From Batch"
            )
        plans = {
            run: plan_strength(model, run.scheduler or scheduler, run.steps, run.strength, measure, step_count)
            for run in distinct(cells)
        }
        done = _finished_with(model, positive, negative, latent, vae, clip, mask, sampler, measure, step_count)
        new = _run_missing(model, positive, negative, vae, clip, sampler, opened, plans, done)
        shown = [done[run_of(cell)] for cell in cells]
        sheet, boxes = labelled_grid(
            [one.picture for one in shown], [one.label for one in shown],
            axes[0].labels, axes[1].labels, f"{rows} / {columns}",
        )  # fmt: skip
        text = report(
            rows={"setting": rows, "values": axes[0].values}, columns={"setting": columns, "values": axes[1].values},
            cells=[_describe(cell, one) for cell, one in zip(cells, shown, strict=True)], runs=len(done),
            reused=len(done) - len(new), marks=count_marks(marks, *axes),
            model_calls=sum(done[run].run.calls for run in new),
            seconds=round(time.perf_counter() - began, 3), versions=host.versions(),
        )  # fmt: skip
        image = from_pillow(sheet)
        preview = ui.PreviewImage(image, cls=cls).as_dict()["images"][0]
        return io.NodeOutput(
            image, {"samples": torch.cat([one.run.samples for one in shown])}, text,
            ui={"img2img_grid": [plain({"image": dict(preview), "boxes": boxes, "names": _names(*axes)})]},
        )  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A run of the grid: its latent, its picture, what stands under it, and how like the input it is."""

    run: host.Sampled
    picture: Image.Image
    label: str
    likeness: float
    plan: StrengthPlan


@dataclass(frozen=True)
class Finished:
    """The cells that were done with some inputs; the inputs are held, so that no new object takes their identity."""

    inputs: tuple[Any, ...]
    done: dict[Cell, Shown]


_finished: WeakKeyDictionary[Any, list[Finished]] = WeakKeyDictionary()
"""The last grids by model. They go when ComfyUI lets go of the model."""


def _finished_with(model: Any, *inputs: Any) -> dict[Cell, Shown]:
    """The cells already done with these very inputs, to be added to: a new mark or value samples only new cells.

    ComfyUI itself runs the whole node again whenever a widget changes, and hands it the same objects as before
    wherever nothing changed upstream.
    """
    grids = _finished.setdefault(model, [])
    known = next((grid for grid in grids if all(map(_same, grid.inputs, inputs))), Finished(inputs, {}))
    grids[:] = [known, *(grid for grid in grids if grid is not known)][:KEPT_GRIDS]
    return known.done


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, str) and one == other)


def _run_missing(
    model: Any,
    positive: Any,
    negative: Any,
    vae: Any,
    clip: Any,
    sampler: Any,
    opened: host.OpenLatent,
    plans: dict[Cell, StrengthPlan],
    done: dict[Cell, Shown],
) -> list[Cell]:
    """Bring ``done`` to exactly the planned runs, with one progress bar; returns those that were new.

    Noise is drawn once for each seed, and a prompt encoded once. What is done stays done if the rest is interrupted.
    """
    for run in done.keys() - plans.keys():
        del done[run]
    new = [run for run in plans if run not in done]
    if not new:
        return new
    progress = host.Progress(model, sum(plans[run].steps for run in new))
    area = host.run_mask(opened.mask, opened.samples.shape)
    noises = {seed: host.draw_noise(opened.samples, seed, opened.items) for seed in {run.seed for run in new}}
    texts = dict.fromkeys(run.prompt for run in new if run.prompt is not None)
    prompts = {text: host.encode_text(clip, text) for text in texts}
    first = host.decode(vae, {"samples": opened.samples})[0]
    for run in new:
        plan, start = plans[run], host.Start(opened.samples, noises[run.seed])
        chosen = host.resolve_sampler(run.sampler, sampler) if plan.steps else None
        prompt = positive if run.prompt is None else prompts[run.prompt]
        sampled = host.sample(
            model, prompt, negative, run.cfg, chosen, plan.sigmas, start, opened.keys(run.seed), area, progress
        )
        picture = host.decode(vae, {"samples": sampled.samples})[0] if sampled.calls else first
        label = f"sigma {plan.start_sigma:.3g}" if plan.steps else "unchanged"
        done[run] = Shown(sampled, to_pillow(picture), label, ssim(picture[None], first[None]), plan)
    return new


def _names(rows: Axis, columns: Axis) -> list[str]:
    """What the cells are called, row by row."""
    return [f"{row}, {column}" for row in rows.labels for column in columns.labels]


def _describe(cell: Cell, shown: Shown) -> dict[str, Any]:
    return {
        **asdict(cell),
        "start_sigma": shown.plan.start_sigma,
        "steps_run": shown.plan.steps,
        "capped": shown.plan.capped,
        "model_calls": shown.run.calls,
        "seconds": round(shown.run.seconds, 3),
        "ssim_to_input": shown.likeness,
    }
