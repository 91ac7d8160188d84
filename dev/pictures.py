"""Make the pictures of the README and of the help pages anew: `python -m nox -s pictures`.

`-- photograph` makes only that one, `-- edits` only those of the edits by words.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from ..core.sheet import labeled_row
from ..demo.scene import Attributes, scene
from . import chromium, comfyui
from .demo import OUTPUT
from .frontend import Frontend
from .frontend import chromium as running_chromium
from .server import Server

PICTURES = comfyui.ROOT / "pictures"
HELP = comfyui.ROOT / "js" / "docs"
WORKFLOW = "Try it without a model"
PHOTOGRAPH = comfyui.ROOT / "demo" / "photograph.jpg"
PHOTOGRAPH_PROMPT = "an oil painting of a yellow tree at sunset in autumn"
SHOWN = {
    "house": "a flat picture of a red house in summer by day",
    "car": "a flat picture of a red car in summer by day",
}
EDITS = {
    "blue": ("house", "a flat picture of a blue house in summer by day"),
    "winter": ("house", "a flat picture of a red house in winter by day"),
    "blue car": ("car", "a flat picture of a blue car in summer by day"),
}
CAR_SEED = 1_020_003


def main() -> None:
    """Plots, the demo's strip, and a screenshot of a graph that has just run."""
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, Server(comfyui.find(), Path(folder), ["--cpu"]) as server:
        if "edits" not in sys.argv:
            save_photograph(server)
        if "photograph" not in sys.argv:
            save_edits(server)
        if {"edits", "photograph"} & {*sys.argv}:
            return
        save_plots(server)
        save_graph(server)
    save_demo()


def save_plots(server: Server) -> None:
    """Strength Plot on the noise schedules of Stable Diffusion 1.5 and of Flux at 1024 x 1024."""
    for name, model in (("strength_sd15", "demo"), ("strength_flux", "flux")):
        (plot,) = server.images(server.run(plot_prompt(model)), "shown")
        # Few colors: the picture is a fifth of the size, and looks the same.
        plot.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)
    shutil.copy(PICTURES / "strength_sd15.png", HELP / "strength_plot.png")


def plot_prompt(model: str) -> dict[str, Any]:
    """A Strength Plot of the demo checkpoint, which has SD1.5's noise schedule, or of Flux's schedule laid over it."""
    shift = {"max_shift": 1.15, "base_shift": 0.5, "width": 1024, "height": 1024}
    plot = {"scheduler": "normal", "steps": 50, "strengths": ", ".join(f"{tenth / 10}" for tenth in range(11))}
    return {
        "demo": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
        "flux": {"class_type": "ModelSamplingFlux", "inputs": {"model": ["demo", 0], **shift}},
        "plot": {"class_type": "Img2ImgStrengthPlot", "inputs": {"model": [model, 0], **plot}},
        "shown": {"class_type": "PreviewImage", "inputs": {"images": ["plot", 0]}},
    }


def save_photograph(server: Server) -> None:
    """A photograph, which the toy cannot paint: how its autoencoder renders it, and how it repaints it."""
    run = server.run(photograph_prompt(server.upload(PHOTOGRAPH), {"gentle": 0.4, "strong": 0.7}))
    pictures = [server.images(run, f"{name} shown")[0] for name in ("photo", "again", "gentle", "strong")]
    labels = ["photograph", "through the toy's autoencoder", "toy, strength 0.4", "toy, strength 0.7"]
    labeled_row(pictures, labels, 192, centered=True).save(PICTURES / "photograph.jpg", quality=88)


def photograph_prompt(name: str, strengths: dict[str, float]) -> dict[str, Any]:
    """An uploaded picture, encoded and decoded, and repainted by the toy at some strengths."""
    painting = {
        "image": ["photo", 0], "model": ["toy", 0], "vae": ["toy", 2],
        "positive": ["said", 0], "negative": ["empty", 0],
        "steps": 20, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "seed": 1, "fit": "pad",
    }  # fmt: skip
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "photo": ("LoadImage", {"image": name}),
        "toy": ("Img2ImgDemoCheckpoint", {"family": "eps"}),
        "said": ("CLIPTextEncode", {"clip": ["toy", 1], "text": PHOTOGRAPH_PROMPT}),
        "empty": ("CLIPTextEncode", {"clip": ["toy", 1], "text": ""}),
        "latent": ("VAEEncode", {"pixels": ["photo", 0], "vae": ["toy", 2]}),
        "again": ("VAEDecode", {"samples": ["latent", 0], "vae": ["toy", 2]}),
    }
    nodes |= {key: ("Img2ImgAllInOne", {**painting, "strength": strength}) for key, strength in strengths.items()}
    shown = ["photo", "again", *strengths]
    nodes |= {f"{key} shown": ("PreviewImage", {"images": [key, 0]}) for key in shown}
    return {key: {"class_type": kind, "inputs": given} for key, (kind, given) in nodes.items()}


def save_edits(server: Server) -> None:
    """Drawings edited by words, where the prompts disagree about one, and detail given back."""
    with TemporaryDirectory() as folder:
        car = Path(folder) / "a red car.png"
        scene(Attributes(kind="car"), CAR_SEED).save(car)
        run = server.run(edits_prompt(server.upload(car)))
    blue, winter = "red house to blue", "summer to winter"
    rows = {
        HELP / "edit_by_words.jpg": {"house": "the drawing", "blue": blue, "winter": winter},
        HELP / "mask_by_words.jpg": {"house": "the drawing", "blue mask": blue, "winter mask": winter},
        HELP / "restore_detail.jpg": {
            "house": "the drawing", "blue": "Edit by Words", "blue restored": "with Restore Detail",
        },
        PICTURES / "edit_by_words.jpg": {
            "car": "before", "blue car restored": "red car to blue",
            "house": "before", "blue restored": blue,
        },
    }  # fmt: skip
    for path, row in rows.items():
        pictures = [server.images(run, f"{key} shown")[0] for key in row]
        labeled_row(pictures, [*row.values()], 192, centered=True).save(path, quality=88)


def edits_prompt(car: str) -> dict[str, Any]:
    """Each of `EDITS` by the toy: the edit, its mask found beforehand, and its detail given back.

    car: the uploaded drawing of a car; the house is the toy's own drawing
    """
    given: dict[str, list[Any]] = {"house": ["toy", 3], "car": ["loaded", 0]}
    plain = {"model": ["toy", 0], "scheduler": "simple", "seed": 0}
    measured = {"steps": 14, "strength": 0.95, "cfg": 1.0, "source_cfg": 1.0}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "toy": ("Img2ImgDemoCheckpoint", {"family": "eps"}),
        "loaded": ("LoadImage", {"image": car}),
    }
    for key, image in given.items():
        nodes |= {
            f"{key} said": ("CLIPTextEncode", {"clip": ["toy", 1], "text": SHOWN[key]}),
            f"{key} latent": ("VAEEncode", {"pixels": image, "vae": ["toy", 2]}),
            f"{key} shown": ("PreviewImage", {"images": image}),
        }
    for key, (before, text) in EDITS.items():
        wanted = {"source": [f"{before} said", 0], "latent": [f"{before} latent", 0], "positive": [f"{key} said", 0]}
        editing = {**plain, **wanted, **measured, "negative": [f"{before} said", 0]}
        restoring = {"original": given[before], "edited": [key, 0], "vae": ["toy", 2]}
        nodes |= {
            f"{key} said": ("CLIPTextEncode", {"clip": ["toy", 1], "text": text}),
            f"{key} edit": ("Img2ImgPromptEdit", editing),
            key: ("VAEDecode", {"samples": [f"{key} edit", 0], "vae": ["toy", 2]}),
            f"{key} restored": ("Img2ImgRestoreDetail", restoring),
            f"{key} found": ("Img2ImgPromptMask", {**plain, **wanted, "threshold": 0.4}),
            f"{key} mask": ("MaskToImage", {"mask": [f"{key} found", 0]}),
        }
        shown = (key, f"{key} restored", f"{key} mask")
        nodes |= {f"{one} shown": ("PreviewImage", {"images": [one, 0]}) for one in shown}
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def save_graph(server: Server) -> None:
    """The workflow that needs no download, after a run: every node, the live curve and the results."""
    with running_chromium(chromium.find_or_install()) as browser:
        tab = Frontend(browser, server.url)
        tab.open(WORKFLOW, vue_nodes=True)
        tab.run()
        tab.graph_picture(PICTURES / "graph.png", scale=0.7)


def save_demo() -> None:
    """The row of pictures that `nox -s demo` leaves."""
    subprocess.run([sys.executable, "-m", "dev.pack", "dev.demo"], cwd=comfyui.ROOT, check=True)
    with Image.open(OUTPUT / f"{WORKFLOW.replace(' ', '_')}.png") as row:
        row.save(PICTURES / "demo.jpg", quality=90)
