"""Run a shipped workflow and leave what it made in output/.

Without arguments: the toy checkpoint and its drawing, at four strengths. With a PHOTO and a PROMPT: any workflow on
your own picture, on the toy or, with --checkpoint and your own ComfyUI (COMFYUI_PATH), on a real model.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from ..core.sheet import labeled_row
from . import api_prompt
from .comfyui import ROOT, HostMissing, device_arguments, find
from .server import Server, ServerError

OUTPUT = ROOT / "output"
WORKFLOWS = ROOT / "workflows"
DEMO_STRENGTHS = (0.2, 0.4, 0.6, 0.8)


def main() -> None:
    """Read the command line, start a server, run the workflow once for each strength."""
    arguments = _arguments()
    try:
        host = find()
        with tempfile.TemporaryDirectory() as scratch:
            print("Starting ComfyUI", flush=True)
            with Server(host, Path(scratch), device_arguments(host)) as server:
                _run(server, arguments)
    except (HostMissing, ServerError, api_prompt.NotInWorkflow) as reason:
        sys.exit(str(reason))


def _run(server: Server, arguments: argparse.Namespace) -> None:
    workflow = json.loads((WORKFLOWS / f"{arguments.workflow}.json").read_text(encoding="utf-8"))
    prompt = server.to_prompt(workflow)
    if arguments.checkpoint:
        prompt = api_prompt.with_checkpoint(prompt, arguments.checkpoint)
    else:
        prompt = api_prompt.on_demo_checkpoint(prompt)
    if arguments.photo:
        prompt = api_prompt.with_picture(prompt, server.upload(arguments.photo))
        prompt = api_prompt.with_text(prompt, arguments.prompt)
    prompt, start = api_prompt.with_start_shown(prompt)

    OUTPUT.mkdir(exist_ok=True)
    pictures: list[Image.Image] = []
    labels: list[str] = []
    for strength in arguments.strengths:
        began = time.monotonic()
        run = server.run(prompt if strength is None else api_prompt.with_strength(prompt, strength))
        label = "result" if strength is None else f"strength {strength:g}"
        shown = label if arguments.checkpoint else f"toy model, {label}"
        print(f"{arguments.workflow}, {label}: {time.monotonic() - began:.1f} s", flush=True)
        pictures = pictures or server.images(run, start)
        labels = labels or ["input"]
        made = [picture for node in api_prompt.savers(prompt) for picture in server.images(run, node)]
        pictures += made
        labels += [shown] * len(made)
        _save(made, f"{arguments.workflow}_{label}".replace(" ", "_"))
    sheet = OUTPUT / f"{arguments.workflow.replace(' ', '_')}.png"
    labeled_row(pictures, labels, 256, centered=True).save(sheet)
    print(f"Look at {sheet.relative_to(ROOT)}; single pictures lie beside it.")


def _save(pictures: list[Image.Image], name: str) -> None:
    """Each picture as PNG."""
    for number, picture in enumerate(pictures):
        picture.save(OUTPUT / (f"{name}.png" if len(pictures) == 1 else f"{name}_{number + 1}.png"))


def _arguments() -> argparse.Namespace:
    names = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
    parser = argparse.ArgumentParser(prog="python -m nox -s demo --", description=__doc__)
    parser.add_argument("photo", nargs="?", type=Path, help="your picture")
    parser.add_argument("prompt", nargs="?", help="what it should show")
    parser.add_argument("--strength", type=float, help="0 leaves the picture as it is, 1 ignores it")
    parser.add_argument(
        "--workflow", choices=names, metavar="NAME", help='a file of workflows/, such as "Image to image"'
    )
    parser.add_argument("--checkpoint", metavar="NAME", help="a checkpoint of your own ComfyUI, in place of the toy")
    arguments = parser.parse_args()
    if arguments.photo and not arguments.photo.is_file():
        parser.error(f"there is no picture {arguments.photo}")
    if arguments.photo and arguments.prompt is None:
        parser.error("say in a PROMPT what the picture should show")
    arguments.workflow = arguments.workflow or ("Image to image" if arguments.photo else "Try it without a model")
    tries_the_toy = not arguments.photo and arguments.workflow == "Try it without a model"
    arguments.strengths = DEMO_STRENGTHS if arguments.strength is None and tries_the_toy else [arguments.strength]
    return arguments
