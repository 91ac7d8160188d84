"""What the registry gets: metadata that comfy-cli accepts, and an archive with what a user needs and nothing else."""

import subprocess
import sys
import zipfile
from fnmatch import fnmatch

from img2img_studio.dev.comfyui import ROOT

# Every file of the archive matches one of these, and each of these matches a file.
NEEDED = (
    "LICENSE",
    "README.md",
    "__init__.py",
    "floor.py",
    "pyproject.toml",
    "core/*.py",
    "host/*.py",
    "nodes/*.py",
    "fleet/*.py",
    "fleet/README.md",
    "fleet/progress.svg",
    "js/*.js",
    "js/*.mjs",
    "js/*.css",
    "js/docs/*.md",
    "js/docs/*/*.md",
    "locales/*/*.json",
    "workflows/*.json",
    "workflows/*.jpg",
    "demo/*.safetensors",
    "demo/drawing.png",
    "demo/car.png",
    "demo/README.md",
    "docs/families.md",
    "demo/samples.jpg",
    "benchmarks/*.md",
    "benchmarks/*.png",
    "pictures/*.png",
    "pictures/*.jpg",
    "subgraphs/*.json",
    "api_example/*",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
)
PICTURES = ("js/docs/*.png", "js/docs/*.jpg")  # of the help pages, where they have any


def test_comfy_cli_finds_nothing_wrong():
    command = [sys.executable, "-m", "comfy_cli", "--skip-prompt", "node", "validate"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr


def test_the_archive_holds_what_a_user_needs_and_nothing_else(tmp_path, monkeypatch):
    from comfy_cli.file_utils import zip_files  # what `comfy node pack` calls

    monkeypatch.chdir(ROOT)
    zip_files(tmp_path / "node.zip")
    with zipfile.ZipFile(tmp_path / "node.zip") as archive:
        names = archive.namelist()
        size = sum(entry.compress_size for entry in archive.infolist())
    assert [name for name in names if not any(fnmatch(name, pattern) for pattern in NEEDED + PICTURES)] == []
    assert [pattern for pattern in NEEDED if not any(fnmatch(name, pattern) for name in names)] == []
    assert size < 25_000_000
