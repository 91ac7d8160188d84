"""The basics: from the toy to a real model, at several strengths, held by a ControlNet, and in one node."""

from __future__ import annotations

from typing import Any

from ..graph import Graph
from . import parts
from .parts import CONTROL_NET, GIRL


def try_without_a_model(graph: Graph) -> None:
    """The toy checkpoint that ships with the pack gives the model and the picture."""
    graph.column("Toy model and drawing", 290)
    demo = graph.add("Img2ImgDemoCheckpoint")
    graph.add("PreviewImage", "The drawing", images=demo["example"])
    graph.note(
        "**Press Run.** Nothing to download: this tiny model comes with the pack. It is a *toy* that knows small "
        "painted scenes and a few words: house, tree, boat, car; six colors; day, sunset, night; summer, autumn, "
        "winter."
    )
    said = parts.prompts(graph, demo["CLIP"], "a blue house in winter, a watercolor", "", width=310)
    sampled, shown = parts.chain(graph, demo, demo["example"], said, strength=0.6, cfg=4.0)
    graph.column("Result", 396)
    picture = graph.add("VAEDecode", samples=sampled["LATENT"], vae=demo["VAE"])
    saved = parts.save(graph, picture["IMAGE"], "try_without_a_model")
    graph.note("For real pictures, open *Image to image* next. Everything here works the same with a real model.")
    graph.as_app([(said.text, "text"), *shown], [saved])


def image_to_image(graph: Graph) -> None:
    """The whole way with a real model, on a picture of any size and back to that size."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph, below=True)
    said = parts.prompts(graph, checkpoint["CLIP"], GIRL, width=310)
    sampled, shown = parts.chain(graph, checkpoint, source.image, said, strength=0.6, cfg=7.5)
    saved = parts.result(graph, sampled["LATENT"], source, "image_to_image", checkpoint["VAE"], width=396)
    graph.note("The prompt describes the **whole** picture, also what should stay. Not: “make it night”.")
    graph.as_app([*source.shown, (said.text, "text"), *shown], [saved])


def strength_sweep(graph: Graph) -> None:
    """The same picture at four strengths, from the same noise."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], GIRL)
    latent = parts.encoded(graph, source.image, checkpoint)
    graph.column("Four strengths", 330)
    axes = {"rows": "cfg", "row_values": "7.5", "columns": "strength", "column_values": "0.2, 0.4, 0.6, 0.8"}
    grid = parts.on_latent(graph, "Img2ImgStrengthGrid", checkpoint, latent, said, **axes)
    saved = parts.result(graph, grid["cells"], source, "strength", checkpoint["VAE"])
    graph.note("0.2, 0.4, 0.6 and 0.8. Keep the highest that still holds what you need.")
    graph.as_app([*source.shown, (said.text, "text"), (grid, "column_values"), (grid, "seed")], [saved])


def strength_plot(graph: Graph) -> None:
    """What each strength means on a model: how much noise, how many steps."""
    checkpoint = parts.checkpoint(graph)
    graph.below("Plot")
    plot = graph.add("Img2ImgStrengthPlot", model=checkpoint["MODEL"], scheduler="normal")
    graph.note("Top: how strong the picture still is beside the noise. At 0 dB both are equal; below, noise wins.")
    graph.column("What strength means on this model", 700)
    shown = graph.add("PreviewImage", "Strength on this model", images=plot["plot"])
    graph.as_app([(plot, "measure"), (plot, "step_count")], [shown])


def with_controlnet(graph: Graph) -> None:
    """A ControlNet holds the outlines while a high strength repaints everything between them."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph, below=True)
    said = parts.prompts(graph, checkpoint["CLIP"], GIRL, width=300)
    graph.below("Hold the outlines")
    control_net = graph.add("ControlNetLoader", models=CONTROL_NET, control_net_name=CONTROL_NET["name"])
    outlines = graph.add("Canny", image=source.image)
    control: dict[str, Any] = {"control_net": control_net["CONTROL_NET"], "image": outlines["IMAGE"]}
    held = graph.add("ControlNetApplyAdvanced", positive=said.positive, negative=said.negative, **control)
    graph.column("Paint", 320)
    said = parts.Prompts(held["positive"], held["negative"], said.text)
    graph.note("With the outlines held, a strength of 0.8 and more keeps the composition.")
    painted = parts.all_in_one(graph, checkpoint, source.image, said, strength=0.85, cfg=7.5)
    saved = parts.result(graph, painted["image"], source, "with_controlnet")
    graph.below("What was held", 300)
    graph.add("PreviewImage", "The outlines", images=outlines["IMAGE"])
    graph.as_app([*source.shown, (said.text, "text"), (painted, "strength"), (painted, "seed")], [saved])


def change_one_object(graph: Graph) -> None:
    """Another color for one thing: little strength, much guidance, and a prompt that describes the result."""
    graph.column("A red car", 290)
    example = graph.add("Img2ImgDemoCheckpoint", "A red car to start with", example="red car")
    graph.add("PreviewImage", "The car", images=example["example"])
    source = parts.fit(graph, example["example"], [])
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], "a blue car on a road, green hills", "red, distorted, blurry")
    graph.note("The prompt says the *whole* picture as it should be, the negative prompt what should go.")
    graph.column("Paint", 320)
    graph.note("Your own photo: connect a **Load Image** to *image* of Fit Image and *original* of Unfit Image.")
    painted = parts.all_in_one(graph, checkpoint, source.image, said, strength=0.4, cfg=10.0)
    saved = parts.result(graph, painted["image"], source, "change_the_color")
    graph.as_app([(said.text, "text"), (painted, "strength"), (painted, "seed")], [saved])


def all_in_one(graph: Graph) -> None:
    """One node for the whole way, set by a recommendation for the job."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], GIRL)
    graph.column("Choose the job", 320)
    preset = graph.add("Img2ImgStrengthPreset", use_case="style transfer", model=checkpoint["MODEL"])
    chosen = {name: preset[name] for name in ("strength", "cfg", "steps")}
    painted = parts.all_in_one(graph, checkpoint, source.image, said, **chosen)
    saved = parts.result(graph, painted["image"], source, "all_in_one")
    shown = [(said.text, "text"), (preset, "use_case"), (preset, "amount"), (painted, "seed")]
    graph.as_app([*source.shown, *shown], [saved])
