"""Variations: many pictures from one, grids of settings, several products, and whole folders."""

from __future__ import annotations

from typing import Any

from ..graph import Graph
from . import parts
from .parts import GIRL, UNWANTED


def variations(graph: Graph) -> None:
    """Four takes on one picture, each of which can be made again alone from its seed."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], GIRL)
    graph.note(
        "Found one you like? Click its seed to copy it, paste it into *seed*, set *count* to 1, and raise *steps*."
    )
    latent = parts.encoded(graph, source.image, checkpoint)
    graph.column("Four takes", 320)
    batch = parts.on_latent(graph, "VariationBatch", checkpoint, latent, said)
    saved = parts.result(graph, batch["batch"], source, "variation", checkpoint["VAE"])
    shown = [(said.text, "text"), (batch, "count"), (batch, "strength"), (batch, "seed")]
    graph.as_app([*source.shown, *shown], [saved])


def styles(graph: Graph) -> None:
    """One picture in four styles, each saved under its style's name."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    graph.below("Styles")
    batch = graph.add(
        "Img2ImgStyleBatch",
        clip=checkpoint["CLIP"],
        styles="oil painting\nwatercolor\npencil sketch\nanime, manga",
        template="a girl with blonde hair on a green hill, {style}, masterpiece, detailed, high quality",
    )
    negative = graph.add("CLIPTextEncode", "Negative prompt", clip=checkpoint["CLIP"], text=UNWANTED)
    graph.note("Everything after this runs once for each line. Add a line for one more picture.")
    graph.column("Paint", 320)
    said = parts.Prompts(batch["conditioning"], negative["CONDITIONING"], batch)
    painted = parts.all_in_one(graph, checkpoint, source.image, said, strength=0.6, cfg=10.0)
    graph.column("Result", parts.RESULT)
    saved = parts.save(graph, parts.unfitted(graph, painted["image"], source), batch["styles"])
    shown = [(batch, "styles"), (batch, "template"), (painted, "strength"), (painted, "seed")]
    graph.as_app([*source.shown, *shown], [saved])


def products(graph: Graph) -> None:
    """A folder of products, each repainted with the same prompt, seed and strength, so that they belong together."""
    graph.column("Your products", 290)
    loaded = graph.add("Img2ImgFolderImage")
    graph.note(
        "Put a folder of photos into the `input` folder and write its name. Set the number of runs beside **Run**."
    )
    source = parts.fit(graph, loaded["image"], [(loaded, "folder")])
    checkpoint = parts.checkpoint(graph)
    text = "product photo on a pastel background, soft studio light, gentle shadow"
    said = parts.prompts(graph, checkpoint["CLIP"], text, "clutter, text, watermark")
    graph.note("One prompt, one strength, one **fixed** seed: the same light and background for every product.")
    graph.column("Paint", 320)
    painted = parts.all_in_one(graph, checkpoint, source.image, said, strength=0.45, cfg=7.5)
    graph.keep_seed(painted)
    graph.column("Result", parts.RESULT)
    saved = parts.save(graph, parts.unfitted(graph, painted["image"], source), loaded["name"])
    graph.as_app([*source.shown, (said.text, "text"), (painted, "strength"), (painted, "seed")], [saved])


def strength_by_guidance(graph: Graph) -> None:
    """Strength against guidance on one sheet, the way to find the settings for a picture."""
    _grid(
        graph,
        "Low strength and low cfg keep the original; high cfg stresses what the prompt names. High strength and low "
        "cfg dream freely; high cfg obeys the prompt. Click the cells you like in the grid: it counts them.",
        rows="strength",
        row_values="0.3, 0.6, 0.9",
        columns="cfg",
        column_values="4, 7.5, 12",
    )


def compare_samplers(graph: Graph) -> None:
    """Samplers against steps at one strength, with likeness and seconds in the report."""
    _grid(
        graph,
        "Three samplers at four step counts, same noise. Click the cells you like in the grid: it counts them.",
        rows="sampler",
        row_values="ddim, ddpm, dpmpp_2m",
        columns="steps",
        column_values="10, 20, 30, 50",
        strength=0.5,
    )


def folder(graph: Graph) -> None:
    """A whole folder, one picture for each queued run."""
    graph.column("Your folder", 290)
    loaded = graph.add("Img2ImgFolderImage")
    graph.note("Put a folder into the `input` folder and write its name. Set the number of runs beside **Run**.")
    source = parts.fit(graph, loaded["image"], [(loaded, "folder")])
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], "watercolor painting, soft light, detailed")
    graph.column("Paint", 320)
    painted = parts.all_in_one(graph, checkpoint, source.image, said, strength=0.5, cfg=7.5)
    graph.column("Result", parts.RESULT)
    saved = parts.save(graph, parts.unfitted(graph, painted["image"], source), loaded["name"])
    graph.note("Each result is saved under the name of its picture.")
    graph.as_app([*source.shown, (said.text, "text"), (painted, "strength"), (painted, "seed")], [saved])


def _grid(graph: Graph, text: str, **axes: Any) -> None:
    source = parts.picture(graph, width=250)
    checkpoint = parts.checkpoint(graph, below=True)
    said = parts.prompts(graph, checkpoint["CLIP"], GIRL, width=250)
    latent = parts.encoded(graph, source.image, checkpoint)
    graph.column("Grid", 314)
    grid = parts.on_latent(graph, "Img2ImgStrengthGrid", checkpoint, latent, said, **axes)
    graph.column("Sheet", 380)
    saved = parts.save(graph, grid["sheet"], "grid")
    graph.note(text)
    graph.below("Restore size", 225)
    cells = parts.unfitted(graph, grid["cells"], source, checkpoint["VAE"])
    graph.beside("Every cell", 225)
    parts.save(graph, cells, "grid_cell")
    graph.as_app([*source.shown, (said.text, "text"), (grid, "row_values"), (grid, "column_values")], [saved])
