"""Inversion and edits by words, 10 to 14: a picture up to noise and back, and what two prompts disagree about."""

from __future__ import annotations

from typing import Any

from ..graph import Graph, Node, Output
from . import parts
from .parts import DRAWN, EDITED, SAMPLING

RECOLORED = "a girl in a blue dress on a green hill, child's drawing"


def invert_and_reconstruct(graph: Graph) -> None:
    """A picture up to the noise it could have come from, and down again; how much of it was lost, and where."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    described, negative = _description(graph, checkpoint["CLIP"])
    inverted, latent = _inverted(graph, fitted["image"], checkpoint, described, strength=1.0, grade=True)
    graph.column("Down again")
    models: dict[str, Any] = {"model": checkpoint["MODEL"], "inversion": inverted["inversion"]}
    same = graph.add("Img2ImgInversionSampler", **models, positive=described, negative=negative, cfg=1.0)
    graph.column("As it was", 420)
    decoded = graph.add("VAEDecode", samples=same["latent"], vae=checkpoint["VAE"])
    graph.add("SaveImage", images=decoded["IMAGE"], filename_prefix="reconstruction")
    graph.column("How much was lost", 420)
    alone = graph.add("VAEDecode", "Only encoded and decoded", samples=latent, vae=checkpoint["VAE"])
    for title, image in (("By the VAE alone", alone["IMAGE"]), ("By both", decoded["IMAGE"])):
        compared = graph.add("Img2ImgCompareImages", title, image_a=image, image_b=fitted["image"])
        graph.add("PreviewAny", title, source=compared["report"])
    graph.note(
        "The node says how well the latent comes back. Beside that, the VAE itself loses a little: compare the two. "
        "Where they are alike, the inversion loses nothing that you could see.",
        150,
    )


def edit_by_inversion(graph: Graph) -> None:
    """Another prompt on the way down changes what it names, and the rest tends to stay."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    described, negative = _description(graph, checkpoint["CLIP"])
    inverted, _ = _inverted(graph, fitted["image"], checkpoint, described)
    graph.column("What it shall be", 380)
    wanted = graph.add("CLIPTextEncode", "Prompt", clip=checkpoint["CLIP"], text=EDITED)
    graph.note(
        "Take over the words of the description and change only those that matter. Raise cfg until the edit shows; a "
        "lower *strength* in Invert to Noise keeps more of the picture.",
        150,
    )
    graph.column("Down again")
    models: dict[str, Any] = {"model": checkpoint["MODEL"], "inversion": inverted["inversion"], "negative": negative}
    edited = graph.add("Img2ImgInversionSampler", "Edited", **models, positive=wanted["CONDITIONING"], cfg=4.0)
    same = graph.add("Img2ImgInversionSampler", "As it was", **models, positive=described, cfg=1.0)
    _decoded(graph, checkpoint["VAE"], {"Edited": edited, "As it was": same}, "edit_by_inversion")


def null_text(graph: Graph) -> None:
    """The picture comes back even under strong guidance, so that edits can be guided strongly as well."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    described, negative = _description(graph, checkpoint["CLIP"])
    inverted, _ = _inverted(graph, fitted["image"], checkpoint, described, method="ddim", keep_trajectory=True)
    graph.column("Hold it under guidance")
    models: dict[str, Any] = {"model": checkpoint["MODEL"]}
    held = graph.add(
        "Img2ImgNullTextOptimize",
        **models,
        positive=described,
        inversion=inverted["inversion"],
        negative=negative,
    )
    graph.note(
        "Slow, and it needs memory for gradients: the node says how much before it starts. It pays where you want to "
        "edit one picture many times at high cfg, since this part runs once.",
        150,
    )
    graph.add("PreviewAny", "Report", source=held["report"])
    graph.column("What it shall be", 380)
    wanted = graph.add("CLIPTextEncode", "Prompt", clip=checkpoint["CLIP"], text=EDITED)
    graph.column("Down again")
    models |= {"inversion": held["inversion"], "negative": negative}
    edited = graph.add("Img2ImgInversionSampler", "Edited", **models, positive=wanted["CONDITIONING"])
    same = graph.add("Img2ImgInversionSampler", "As it was", **models, positive=described)
    _decoded(graph, checkpoint["VAE"], {"Edited": edited, "As it was": same}, "null_text")


def edit_by_words(graph: Graph) -> None:
    """What two prompts disagree about changes, and the rest gets its grain and edges back."""
    checkpoint = parts.checkpoint(graph)
    picture, fitted = parts.picture(graph)
    described, negative = _description(graph, checkpoint["CLIP"])
    wanted = _wanted(graph, checkpoint["CLIP"])
    graph.column("Edit")
    latent = graph.add("VAEEncode", pixels=fitted["image"], vae=checkpoint["VAE"])
    edited = graph.add(
        "Img2ImgPromptEdit",
        model=checkpoint["MODEL"],
        source=described,
        positive=wanted,
        negative=negative,
        latent=latent["LATENT"],
        scheduler="normal",
        steps=14,
        cfg=4.0,
        find_mask="show",
    )
    graph.note(
        "Nothing happens? Raise *cfg*. Too much? Lower *cfg* first, then *strength*.\n\n"
        "*find_mask* **use** changes nothing outside the mask on the right: for objects and colors, not for light, "
        "season or style.",
        170,
    )
    graph.column("Where the prompts disagree")
    graph.add("MaskPreview", "What find_mask found", mask=edited["MASK"])
    graph.add("PreviewAny", "Report", source=edited["report"])
    graph.column("Grain and edges of the original")
    decoded = graph.add("VAEDecode", samples=edited["LATENT"], vae=checkpoint["VAE"])
    restored = graph.add(
        "Img2ImgRestoreDetail", original=fitted["image"], edited=decoded["IMAGE"], vae=checkpoint["VAE"]
    )
    graph.note("Leave Restore Detail out when you change the *style*: it brings back the old one.", 90)
    graph.column("Result", 420)
    result = graph.add("Img2ImgUnfitImage", image=restored["image"], fit_info=fitted["fit info"], original=picture)
    graph.add("SaveImage", images=result["image"], filename_prefix="edit_by_words")


def keep_what_i_did_not_ask(graph: Graph) -> None:
    """An edit that changed everything, taken over only where the two prompts disagree."""
    checkpoint = parts.checkpoint(graph)
    _, fitted = parts.picture(graph)
    described, negative = _description(graph, checkpoint["CLIP"])
    wanted = _wanted(graph, checkpoint["CLIP"])
    graph.column("An edit that changed everything")
    settings: dict[str, Any] = SAMPLING | {"strength": 0.6, "cfg": 7.5}
    edited = graph.add(
        "Img2ImgAllInOne",
        "Any edit",
        image=fitted["image"],
        model=checkpoint["MODEL"],
        vae=checkpoint["VAE"],
        positive=wanted,
        negative=negative,
        **settings,
    )
    graph.note(
        "Plain image to image stands in here for **your** edit, such as that of an instruction model. Is your picture "
        "edited already? Load it with Load Image, bring it to the size of the original with a Fit Image of its own, "
        "and connect that to *edited* of Keep Unmasked and to *As it came*.",
        190,
    )
    graph.column("Where the prompts disagree")
    latent = graph.add("VAEEncode", pixels=fitted["image"], vae=checkpoint["VAE"])
    found = graph.add(
        "Img2ImgPromptMask",
        model=checkpoint["MODEL"],
        source=described,
        positive=wanted,
        latent=latent["LATENT"],
        scheduler="normal",
        threshold=0.2,
    )
    graph.note("Something of the old thing shows at the edge? Lower *threshold*, or raise *feather*.", 90)
    graph.column("As it came", 380)
    graph.add("SaveImage", "As it came", images=edited["image"], filename_prefix="as_it_came")
    graph.column("Only what was asked for", 420)
    kept = graph.add(
        "Img2ImgKeepUnmasked", original=fitted["image"], edited=edited["image"], mask=found["MASK"], feather=8
    )
    graph.add("SaveImage", "Only what was asked for", images=kept["image"], filename_prefix="only_what_was_asked_for")
    graph.add("PreviewAny", "What changed where", source=kept["report"])


def _wanted(graph: Graph, clip: Output) -> Output:
    """What the picture shall show: the description with another color."""
    graph.column("What it shall be", 380)
    wanted = graph.add("CLIPTextEncode", "Prompt", clip=clip, text=RECOLORED)
    graph.note(
        "Take over the words of the description and change only those that matter: what both say alike, stays.", 110
    )
    return wanted["CONDITIONING"]


def _description(graph: Graph, clip: Output) -> tuple[Output, Output]:
    """What the picture shows, and an empty negative prompt."""
    graph.column("What it shows", 380)
    described = graph.add("CLIPTextEncode", "Description", clip=clip, text=DRAWN)
    negative = graph.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
    graph.note("Describe the picture **as it is**: with a good description it comes back best.", 90)
    return described["CONDITIONING"], negative["CONDITIONING"]


def _inverted(graph: Graph, image: Output, models: Node, described: Output, **settings: Any) -> tuple[Node, Output]:
    graph.column("Up to noise")
    latent = graph.add("VAEEncode", pixels=image, vae=models["VAE"])["LATENT"]
    inverted = graph.add(
        "DDIMInvert",
        model=models["MODEL"],
        positive=described,
        latent=latent,
        scheduler="normal",
        steps=50,
        **settings,
    )
    graph.add("PreviewAny", "Report", source=inverted["report"])
    return inverted, latent


def _decoded(graph: Graph, vae: Output, results: dict[str, Node], prefix: str) -> None:
    """Results by title, each decoded and saved, side by side."""
    for title, sampled in results.items():
        graph.column(title, 380)
        decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=vae)
        graph.add("SaveImage", title, images=decoded["IMAGE"], filename_prefix=prefix)
