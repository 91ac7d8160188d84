"""The basics, 00 to 05: from the toy to a real model, at several strengths, held by a ControlNet, and in one node."""

from __future__ import annotations

from typing import Any

from ..graph import Graph
from . import parts
from .parts import CONTROL_NET, GIRL, SAMPLING, UNWANTED


def try_without_a_model(graph: Graph) -> None:
    """The toy checkpoint that ships with the pack gives the model and the picture."""
    graph.column("Toy model and drawing")
    demo = graph.add("Img2ImgDemoCheckpoint")
    graph.add("PreviewImage", "The drawing", images=demo["IMAGE"])
    graph.note(
        "**Press Run.** Nothing to download: a tiny model ships with the pack and brings a drawing of its own.\n\n"
        "The model is a *toy*. It knows small painted scenes and a few words (house, tree, boat, car; colours; day, "
        "sunset, night; summer, autumn, winter), enough to see what every knob does. For real pictures open "
        "*01_image_to_image*.",
        260,
    )
    positive, negative = parts.prompts(graph, demo["CLIP"], "a blue house in winter, a watercolour", "")
    latent, schedule = parts.start(graph, demo["IMAGE"], demo, strength=0.6)
    sampled = parts.noise_and_sample(graph, demo, positive, negative, latent, schedule, cfg=4.0)
    parts.results(graph, sampled, demo["VAE"], "try_without_a_model")


def image_to_image(graph: Graph) -> None:
    """The whole way with a real model, on a picture of any size and back to that size."""
    checkpoint = parts.checkpoint(graph)
    picture, fitted = parts.picture(graph)
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    latent, schedule = parts.start(graph, fitted["image"], checkpoint, strength=0.6)
    sampled = parts.noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=7.5)
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=checkpoint["VAE"])
    result = graph.add("Img2ImgUnfitImage", image=decoded["IMAGE"], fit_info=fitted["fit info"], original=picture)
    graph.add("SaveImage", images=result["image"], filename_prefix="image_to_image")
    graph.add("PreviewAny", "Report", source=sampled["report"])


def strength_sweep(graph: Graph) -> None:
    """The same picture at four strengths, and what strength means on this model."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.note("One picture, prompt and seed at four strengths. Keep the highest that still holds what you need.", 110)
    strengths = (0.2, 0.4, 0.6, 0.8)
    results = []
    for title, pair in (("Gentle", strengths[:2]), ("Bold", strengths[2:])):
        graph.column(title)
        for strength in pair:
            results.append(
                graph.add(
                    "Img2ImgAllInOne",
                    f"Strength {strength}",
                    image=fitted["image"],
                    model=checkpoint["MODEL"],
                    vae=checkpoint["VAE"],
                    positive=positive,
                    negative=negative,
                    strength=strength,
                    **SAMPLING,
                )
            )
    for title, first in (("Gentle results", 0), ("Bold results", 2)):
        graph.column(title, 380)
        for strength, result in list(zip(strengths, results, strict=True))[first : first + 2]:
            prefix = f"strength_{strength}"
            graph.add("SaveImage", f"Strength {strength}", images=result["image"], filename_prefix=prefix)
    graph.column("What strength means here", 640)
    plot = graph.add("Img2ImgStrengthPlot", model=checkpoint["MODEL"], scheduler="normal")
    graph.add("PreviewImage", images=plot["plot"])


def with_controlnet(graph: Graph) -> None:
    """A ControlNet holds the outlines while a high strength repaints everything between them."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Hold the outlines")
    control_net = graph.add("ControlNetLoader", models=CONTROL_NET, control_net_name=CONTROL_NET["name"])
    outlines = graph.add("Canny", image=fitted["image"])
    control: dict[str, Any] = {"control_net": control_net["CONTROL_NET"], "image": outlines["IMAGE"]}
    held = graph.add("ControlNetApplyAdvanced", positive=positive, negative=negative, **control)
    graph.add("PreviewImage", "Outlines", images=outlines["IMAGE"])
    latent, schedule = parts.start(graph, fitted["image"], checkpoint, strength=0.85)
    graph.note("With the outlines held by a ControlNet, a strength of 0.8 and more is safe.", 90)
    sampled = parts.noise_and_sample(graph, checkpoint, held["positive"], held["negative"], latent, schedule, cfg=7.5)
    parts.results(graph, sampled, checkpoint["VAE"], "with_controlnet")


def change_one_object(graph: Graph) -> None:
    """Another color for one thing: little strength, much guidance, and a prompt that describes the result."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    graph.note(
        "Load a photo of a **red car on a city street** for this one. The prompt describes the *whole* picture as it "
        "should be, what stays included; the negative prompt names what should go.",
        150,
    )
    positive, negative = parts.prompts(
        graph, checkpoint["CLIP"], "A blue car on a city street", "red, distorted, blurry"
    )
    latent, schedule = parts.start(graph, fitted["image"], checkpoint, strength=0.4)
    sampled = parts.noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=10.0)
    parts.results(graph, sampled, checkpoint["VAE"], "change_one_object")


def all_in_one(graph: Graph) -> None:
    """One node for the whole way, set by a recommendation for the job."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Choose the job")
    preset = graph.add("Img2ImgStrengthPreset", use_case="style transfer", model=checkpoint["MODEL"])
    graph.add("PreviewAny", "Why these values", source=preset["note"])
    chosen: dict[str, Any] = SAMPLING | {name: preset[name] for name in ("strength", "cfg", "steps")}
    painted = graph.add(
        "Img2ImgAllInOne",
        image=fitted["image"],
        model=checkpoint["MODEL"],
        vae=checkpoint["VAE"],
        positive=positive,
        negative=negative,
        **chosen,
    )
    graph.column("Result", 420)
    graph.add("SaveImage", images=painted["image"], filename_prefix="all_in_one")
    graph.add("PreviewAny", "Report", source=painted["report"])
