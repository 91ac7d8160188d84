"""Send a picture and a prompt to a running ComfyUI with Img2Img Studio, and save what comes back."""

from __future__ import annotations

import argparse
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

PROMPT = Path(__file__).with_name("prompt.json")


def main() -> None:
    """Upload, queue, wait, download."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("text", help="what the result should show")
    parser.add_argument("--strength", type=float, default=0.5, help="how much may change, 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", help="a checkpoint that ComfyUI lists, or toy")
    parser.add_argument("--server", default="http://127.0.0.1:8188")
    parser.add_argument("--out", type=Path, default=Path())
    given = parser.parse_args()
    name = upload(given.server, given.picture)
    prompt = filled(json.loads(PROMPT.read_text(encoding="utf-8")), name, given)
    for file in finished(given.server, queue(given.server, prompt)):
        path = given.out / file["filename"]
        path.write_bytes(fetch(f"{given.server}/view?{urllib.parse.urlencode(file)}"))
        print(path)


def filled(prompt: dict[str, Any], picture: str, given: argparse.Namespace) -> dict[str, Any]:
    """The prompt with this run's values; each is found by the class and the title of its node."""
    for node in prompt.values():
        kind, title, inputs = node["class_type"], node["_meta"]["title"], node["inputs"]
        if kind == "LoadImage":
            inputs["image"] = picture
        if title == "Prompt":
            inputs["text"] = given.text
        if kind == "Img2ImgAllInOne":
            inputs |= {"strength": given.strength, "seed": given.seed}
        if kind == "CheckpointLoaderSimple" and given.checkpoint == "toy":
            node |= {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}}
        elif kind == "CheckpointLoaderSimple" and given.checkpoint:
            inputs["ckpt_name"] = given.checkpoint
        if kind == "Img2ImgFitImage" and given.checkpoint == "toy":
            inputs["target"] = 128
    return prompt


def upload(server: str, picture: Path) -> str:
    """Put a picture into ComfyUI's input folder; returns its name there."""
    edge = uuid.uuid4().hex
    name = f'name="image"; filename="{picture.name}"'
    head = f"--{edge}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: application/octet-stream\r\n\r\n"
    body = head.encode() + picture.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    return json.loads(fetch(f"{server}/upload/image", body, kind))["name"]


def queue(server: str, prompt: dict[str, Any]) -> str:
    """Queue a prompt; returns its id."""
    body = json.dumps({"prompt": prompt}).encode()
    return json.loads(fetch(f"{server}/prompt", body, {"Content-Type": "application/json"}))["prompt_id"]


def finished(server: str, prompt_id: str) -> list[dict[str, str]]:
    """Wait for a queued prompt; returns the files that it saved."""
    while not (history := json.loads(fetch(f"{server}/history/{prompt_id}"))):
        time.sleep(0.5)
    run = history[prompt_id]
    if run["status"]["status_str"] != "success":
        raise SystemExit(json.dumps(run["status"]["messages"][-1], indent=2))
    images = [image for output in run["outputs"].values() for image in output.get("images", [])]
    return [image for image in images if image["type"] == "output"]


def fetch(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    """What the server answers; it says in words what it does not like."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {})) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url} says {error.code}: {error.read().decode(errors='replace')}") from error


if __name__ == "__main__":
    main()
