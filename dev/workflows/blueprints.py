"""Subgraph blueprints: five parts of workflows that ComfyUI's node library offers as one node each."""

from __future__ import annotations

from typing import Any

from ..blueprint import Blueprint
from ..graph import Node, Output
from .parts import SAMPLING

COMMON = {"image": "IMAGE", "model": "MODEL", "vae": "VAE", "positive": "CONDITIONING", "negative": "CONDITIONING"}
SCHEDULED: dict[str, Any] = {"scheduler": "normal", "steps": 20}


def exact_strength(part: Blueprint) -> None:
    """A picture repainted at an exact strength, fitted to the model and given back at its own size."""
    image, model, vae, positive, negative = part.take(**COMMON)
    part.column("Fit, encode, sample, decode", 300)
    fitted = part.add("Img2ImgFitImage", image=image, target=512)
    latent = part.add("VAEEncode", pixels=fitted["image"], vae=vae)
    plan = part.add("StrengthScheduler", model=model, strength=0.5, **SCHEDULED)
    part.column("Sample", 300)
    sampled = part.add(
        "Img2ImgGuidedSampler",
        model=model,
        positive=positive,
        negative=negative,
        latent=latent["LATENT"],
        sigmas=plan["sigmas"],
        sampler_name="euler",
    )
    part.give(image=_unfitted(part, _decoded(part, sampled["LATENT"], vae), fitted, image))
    part.show(fitted, "target")
    part.show(plan, "strength", "steps", "scheduler", "measure")
    part.show(sampled, "cfg", "sampler_name", "seed")


def edit_by_words(part: Blueprint) -> None:
    """Say what a picture shows and what it should show: what the two disagree about changes."""
    image, model, clip, vae = part.take(image="IMAGE", model="MODEL", clip="CLIP", vae="VAE")
    part.column("What it shows, what it should show", 300)
    fitted = part.add("Img2ImgFitImage", image=image, target=512)
    source = part.add("CLIPTextEncode", "Source prompt", clip=clip, text="")
    wanted = part.add("CLIPTextEncode", "Edit prompt", clip=clip, text="")
    nothing = part.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
    part.column("Edit", 300)
    latent = part.add("VAEEncode", pixels=fitted["image"], vae=vae)
    prompts = {"source": source, "positive": wanted, "negative": nothing}
    given: dict[str, Any] = {name: node["CONDITIONING"] for name, node in prompts.items()}
    given |= {"scheduler": "simple", "steps": 14, "cfg": 4.0}
    edited = part.add("Img2ImgPromptEdit", model=model, latent=latent["LATENT"], **given)
    part.give(image=_unfitted(part, _decoded(part, edited["LATENT"], vae), fitted, image))
    part.show(fitted, "target")
    part.show(source, "text")
    part.show(wanted, "text")
    part.show(edited, "cfg", "strength", "steps", "seed")


def inpaint(part: Blueprint) -> None:
    """What is masked is repainted; every pixel outside is the original's own, and counted."""
    image, mask, model, vae, positive, negative = part.take(image="IMAGE", mask="MASK", **_without_image())
    part.column("Paint", 300)
    fitted = part.add("Img2ImgFitImage", image=image, target=512, mask=mask)
    given: dict[str, Any] = {"positive": positive, "negative": negative, "strength": 0.8} | SAMPLING
    given |= {"mask": fitted["mask"]}
    painted = part.add("Img2ImgAllInOne", image=fitted["image"], model=model, vae=vae, **given)
    part.column("Put back", 300)
    whole = _unfitted(part, painted["image"], fitted, image)
    kept = part.add("Img2ImgKeepUnmasked", original=image, edited=whole, mask=mask, blend="seamless")
    part.give(image=kept["image"], report=kept["report"])
    part.show(fitted, "target")
    part.show(painted, "strength", "cfg", "steps", "sampler_name", "scheduler", "seed")
    part.show(kept, "blend")


def upscale(part: Blueprint) -> None:
    """A picture enlarged, with detail painted in tile by tile."""
    image, model, vae, positive, negative = part.take(**COMMON)
    part.column("Enlarge", 300)
    given: dict[str, Any] = {"positive": positive, "negative": negative, "strength": 0.3} | SAMPLING
    large = part.add("Img2ImgTiledRefine", image=image, model=model, vae=vae, **given)
    part.give(image=large["image"])
    part.show(large, "scale", "strength", "tile", "steps", "cfg", "seed")


def variations(part: Blueprint) -> None:
    """Several versions of a picture, each with a seed to keep."""
    image, model, vae, positive, negative = part.take(**COMMON)
    part.column("Paint", 300)
    fitted = part.add("Img2ImgFitImage", image=image, target=512)
    latent = part.add("VAEEncode", pixels=fitted["image"], vae=vae)
    given: dict[str, Any] = {"positive": positive, "negative": negative} | SAMPLING
    batch = part.add("VariationBatch", model=model, vae=vae, latent=latent["LATENT"], **given)
    part.column("Decode", 300)
    part.give(images=_unfitted(part, _decoded(part, batch["batch"], vae), fitted, image), seeds=batch["seeds"])
    part.show(fitted, "target")
    part.show(batch, "count", "strength", "cfg", "steps", "seed")


BLUEPRINTS = {
    "Image to image with exact strength": exact_strength,
    "Edit a picture by words": edit_by_words,
    "Inpaint with proof": inpaint,
    "Upscale by tiles": upscale,
    "Variations of a picture": variations,
}


def _without_image() -> dict[str, str]:
    return {name: kind for name, kind in COMMON.items() if name != "image"}


def _decoded(part: Blueprint, latent: Output, vae: Output) -> Output:
    return part.add("VAEDecode", samples=latent, vae=vae)["IMAGE"]


def _unfitted(part: Blueprint, image: Output, fitted: Node, original: Output) -> Output:
    return part.add("Img2ImgUnfitImage", image=image, fit_info=fitted["fit info"], original=original)["image"]
