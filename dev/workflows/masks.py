"""Parts of a picture, 40 to 44: masks, a larger canvas, and tiles."""

from __future__ import annotations

from ..graph import Graph, Node, Output
from . import parts
from .parts import GIRL, SAMPLING, UNWANTED


def inpaint(graph: Graph) -> None:
    """Repaint a part, and prove that the rest is untouched."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    mask = _box(graph, "A box stands in for your mask. Paint your own: right click Load Image, Open in Mask Editor.")
    positive, negative = parts.prompts(
        graph, checkpoint["CLIP"], "a red house on a green hill, watercolor painting", UNWANTED
    )
    latent, schedule = parts.start(graph, fitted["image"], checkpoint, strength=0.8)
    sampled = parts.noise_and_sample(
        graph, checkpoint, positive, negative, latent, schedule, cfg=7.5, mask=mask, masked_content="fill"
    )
    _kept(graph, sampled, checkpoint["VAE"], fitted["image"], mask, "inpaint")


def soft_mask(graph: Graph) -> None:
    """A gray mask is a strength for each pixel: much change on one side, none on the other."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    graph.column("Soft mask")
    left = graph.add("SolidMask", value=0.0, width=512, height=512)
    right = graph.add("FeatherMask", mask=graph.add("InvertMask", mask=left["MASK"])["MASK"], left=500)
    mask = right["MASK"]
    graph.note("From black on the left to white on the right: the picture changes more and more.", 110)
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], f"{GIRL}, night, stars, moonlight", UNWANTED)
    latent, schedule = parts.start(graph, fitted["image"], checkpoint, strength=0.8)
    sampled = parts.noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=7.5, mask=mask)
    parts.results(graph, sampled, checkpoint["VAE"], "soft_mask")


def outpaint(graph: Graph) -> None:
    """Room on the right of a picture, painted, with the old picture untouched."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    graph.column("Canvas")
    canvas = graph.add("Img2ImgOutpaintCanvas", image=fitted["image"], right=128, fill="reflect")
    graph.note("Add pixels on any side. *feather* lets the new part reach into the old one; 0 leaves it alone.", 110)
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], f"{GIRL}, wide landscape", UNWANTED)
    latent, schedule = parts.start(graph, canvas["image"], checkpoint, strength=0.8)
    sampled = parts.noise_and_sample(
        graph, checkpoint, positive, negative, latent, schedule, cfg=7.5, mask=canvas["mask"]
    )
    _kept(graph, sampled, checkpoint["VAE"], canvas["image"], canvas["mask"], "outpaint")


def upscale(graph: Graph) -> None:
    """Four times as large, with details painted in, tile by tile."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], f"{GIRL}, highly detailed, sharp", UNWANTED)
    graph.column("Enlarge")
    refined = graph.add(
        "Img2ImgTiledRefine",
        image=fitted["image"],
        vae=checkpoint["VAE"],
        model=checkpoint["MODEL"],
        positive=positive,
        negative=negative,
        scale=4.0,
        strength=0.3,
        **SAMPLING,
    )
    graph.note(
        "Keep the strength low, 0.2 to 0.4: enough for new detail, too little for new things in every tile.", 110
    )
    graph.column("Result", 420)
    graph.add("SaveImage", images=refined["image"], filename_prefix="upscale_4x")
    graph.add("PreviewAny", "Report", source=refined["report"])


def small_part(graph: Graph) -> None:
    """A small part painted at the model's full size, and put back without a seam."""
    checkpoint = parts.checkpoint(graph)
    graph.column("Picture")
    loaded = graph.add("LoadImage", image="example.png")["IMAGE"]
    mask = _box(graph, "A box stands in for your mask. Paint your own: right click Load Image, Open in Mask Editor.")
    graph.column("The part")
    part = graph.add("Img2ImgCropForMask", image=loaded, mask=mask, target=512, context=0.5)
    graph.note("The part under the mask, with its surroundings, as large as the model likes it.", 110)
    positive, negative = parts.prompts(graph, checkpoint["CLIP"], "a red house, watercolor painting", UNWANTED)
    latent, schedule = parts.start(graph, part["image"], checkpoint, strength=0.8)
    sampled = parts.noise_and_sample(
        graph, checkpoint, positive, negative, latent, schedule, cfg=7.5, mask=part["mask"]
    )
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=checkpoint["VAE"])
    whole = graph.add("Img2ImgUncropForMask", image=decoded["IMAGE"], crop_info=part["crop info"], original=loaded)
    graph.add("SaveImage", images=whole["image"], filename_prefix="inpaint_a_small_part")
    graph.add("PreviewAny", "What changed where", source=whole["report"])


def _box(graph: Graph, text: str) -> Output:
    """A white box on black, and a note that tells how to paint a mask instead."""
    graph.column("Mask")
    ground = graph.add("SolidMask", "Keep", value=0.0, width=512, height=512)
    box = graph.add("SolidMask", "Change", value=1.0, width=272, height=264)
    graph.note(text, 110)
    return graph.add("MaskComposite", destination=ground["MASK"], source=box["MASK"], x=96, y=192, operation="add")[
        "MASK"
    ]


def _kept(graph: Graph, sampled: Node, vae: Output, original: Output, mask: Output, prefix: str) -> None:
    """The decoded picture with the original put back outside the mask, and the count of changed pixels."""
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=vae)
    kept = graph.add("Img2ImgKeepUnmasked", original=original, edited=decoded["IMAGE"], mask=mask, blend="seamless")
    graph.add("SaveImage", images=kept["image"], filename_prefix=prefix)
    graph.add("PreviewAny", "What changed where", source=kept["report"])
