"""Parts of a picture: masks, a larger canvas, and tiles."""

from __future__ import annotations

from ..graph import Graph
from . import parts
from .parts import GIRL, SAMPLING


def inpaint(graph: Graph) -> None:
    """Repaint what is masked, and prove that the rest is untouched."""
    graph.column("Your picture", 250)
    loaded = graph.add("LoadImage", image="example.png")
    graph.note("Right-click **Load Image**, *Open in Mask Editor*. Draw around the thing, or over it. Save, Run.")
    adjusted = graph.add("Img2ImgAdjustMask", mask=loaded["MASK"], grow=8, fill_holes=True)
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], "a red house on a green hill, watercolor painting")
    graph.below("Fit to the model")
    source = parts.fit(graph, loaded["IMAGE"], [(loaded, "image")], adjusted["mask"])
    graph.column("Paint", 320)
    graph.note("*think* 1 lets the new part hear what lies around it, for twice the time. An inpaint model needs none.")
    masking = {"mask": source.fitted_mask, "think": 1}
    painted = parts.all_in_one(graph, checkpoint, source.image, said, strength=0.8, cfg=7.5, **masking)
    saved = parts.kept(graph, painted["image"], source, "inpaint")
    shown = [(said.text, "text"), (adjusted, "grow"), (painted, "strength"), (painted, "seed")]
    graph.as_app([*source.shown, *shown], [saved])


def remove_object(graph: Graph) -> None:
    """What is masked is filled from its surroundings, and only then painted over."""
    source = parts.picture(graph, masked=True, width=270)
    checkpoint = parts.checkpoint(graph, below=True, noted=False)
    text, unwanted = "an empty green hill under a blue sky", "people, objects, text, watermark"
    said = parts.prompts(graph, checkpoint["CLIP"], text, unwanted, width=310)
    graph.note("Say what should be there **instead**.")
    masking = {"mask": source.fitted_mask, "masked_content": "fill"}
    sampled, shown = parts.chain(graph, checkpoint, source.image, said, strength=0.8, cfg=7.5, **masking)
    saved = parts.kept(graph, sampled["LATENT"], source, "remove_an_object", checkpoint["VAE"])
    graph.as_app([*source.shown, (said.text, "text"), *shown], [saved])


def soft_mask(graph: Graph) -> None:
    """A gray mask is a strength for each pixel: much change on one side, none on the other."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph, below=True)
    said = parts.prompts(graph, checkpoint["CLIP"], f"{GIRL}, night, stars, moonlight", width=300)
    graph.below("Soft mask")
    left = graph.add("SolidMask", value=0.0, width=512, height=512)
    right = graph.add("FeatherMask", mask=graph.add("InvertMask", mask=left["MASK"])["MASK"], left=500)
    graph.column("Paint", 320)
    graph.note(
        "The mask fades from black (left) to white (right), and so does the change. Gray is a strength per pixel."
    )
    painted = parts.all_in_one(graph, checkpoint, source.image, said, strength=0.8, cfg=7.5, mask=right["MASK"])
    saved = parts.result(graph, painted["image"], source, "soft_mask")
    graph.as_app([*source.shown, (said.text, "text"), (painted, "strength"), (painted, "seed")], [saved])


def outpaint(graph: Graph) -> None:
    """Extend a picture to the right, with the old picture untouched."""
    graph.column("Your picture", 290)
    loaded = graph.add("LoadImage", image="example.png")
    canvas = graph.add("Img2ImgOutpaintCanvas", image=loaded["IMAGE"], right=256, fill="reflect", multiple=1)
    graph.note("Pixels to add on each side. *feather* 0 leaves the old picture as it is.")
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], f"{GIRL}, wide landscape")
    graph.below("Fit to the model")
    source = parts.fit(graph, canvas["image"], [(loaded, "image"), (canvas, "right")], canvas["mask"])
    graph.column("Paint", 320)
    painted = parts.all_in_one(graph, checkpoint, source.image, said, strength=0.8, cfg=7.5, mask=source.fitted_mask)
    saved = parts.kept(graph, painted["image"], source, "outpaint")
    graph.as_app([*source.shown, (said.text, "text"), (painted, "strength"), (painted, "seed")], [saved])


def upscale(graph: Graph) -> None:
    """Four times as large, with details painted in, tile by tile."""
    graph.column("Your picture", 290)
    loaded = graph.add("LoadImage", image="example.png")
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], "highly detailed, sharp", "blurry, soft, jpeg artifacts")
    graph.note(
        "A few words on *what* the picture shows help. Every tile hears the whole prompt: name no single things."
    )
    graph.column("Enlarge", 320)
    graph.note("0.2 to 0.4: new detail. Above that, new things in every tile. *scale* 4 of a large photo takes long.")
    enlarged = graph.add(
        "Img2ImgTiledRefine",
        image=loaded["IMAGE"],
        vae=checkpoint["VAE"],
        model=checkpoint["MODEL"],
        positive=said.positive,
        negative=said.negative,
        scale=4.0,
        strength=0.3,
        **SAMPLING,
    )
    graph.column("Result", parts.RESULT)
    saved = parts.save(graph, enlarged["image"], "upscale")
    shown = [(said.text, "text"), (enlarged, "scale"), (enlarged, "strength"), (enlarged, "seed")]
    graph.as_app([(loaded, "image"), *shown], [saved])


def small_part(graph: Graph) -> None:
    """A small part painted at the model's full size, and put back without a seam."""
    graph.column("Your picture", 290)
    loaded = graph.add("LoadImage", image="example.png")
    graph.note(parts.PAINT_A_MASK)
    part = graph.add("Img2ImgCropForMask", image=loaded["IMAGE"], mask=loaded["MASK"], target=512, context=0.5)
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], "a red house, watercolor painting")
    graph.column("Paint", 320)
    graph.note(
        "The part under the mask is painted with all of the model's pixels. More *context*: it sees more around it."
    )
    painted = parts.all_in_one(graph, checkpoint, part["image"], said, strength=0.8, cfg=7.5, mask=part["mask"])
    graph.column("Result", parts.RESULT)
    whole = graph.add(
        "Img2ImgUncropForMask", image=painted["image"], crop_info=part["crop info"], original=loaded["IMAGE"]
    )
    saved = parts.save(graph, whole["image"], "inpaint_a_small_part")
    shown = [(said.text, "text"), (painted, "strength"), (painted, "seed")]
    graph.as_app([(loaded, "image"), *shown], [saved])
