"""On a ComfyUI that is too old: one line in the log, and nothing else. `nox -s hosts` provides one."""

import os
from pathlib import Path

import pytest
from img2img_studio.dev.comfyui import Host, find, link_pack
from img2img_studio.dev.hosts import OLDER_HOST
from img2img_studio.dev.server import Server


def test_it_says_so_in_one_line_and_loads_nothing(tmp_path, monkeypatch):
    older = Path(os.environ.get(OLDER_HOST) or pytest.fail(f"{OLDER_HOST} names no ComfyUI; run `nox -s hosts`"))
    templates = tmp_path / "packages" / "comfyui_workflow_templates" / "templates"
    templates.mkdir(parents=True)  # the newer package of that name has another layout
    (templates.parent / "__init__.py").touch()
    link_pack(older / "custom_nodes")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    with Server(Host(older, find().python), tmp_path, ["--cpu"]) as server:
        assert not [name for name in server.object_info if "Img2Img" in name or name == "StrengthScheduler"]
        log = server.log.read_text(encoding="utf-8").splitlines()
    said = [line for line in log if "Img2Img Studio" in line]
    assert len(said) == 1
    assert "needs ComfyUI 0.3.75 or newer, and this is 0.3.52. Update ComfyUI" in said[0]
    assert not [line for line in log if "Traceback" in line or "IMPORT FAILED" in line]
