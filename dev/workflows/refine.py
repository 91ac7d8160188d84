"""Refinement: several passes, several prompts, and colors that stay."""

from __future__ import annotations

from typing import Any

from ..graph import Graph
from . import parts
from .parts import GIRL, UNWANTED


def progressive_refine(graph: Graph) -> None:
    """Several passes, each gentler than the one before, without leaving latent space."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], GIRL)
    graph.note("A bold first pass sets the look, gentler ones tidy up. Add or remove passes in *strengths*.")
    latent = parts.encoded(graph, source.image, checkpoint)
    graph.column("Pass by pass", 320)
    settings: dict[str, Any] = {"strengths": "0.7, 0.5, 0.3"}
    refined = parts.on_latent(graph, "ProgressiveRefine", checkpoint, latent, said, **settings)
    saved = parts.result(graph, refined["final"], source, "refine", checkpoint["VAE"])
    graph.as_app([*source.shown, (said.text, "text"), (refined, "strengths"), (refined, "seed")], [saved])


def three_prompts_three_passes(graph: Graph) -> None:
    """Each pass has its own prompt: the style first, then the light, then the details."""
    source = parts.picture(graph, width=240)
    checkpoint = parts.checkpoint(graph, below=True)
    graph.column("A prompt per pass", 250)
    girl = "a girl with blonde hair in a pink dress on a green hill"
    texts = (f"{girl}, oil painting", f"{girl}, oil painting, dramatic sunset light", f"{girl}, highly detailed")
    clip = checkpoint["CLIP"]
    wanted = [graph.add("CLIPTextEncode", f"Pass {n}", clip=clip, text=text) for n, text in enumerate(texts, start=1)]
    unwanted = graph.add("CLIPTextEncode", "Negative prompt", clip=clip, text=UNWANTED)
    graph.column("Passes", 230)
    before: dict[str, Any] = {}
    for number, (text, strength) in enumerate(zip(wanted, (0.5, 0.3, 0.2), strict=True), start=1):
        given = {"strength": strength, "positive": text["CONDITIONING"], **before}
        refine_pass = graph.add("Img2ImgRefinePass", f"Pass {number}", **given)
        before = {"passes": refine_pass["passes"]}
    graph.note("Say the subject in every prompt, or later passes forget it.")
    latent = parts.encoded(graph, source.image, checkpoint)
    graph.column("Paint", 270)
    said = parts.Prompts(wanted[0]["CONDITIONING"], unwanted["CONDITIONING"], wanted[0])
    refined = parts.on_latent(graph, "ProgressiveRefine", checkpoint, latent, said, **before)
    saved = parts.result(graph, refined["final"], source, "three_prompts", checkpoint["VAE"], width=290)
    graph.as_app([*source.shown, *[(text, "text") for text in wanted], (refined, "seed")], [saved])


def prompt_schedule(graph: Graph) -> None:
    """One prompt for the composition, another one for the details, in a single run."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph, below=True)
    flat = "a girl in a pink dress on a green hill, simple shapes, flat colors"
    said = parts.prompts(graph, checkpoint["CLIP"], flat, width=300)
    graph.below("Second prompt")
    late = graph.add("CLIPTextEncode", "Late prompt", clip=checkpoint["CLIP"], text=f"{GIRL}, fine brush strokes")
    scheduled = graph.add("Img2ImgPromptSchedule", early=said.positive, late=late["CONDITIONING"], switch_at=0.4)
    graph.note("The first prompt leads for 40 % of the steps that are run, then the second takes over.")
    graph.column("Paint", 320)
    both = parts.Prompts(scheduled["conditioning"], said.negative, said.text)
    painted = parts.all_in_one(graph, checkpoint, source.image, both, strength=0.7, cfg=7.5)
    saved = parts.result(graph, painted["image"], source, "prompt_schedule")
    shown = [(said.text, "text"), (late, "text"), (scheduled, "switch_at"), (painted, "strength"), (painted, "seed")]
    graph.as_app([*source.shown, *shown], [saved])


def two_samplers(graph: Graph) -> None:
    """One sampler for the large shapes, a second one for the details, each with a prompt and a cfg of its own."""
    source = parts.picture(graph, width=230)
    checkpoint = parts.checkpoint(graph, below=True, noted=False)
    seed = graph.add("PrimitiveInt", "Seed")
    model, clip = checkpoint["MODEL"], checkpoint["CLIP"]
    graph.column("Prompts and strength", 250)
    flat = "a girl in a pink dress on a green hill, simple shapes, flat colors"
    shapes = parts.said(graph, clip, flat, parts.UNWANTED)
    details = graph.add("CLIPTextEncode", "Late prompt", clip=clip, text=f"{GIRL}, fine brush strokes")
    schedule = graph.add("StrengthScheduler", model=model, scheduler="normal", steps=20, strength=0.7)
    halves = graph.add("Img2ImgSplitSigmas", model=model, sigmas=schedule["sigmas"], split_at=0.6)
    graph.column("Noise, then shapes", 280)
    latent = parts.encoded(graph, source.image, checkpoint)
    seeded: dict[str, Any] = {"seed": seed["INT"]}
    noised = graph.add("SDEditNoise", model=model, latent=latent, sigmas=schedule["sigmas"], **seeded)
    given: dict[str, Any] = {"model": model, "negative": shapes.negative, "sampler_name": "euler"} | seeded
    first = graph.add(
        "Img2ImgGuidedSampler", "Shapes", positive=shapes.positive, latent=noised["noised"],
        sigmas=halves["high_sigmas"], cfg=9.0, **given,
    )  # fmt: skip
    graph.column("Details", 250)
    graph.note("*split_at* is the share of noise at which this sampler takes over. A second **model** fits here, too.")
    second = graph.add(
        "Img2ImgGuidedSampler", "Details", positive=details["CONDITIONING"], latent=first["LATENT"],
        sigmas=halves["low_sigmas"], cfg=5.0, **given,
    )  # fmt: skip
    saved = parts.result(graph, second["LATENT"], source, "two_samplers", checkpoint["VAE"], width=250)
    shown = [(shapes.text, "text"), (details, "text"), (schedule, "strength"), (halves, "split_at"), (seed, "value")]
    graph.as_app([*source.shown, *shown], [saved])


def keep_the_colors(graph: Graph) -> None:
    """Repaint in passes, then give the result the colors the picture had."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], GIRL, f"{UNWANTED}, desaturated, monochrome, color shift")
    graph.note("Colors drift a little with every pass. *match_colors* pulls them back; *max_drift* stops in time.")
    latent = parts.encoded(graph, source.image, checkpoint)
    graph.column("Pass by pass", 320)
    settings: dict[str, Any] = {"strengths": "0.5, 0.4, 0.3", "max_drift": 20.0, "match_colors": "latent"}
    refined = parts.on_latent(graph, "ProgressiveRefine", checkpoint, latent, said, **settings)
    graph.column("Result", parts.RESULT)
    whole = parts.unfitted(graph, refined["final"], source, checkpoint["VAE"])
    matched = graph.add("Img2ImgMatchColors", image=whole, reference=source.original, method="monge_kantorovich")
    saved = parts.save(graph, matched["image"], "keep_the_colors")
    graph.as_app([*source.shown, (said.text, "text"), (refined, "strengths"), (refined, "seed")], [saved])
