"""Finding and building a ComfyUI: whole or not at all, once for two at a time, the user's own where there is one."""

import threading
import time
from pathlib import Path

import pytest
from img2img_studio.dev import host


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no ComfyUI anywhere."""
    monkeypatch.setattr(host, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(host, "ROOT", tmp_path / "pack")
    (tmp_path / "pack").mkdir()
    for name in ("COMFYUI_PATH", "COMFYUI_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def comfyui(tmp_path, cache):
    """A folder that looks like a ComfyUI with a virtual environment."""
    folder = tmp_path / "ComfyUI"
    (folder / "custom_nodes").mkdir(parents=True)
    (folder / "main.py").touch()
    python = host.venv_python(folder / "venv")
    python.parent.mkdir(parents=True)
    python.touch()
    return folder


def build(folder: Path) -> None:
    folder.mkdir()
    (folder / "file").write_text("whole")


def test_an_interrupted_build_leaves_nothing_and_the_next_one_starts_afresh(cache):
    def interrupted(folder):
        folder.mkdir()
        (folder / "leftover").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        host.build_once(cache / "part", "recipe", interrupted)
    assert not (cache / "part").exists()
    host.build_once(cache / "part", "recipe", build)
    assert (cache / "part" / "file").read_text() == "whole"
    assert not (cache / "part" / "leftover").exists()


def test_two_at_once_build_once(cache):
    builds = []

    def slow(folder):
        builds.append(folder)
        time.sleep(0.2)
        build(folder)

    threads = [threading.Thread(target=host.build_once, args=(cache / "part", "recipe", slow)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert (cache / "part" / "file").read_text() == "whole"


def test_another_recipe_builds_anew(cache):
    builds = []
    for recipe in ("old", "old", "new"):
        host.build_once(cache / "part", recipe, lambda folder: builds.append(folder) or build(folder))
    assert len(builds) == 2


def test_without_any_the_message_says_what_to_do(cache):
    with pytest.raises(host.HostMissing, match=r"nox -s test.*COMFYUI_PATH"):
        host.find()


def test_comfyui_path_names_an_existing_one_and_the_pack_is_linked_into_it(comfyui, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", str(comfyui))
    found = host.provide()
    assert found == host.Host(comfyui, host.venv_python(comfyui / "venv"))
    assert not found.is_pinned
    assert [entry.resolve() for entry in (comfyui / "custom_nodes").iterdir()] == [host.ROOT]
    assert host.find() == found  # the link is there already


def test_comfyui_python_names_its_python(comfyui, monkeypatch, tmp_path):
    other = tmp_path / "python"
    other.touch()
    monkeypatch.setenv("COMFYUI_PATH", str(comfyui))
    monkeypatch.setenv("COMFYUI_PYTHON", str(other))
    assert host.find().python == other


def test_a_wrong_comfyui_path_is_named(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(host.HostMissing, match=r"nowhere.*main\.py"):
        host.find()


def test_lying_in_custom_nodes_selects_the_comfyui_around(comfyui, monkeypatch):
    pack = comfyui / "custom_nodes" / "img2img"
    pack.mkdir()
    monkeypatch.setattr(host, "ROOT", pack)
    assert host.find().path == comfyui
    assert list((comfyui / "custom_nodes").iterdir()) == [pack]


def test_another_copy_of_the_pack_is_not_overwritten(comfyui, monkeypatch):
    (comfyui / "custom_nodes" / "img2img-studio").mkdir()
    monkeypatch.setenv("COMFYUI_PATH", str(comfyui))
    with pytest.raises(host.HostMissing, match="another copy"):
        host.find()
