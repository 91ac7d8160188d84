"""Refinement, 20 to 23: several passes, several prompts, and colors that stay."""

from __future__ import annotations

from typing import Any

from ..graph import Graph, Node, Output
from . import parts
from .parts import GIRL, UNWANTED


def progressive_refine(graph: Graph) -> None:
    """Several passes, each gentler than the one before, without leaving latent space."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    prompts = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    refined = _refined(graph, checkpoint, fitted["image"], prompts, strengths="0.7, 0.5, 0.3")
    graph.note("A bold first pass sets the look, gentler ones tidy up. Add or remove passes in *strengths*.", 110)
    parts.results(graph, refined, checkpoint["VAE"], "progressive_refine")
    graph.column("Every pass", 420)
    passes = graph.add("VAEDecode", samples=refined["every pass"], vae=checkpoint["VAE"])
    graph.add("PreviewImage", images=passes["IMAGE"])


def three_prompts_three_passes(graph: Graph) -> None:
    """Each pass has its own prompt: the style first, then the light, then the details."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    prompts = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("A prompt for each pass", 380)
    texts = ("oil painting style", "dramatic sunset lighting", "highly detailed, masterpiece")
    wanted = [
        graph.add("CLIPTextEncode", f"Pass {number}", clip=checkpoint["CLIP"], text=text)
        for number, text in enumerate(texts, start=1)
    ]
    graph.column("Passes")
    before: dict[str, Any] = {}
    for text, strength in zip(wanted, (0.5, 0.3, 0.2), strict=True):
        refine_pass = graph.add("Img2ImgRefinePass", strength=strength, positive=text["CONDITIONING"], **before)
        before = {"passes": refine_pass["passes"]}
    refined = _refined(graph, checkpoint, fitted["image"], prompts, **before)
    graph.note("Each pass is painted under its own prompt; the strip shows how far its colours moved (Delta E).", 110)
    parts.results(graph, refined, checkpoint["VAE"], "three_prompts")


def prompt_schedule(graph: Graph) -> None:
    """One prompt for the composition, another one for the details, in a single run."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    early, negative = parts.prompts(
        graph, checkpoint["CLIP"], "a girl on a green hill, simple shapes, flat colors", UNWANTED
    )
    graph.column("Second prompt", 380)
    late = graph.add("CLIPTextEncode", "Late prompt", clip=checkpoint["CLIP"], text=f"{GIRL}, fine brush strokes")
    scheduled = graph.add("Img2ImgPromptSchedule", early=early, late=late["CONDITIONING"], switch_at=0.4)
    graph.note(
        "The first prompt leads for 40 % of the run that is really executed, whatever the strength; then the second "
        "takes over. Chain another Prompt Schedule for a third.",
        150,
    )
    latent, schedule = parts.start(graph, fitted["image"], checkpoint, strength=0.7)
    sampled = parts.noise_and_sample(graph, checkpoint, scheduled["conditioning"], negative, latent, schedule, cfg=7.5)
    parts.results(graph, sampled, checkpoint["VAE"], "prompt_schedule")


def keep_the_colours(graph: Graph) -> None:
    """Repaint in passes, then give the result the colors the picture had."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    prompts = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    settings: dict[str, Any] = {"strengths": "0.5, 0.4, 0.3", "max_drift": 20.0, "match_colors": "latent"}
    refined = _refined(graph, checkpoint, fitted["image"], prompts, **settings)
    graph.note(
        "Colours drift a little with every pass. The strip shows by how much (Delta E); *max_drift* stops in time, and "
        "*match_colors* pulls them back between passes.",
        150,
    )
    graph.column("Colours", 420)
    decoded = graph.add("VAEDecode", samples=refined["final"], vae=checkpoint["VAE"])
    matched = graph.add(
        "Img2ImgMatchColors", image=decoded["IMAGE"], reference=fitted["image"], method="monge_kantorovich"
    )
    compared = graph.add("Img2ImgCompareImages", image_a=matched["image"], image_b=fitted["image"])
    graph.column("Result", 420)
    graph.add("SaveImage", images=matched["image"], filename_prefix="keep_the_colours")
    graph.add("PreviewAny", "How far from the original", source=compared["report"])
    graph.add("PreviewAny", "Report", source=refined["report"])


def _refined(graph: Graph, models: Node, image: Output, prompts: tuple[Output, Output], **settings: Any) -> Node:
    graph.column("Pass by pass")
    return parts.sample_picture(graph, "ProgressiveRefine", models, image, prompts, **settings)
