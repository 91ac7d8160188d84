"""Inversion and edits by words: a picture up to noise and back, and what two prompts disagree about."""

from __future__ import annotations

from typing import Any

from ..graph import Graph, Node, Output
from . import parts

DRAWN = "a girl in a pink dress on a green hill, child's drawing"
EDITED = "a girl in a blue dress on a snowy hill, child's drawing"
RECOLORED = "a girl in a blue dress on a green hill, child's drawing"
MINIMAL = "Source prompt: the picture **as it is**. Edit prompt: the same words, only those that matter changed."


def invert_and_reconstruct(graph: Graph) -> None:
    """A picture inverted to noise and reconstructed, and how much is lost compared with the VAE alone."""
    source = parts.picture(graph, width=250)
    checkpoint = parts.checkpoint(graph, below=True)
    described, negative = _source_prompt(graph, checkpoint["CLIP"], width=260)
    graph.below("Invert")
    latent = parts.encoded(graph, source.image, checkpoint)
    inverted = _inverted(graph, checkpoint, latent, described, method="corrected", grade=True)
    graph.column("Sample", 250)
    same = graph.add(
        "Img2ImgInversionSampler",
        "Reconstruct",
        model=checkpoint["MODEL"],
        inversion=inverted["inversion"],
        positive=described,
        negative=negative,
        cfg=1.0,
    )
    graph.column("Result", 270)
    decoded = graph.add("VAEDecode", samples=same["LATENT"], vae=checkpoint["VAE"])["IMAGE"]
    saved = parts.save(graph, parts.unfitted(graph, decoded, source), "reconstruction")
    graph.column("What was lost", 250)
    graph.note("The VAE alone loses a little, too. This compares the two: what is left is lost by the inversion.")
    alone = graph.add("VAEDecode", "Only encoded and decoded", samples=latent, vae=checkpoint["VAE"])
    compared = graph.add("Img2ImgCompareImages", image_a=alone["IMAGE"], image_b=decoded)
    graph.add("PreviewAny", "PSNR in decibels", source=compared["psnr"])
    graph.as_app([*source.shown, (inverted, "method"), (inverted, "steps")], [saved])


def watch_inversion(graph: Graph) -> None:
    """What lies between a picture and its noise, step by step."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    graph.below("Prompt")
    described = _shown(graph, checkpoint["CLIP"])
    graph.column("Invert", 310)
    latent = parts.encoded(graph, source.image, checkpoint)
    inverted = _inverted(graph, checkpoint, latent, described, method="corrected", keep_trajectory=True)
    graph.column("Result", 400)
    seen = graph.add("Img2ImgInversionSteps", model=checkpoint["MODEL"], inversion=inverted["inversion"], count=6)
    decoded = graph.add("VAEDecode", samples=seen["steps"], vae=checkpoint["VAE"])["IMAGE"]
    saved = parts.save(graph, parts.unfitted(graph, decoded, source), "inversion_steps")
    graph.note("From the picture to its noise. Large shapes last longest: they are what a low strength cannot change.")
    graph.as_app([*source.shown, (inverted, "method"), (seen, "count")], [saved])


def edit_by_inversion(graph: Graph) -> None:
    """Re-rendered with a new prompt: what the prompt names changes, and the rest tends to stay."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph, below=True)
    described, negative = _source_prompt(graph, checkpoint["CLIP"], width=300)
    wanted = _edit_prompt(graph, checkpoint["CLIP"], EDITED)
    graph.below("Encode")
    latent = parts.encoded(graph, source.image, checkpoint)
    graph.column("Invert", 310)
    inverted = _inverted(graph, checkpoint, latent, described, method="corrected", strength=0.8)
    graph.below("Sample")
    edited = _edited(graph, checkpoint["MODEL"], inverted["inversion"], wanted, negative, cfg=4.0)
    saved = _result(graph, edited, checkpoint["VAE"], source, "edit_by_inversion")
    graph.as_app([*source.shown, *_texts(graph), (edited, "cfg")], [saved])


def null_text(graph: Graph) -> None:
    """An inversion tuned first so that it survives high cfg: edits can then be guided strongly as well."""
    source = parts.picture(graph, width=250)
    checkpoint = parts.checkpoint(graph, below=True)
    described, negative = _source_prompt(graph, checkpoint["CLIP"], width=240)
    wanted = _edit_prompt(graph, checkpoint["CLIP"], EDITED)
    graph.column("Invert", 260)
    latent = parts.encoded(graph, source.image, checkpoint)
    inverted = _inverted(graph, checkpoint, latent, described, method="ddim", strength=0.8, keep_trajectory=True)
    graph.column("Tune it for high cfg", 250)
    held = graph.add(
        "Img2ImgNullTextOptimize",
        model=checkpoint["MODEL"],
        positive=described,
        inversion=inverted["inversion"],
        negative=negative,
    )
    graph.note("Slow, and needs memory for gradients; runs once per picture. Worth it for many edits at high cfg.")
    graph.below("Sample")
    edited = _edited(graph, checkpoint["MODEL"], held["inversion"], wanted, negative, cfg=7.5)
    saved = _result(graph, edited, checkpoint["VAE"], source, "null_text", width=280)
    graph.as_app([*source.shown, *_texts(graph), (edited, "cfg")], [saved])


def edit_by_words(graph: Graph) -> None:
    """What two prompts disagree about changes, and the rest gets its grain and edges back."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    described, negative = _source_prompt(graph, checkpoint["CLIP"])
    wanted = _edit_prompt(graph, checkpoint["CLIP"], RECOLORED)
    graph.column("Edit", 320)
    graph.note("Nothing happens? Raise *cfg*. Too much? Lower *cfg* first, then *strength*.")
    latent = graph.add("VAEEncode", pixels=source.image, vae=checkpoint["VAE"])
    edited = graph.add(
        "Img2ImgPromptEdit",
        model=checkpoint["MODEL"],
        source=described,
        positive=wanted,
        negative=negative,
        latent=latent["LATENT"],
        scheduler="simple",
        steps=14,
        cfg=4.0,
        find_mask="show",
    )
    graph.column("Result", 280)
    picture = graph.add("VAEDecode", samples=edited["LATENT"], vae=checkpoint["VAE"])["IMAGE"]
    restored = graph.add("Img2ImgRestoreDetail", original=source.image, edited=picture, vae=checkpoint["VAE"])
    saved = parts.save(graph, parts.unfitted(graph, restored["image"], source), "edit_by_words")
    graph.note("Restore Detail brings back grain and edges. A new *style*? Leave it out.")
    graph.as_app([*source.shown, *_texts(graph), (edited, "cfg"), (edited, "seed")], [saved])


def keep_what_i_did_not_ask(graph: Graph) -> None:
    """An edit that changed everything, taken over only where the two prompts disagree."""
    source = parts.picture(graph, width=250)
    checkpoint = parts.checkpoint(graph, below=True)
    described, negative = _source_prompt(graph, checkpoint["CLIP"], width=230)
    wanted = _edit_prompt(graph, checkpoint["CLIP"], RECOLORED)
    graph.column("Any edit", 270)
    seed = graph.add("PrimitiveInt", "Seed")
    edited = graph.add(
        "Img2ImgAllInOne",
        "Any edit",
        image=source.image,
        model=checkpoint["MODEL"],
        vae=checkpoint["VAE"],
        positive=wanted,
        negative=negative,
        **parts.SAMPLING | {"strength": 0.6, "cfg": 7.5, "seed": seed["INT"]},
    )
    graph.column("Where they disagree", 250)
    latent = graph.add("VAEEncode", pixels=source.image, vae=checkpoint["VAE"])
    found = graph.add(
        "Img2ImgPromptMask",
        model=checkpoint["MODEL"],
        source=described,
        positive=wanted,
        latent=latent["LATENT"],
        scheduler="normal",
        threshold=0.2,
        seed=seed["INT"],
    )
    graph.note("Something old shows at the edge? Lower *threshold*, or raise *feather*.")
    graph.column("What was asked for", 250)
    settings: dict[str, Any] = {"edited": edited["image"], "mask": found["MASK"], "feather": 8}
    kept = graph.add("Img2ImgKeepUnmasked", original=source.image, **settings)
    saved = parts.save(graph, parts.unfitted(graph, kept["image"], source), "only_what_was_asked_for")
    graph.note("**Your** edit in place of *Any edit*: Load Image, then Fit Image.")
    graph.as_app([*source.shown, *_texts(graph), (found, "threshold"), (seed, "value")], [saved])


def _source_prompt(graph: Graph, clip: Output, width: int = 0) -> tuple[Output, Output]:
    """What the picture shows, and an empty negative prompt: in a column that is so wide, or below the model."""
    if width:
        graph.column("Prompts", width)
    else:
        graph.below("Prompts")
    described, negative = _shown(graph, clip), graph.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
    return described, negative["CONDITIONING"]


def _shown(graph: Graph, clip: Output) -> Output:
    """What the picture shows."""
    return graph.add("CLIPTextEncode", "Source prompt", clip=clip, text=DRAWN)["CONDITIONING"]


def _edit_prompt(graph: Graph, clip: Output, text: str) -> Output:
    """What the picture should show."""
    graph.below("Edit prompt")
    wanted = graph.add("CLIPTextEncode", "Edit prompt", clip=clip, text=text)
    graph.note(MINIMAL)
    return wanted["CONDITIONING"]


def _texts(graph: Graph) -> list[parts.Widget]:
    """The two prompts that say what is to change."""
    by_title = {node.data.get("title"): node for node in graph.nodes}
    return [(by_title[title], "text") for title in ("Source prompt", "Edit prompt")]


def _inverted(graph: Graph, models: Node, latent: Output, described: Output, **settings: Any) -> Node:
    """The picture's latent taken back to noise."""
    given: dict[str, Any] = {"positive": described, "latent": latent, "scheduler": "normal", "steps": 50}
    return graph.add("DDIMInvert", model=models["MODEL"], **given, **settings)


def _edited(graph: Graph, model: Output, inversion: Output, wanted: Output, negative: Output, **settings: Any) -> Node:
    """The picture re-rendered from its noise with the edit prompt."""
    graph.note("Raise *cfg* until the edit shows. A lower *strength* in the inversion keeps more of the picture.")
    given: dict[str, Any] = {"inversion": inversion, "positive": wanted, "negative": negative}
    return graph.add("Img2ImgInversionSampler", "Edited", model=model, **given, **settings)


def _result(
    graph: Graph, sampled: Node, vae: Output, source: parts.Source, prefix: str, width: int = parts.RESULT
) -> Node:
    return parts.result(graph, sampled["LATENT"], source, prefix, vae, width)
