"""Variations, 30 to 34: many pictures from one, grids of settings, and whole folders."""

from __future__ import annotations

from typing import Any

from ..graph import Graph
from . import parts
from .parts import GIRL, UNWANTED


def variations(graph: Graph) -> None:
    """Four takes on one picture, each of which can be made again alone from its seed."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    prompts = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Four takes")
    batch = parts.sample_picture(graph, "VariationBatch", checkpoint, fitted["image"], prompts)
    graph.note(
        "Click a variation to copy its seed. Write it into *seeds* to make that one again, with more steps if you "
        "like.",
        110,
    )
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=batch["batch"], vae=checkpoint["VAE"])
    graph.add("SaveImage", images=decoded["IMAGE"], filename_prefix="variation")
    graph.add("PreviewAny", "Seeds", source=batch["seeds"])
    graph.add("PreviewAny", "Report", source=batch["report"])


def styles(graph: Graph) -> None:
    """One picture in four styles, each saved under its style's name."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    graph.column("Styles", 380)
    batch = graph.add(
        "Img2ImgStyleBatch",
        clip=checkpoint["CLIP"],
        styles="oil painting\nwatercolor\npencil sketch\nanime, manga",
        template="a girl with blonde hair on a green hill, {style}, masterpiece, detailed, high quality",
    )
    negative = graph.add("CLIPTextEncode", "Negative prompt", clip=checkpoint["CLIP"], text=UNWANTED)
    graph.note("Everything after Style Batch runs once for each line. Add a line, get a picture more.", 110)
    latent, schedule = parts.start(graph, fitted["image"], checkpoint, strength=0.6)
    sampled = parts.noise_and_sample(
        graph, checkpoint, batch["conditioning"], negative["CONDITIONING"], latent, schedule, cfg=10.0
    )
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=checkpoint["VAE"])
    graph.add("SaveImage", images=decoded["IMAGE"], filename_prefix=batch["styles"])


def strength_by_guidance(graph: Graph) -> None:
    """Strength against guidance on one sheet, the way to find the settings for a picture."""
    _grid(
        graph,
        "Strength says how much may change, cfg how strictly the prompt is followed. Click the cells "
        "you like best, run again, and the report counts them; nothing is painted again.",
        rows="strength",
        row_values="0.3, 0.6, 0.9",
        columns="cfg",
        column_values="4, 7.5, 12",
    )


def compare_samplers(graph: Graph) -> None:
    """Samplers against steps at one strength, with likeness and seconds in the report."""
    _grid(
        graph,
        "The report lists for each cell how like the input it is (SSIM) and how many seconds it took.",
        rows="sampler",
        row_values="ddim, ddpm, dpmpp_2m",
        columns="steps",
        column_values="10, 20, 30, 50",
        strength=0.5,
    )


def folder(graph: Graph) -> None:
    """A whole folder, one picture for each queued run."""
    checkpoint = parts.checkpoint(graph)
    graph.column("Folder")
    loaded = graph.add("Img2ImgFolderImage")
    fitted = graph.add("Img2ImgFitImage", image=loaded["image"], target=512)
    graph.note(
        "Put a folder into ComfyUI's input folder and write its name. Queue as many runs as it holds pictures: the "
        "index counts up by itself, and the last run says that all are done.",
        170,
    )
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], "watercolor painting, soft light, detailed", UNWANTED)
    latent, schedule = parts.start(graph, fitted["image"], checkpoint, strength=0.5)
    sampled = parts.noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=7.5)
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=checkpoint["VAE"])
    result = graph.add(
        "Img2ImgUnfitImage", image=decoded["IMAGE"], fit_info=fitted["fit info"], original=loaded["image"]
    )
    graph.add("SaveImage", images=result["image"], filename_prefix=loaded["name"])


def _grid(graph: Graph, text: str, **axes: Any) -> None:
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    prompts = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Grid", 420)
    grid = parts.sample_picture(graph, "Img2ImgStrengthGrid", checkpoint, fitted["image"], prompts, **axes)
    graph.note(text, 110)
    graph.column("Result", 420)
    graph.add("SaveImage", images=grid["sheet"], filename_prefix="grid")
    graph.add("PreviewAny", "Report", source=grid["report"])
