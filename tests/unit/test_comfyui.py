"""Finding and building a ComfyUI: whole or not at all, once for two at a time, the user's own where there is one."""

import threading
import time
from pathlib import Path

import pytest
from img2img_studio.dev import comfyui


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no ComfyUI anywhere."""
    monkeypatch.setattr(comfyui, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(comfyui, "ROOT", tmp_path / "pack")
    (tmp_path / "pack").mkdir()
    for name in ("COMFYUI_PATH", "COMFYUI_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def existing(tmp_path, cache):
    """A folder that looks like a ComfyUI with a virtual environment."""
    folder = tmp_path / "ComfyUI"
    (folder / "custom_nodes").mkdir(parents=True)
    (folder / "main.py").touch()
    python = comfyui.venv_python(folder / "venv")
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
        comfyui.build_once(cache / "part", "recipe", interrupted)
    assert not (cache / "part").exists()
    comfyui.build_once(cache / "part", "recipe", build)
    assert (cache / "part" / "file").read_text() == "whole"
    assert not (cache / "part" / "leftover").exists()


def test_two_at_once_build_once(cache):
    builds = []

    def slow(folder):
        builds.append(folder)
        time.sleep(0.2)
        build(folder)

    threads = [threading.Thread(target=comfyui.build_once, args=(cache / "part", "recipe", slow)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert (cache / "part" / "file").read_text() == "whole"


def test_another_recipe_builds_anew(cache):
    builds = []
    for recipe in ("old", "old", "new"):
        comfyui.build_once(cache / "part", recipe, lambda folder: builds.append(folder) or build(folder))
    assert len(builds) == 2


def test_without_any_the_message_says_what_to_do(cache):
    with pytest.raises(comfyui.HostMissing, match=r"nox -s test.*COMFYUI_PATH"):
        comfyui.find()


def test_comfyui_path_names_an_existing_one_and_the_pack_is_linked_into_it(existing, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", str(existing))
    found = comfyui.provide()
    assert found == comfyui.Host(existing, comfyui.venv_python(existing / "venv"))
    assert not found.is_pinned
    assert [entry.resolve() for entry in (existing / "custom_nodes").iterdir()] == [comfyui.ROOT]
    assert comfyui.find() == found  # the link is there already


def test_comfyui_python_names_its_python(existing, monkeypatch, tmp_path):
    other = tmp_path / "python"
    other.touch()
    monkeypatch.setenv("COMFYUI_PATH", str(existing))
    monkeypatch.setenv("COMFYUI_PYTHON", str(other))
    assert comfyui.find().python == other


def test_a_wrong_comfyui_path_is_named(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(comfyui.HostMissing, match=r"nowhere.*main\.py"):
        comfyui.find()


def test_lying_in_custom_nodes_selects_the_comfyui_around(existing, monkeypatch):
    pack = existing / "custom_nodes" / "img2img"
    pack.mkdir()
    monkeypatch.setattr(comfyui, "ROOT", pack)
    assert comfyui.find().path == existing
    assert list((existing / "custom_nodes").iterdir()) == [pack]


def test_another_copy_of_the_pack_is_not_overwritten(existing, monkeypatch):
    (existing / "custom_nodes" / "img2img-studio").mkdir()
    monkeypatch.setenv("COMFYUI_PATH", str(existing))
    with pytest.raises(comfyui.HostMissing, match="another copy"):
        comfyui.find()
