"""The example of a program of one's own: it is run as its page says, from outside, and the picture comes back."""

import subprocess
import sys

from img2img_studio.dev.comfyui import ROOT
from PIL import Image


def test_it_paints_a_picture_of_the_same_size(server, tmp_path):
    photograph = ROOT / "demo" / "photograph.jpg"
    example = [sys.executable, ROOT / "api_example" / "run.py", photograph, "an oil painting of a house"]
    chosen = ["--checkpoint", "toy", "--strength", "0.2", "--server", server.url, "--out", tmp_path]
    run = subprocess.run([*example, *chosen], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    (name,) = run.stdout.splitlines()
    with Image.open(name) as painted, Image.open(photograph) as source:
        assert painted.size == source.size
