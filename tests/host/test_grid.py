"""StrengthGrid, StyleBatch and FolderImage in a real ComfyUI."""

import gc
import json
from pathlib import Path

import comfy.model_management
import folder_paths
import numpy as np
import psutil
import pytest
import torch
from comfy_api.latest import io
from img2img_studio.dev.models import random_conditioning, random_model, random_vae
from img2img_studio.host.files import asked_folder
from PIL import Image

import nodes as stock

POSITIVE, NEGATIVE = random_conditioning(1), random_conditioning(2)


@pytest.fixture(scope="module")
def model():
    return random_model("eps")


@pytest.fixture(scope="module")
def toy():
    """The demo checkpoint's own MODEL, CLIP and VAE."""
    from img2img_studio.nodes.demo import DemoCheckpoint

    return DemoCheckpoint.execute("eps").args[:3]


@pytest.fixture
def latent():
    return {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))}


@pytest.fixture
def grid(nodes, model, latent):
    def run(rows="strength", row_values="0.3, 0.6", columns="cfg", column_values="1, 4", **options):
        out = nodes["Img2ImgStrengthGrid"].execute(
            model, POSITIVE, NEGATIVE, options.pop("latent", latent), options.pop("vae", None) or random_vae(), rows,
            row_values, columns, column_values, 0.5, 3, 4.0, "euler", "normal", 7, **options,
        )  # fmt: skip
        return out.args[0], out.args[1]["samples"], json.loads(out.args[2]), out.ui

    return run


def test_a_cell_is_what_the_chain_makes(nodes, model, latent, grid):
    _, cells, report, _ = grid()
    for place, (strength, cfg) in enumerate(((0.3, 1.0), (0.3, 4.0), (0.6, 1.0), (0.6, 4.0))):
        sigmas = nodes["StrengthScheduler"].execute(model, "normal", 3, strength).args[0]
        out = nodes["Img2ImgGuidedSampler"].execute(model, POSITIVE, NEGATIVE, latent, sigmas, cfg, "euler", 7).args[0]
        assert torch.equal(cells[place : place + 1], out["samples"])
        cell = report["cells"][place]
        assert (cell["strength"], cell["cfg"]) == (strength, cfg)
        assert cell["start_sigma"] == float(sigmas[0])


def test_it_calls_the_model_only_for_distinct_cells(grid):
    sheet, cells, report, ui = grid("strength", "0, 0.4, 0.4, 0.8", "steps", "2, 3, 2, 4")
    assert report["runs"] == 1 + 2 * 3
    assert report["model_calls"] == 2 * (2 + 3 + 4)
    assert cells.shape[0] == 16
    assert torch.equal(cells[5], cells[9])
    assert len(ui["img2img_grid"][0]["boxes"]) == 16
    assert sheet.shape[0] == 1
    unchanged = report["cells"][:4]
    assert all(cell["ssim_to_input"] == pytest.approx(1.0) for cell in unchanged)


@pytest.mark.parametrize(
    ("rows", "values"), [("sampler", "ddim, ddpm"), ("scheduler", "karras, beta"), ("seed", "1, 2")]
)
def test_every_axis_changes_the_picture(grid, rows, values):
    _, cells, _, _ = grid(rows, values, "strength", "0.6")
    assert not torch.equal(cells[0], cells[1])


def test_prompts_on_an_axis_are_encoded(nodes, toy, latent):
    model, clip, vae = toy
    empty = stock.CLIPTextEncode().encode(clip, "")[0]
    run = nodes["Img2ImgStrengthGrid"].execute
    texts = ("a red house", "a blue boat, night")
    cells = run(
        model, empty, empty, latent, vae, "prompt", "\n".join(texts), "cfg", "3", 0.8, 3, 4.0, "euler", "normal", 7,
        clip=clip,
    ).args[1]["samples"]  # fmt: skip
    sigmas = nodes["StrengthScheduler"].execute(model, "normal", 3, 0.8).args[0]
    for place, text in enumerate(texts):
        prompt = stock.CLIPTextEncode().encode(clip, text)[0]
        out = nodes["Img2ImgGuidedSampler"].execute(model, prompt, empty, latent, sigmas, 3.0, "euler", 7).args[0]
        assert torch.equal(cells[place : place + 1], out["samples"])


def test_marks_are_counted(grid):
    marks = "strength 0.3, cfg 4 | strength 0.6, cfg 4 | strength 0.9, cfg 4"  # the last one is not on this sheet
    assert grid(marks=marks)[2]["marks"] == {"strength": {"0.3": 1, "0.6": 1}, "cfg": {"4.0": 2}}


def test_a_mark_samples_nothing_again(grid):
    vae = random_vae()
    sheet, cells, report, ui = grid(vae=vae)
    marked_sheet, marked_cells, marked, marked_ui = grid(vae=vae, marks="strength 0.6, cfg 1")
    assert (report["reused"], marked["reused"], marked["model_calls"]) == (0, 4, 0)
    assert marked["marks"] == {"strength": {"0.6": 1}, "cfg": {"1.0": 1}}
    assert marked["cells"] == report["cells"]
    assert torch.equal(sheet, marked_sheet)
    assert torch.equal(cells, marked_cells)
    assert ui["img2img_grid"][0]["names"] == marked_ui["img2img_grid"][0]["names"]


def test_a_value_more_samples_only_its_cells(grid):
    vae = random_vae()
    _, before, report, _ = grid(vae=vae)
    _, cells, more, _ = grid(vae=vae, column_values="1, 4, 8")
    assert (more["runs"], more["reused"]) == (6, 4)
    assert more["model_calls"] * 2 == report["model_calls"]
    assert torch.equal(cells[[0, 1, 3, 4]], before)
    assert grid(vae=vae)[2]["reused"] == 4
    assert grid(vae=vae, column_values="1, 4, 8")[2]["reused"] == 4, "cells outside the last grid are not kept"


@pytest.mark.parametrize("changed", ["latent", "mask", "measure", "vae"])
def test_another_input_samples_everything_again(grid, latent, changed):
    vae = random_vae()
    grid(vae=vae, latent=latent)
    new = {
        "latent": {"samples": latent["samples"].clone()},
        "mask": torch.ones(1, 8, 8),
        "measure": "noise",
        "vae": random_vae(),
    }
    assert grid(**({"vae": vae, "latent": latent} | {changed: new[changed]}))[2]["reused"] == 0


def test_finished_cells_go_with_their_model(nodes, latent):
    from img2img_studio.nodes.grid import _finished

    model = random_model("eps")
    nodes["Img2ImgStrengthGrid"].execute(
        model, POSITIVE, NEGATIVE, latent, random_vae(), "strength", "0.5", "cfg", "1", 0.5, 1, 1.0, "euler",
        "normal", 7,
    )  # fmt: skip
    assert model in _finished
    before = len(_finished)
    comfy.model_management.unload_all_models()
    del model
    gc.collect()
    assert len(_finished) < before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "prompt", "row_values": "a"}, "clip: it is not connected"),
        ({"rows": "sampler", "row_values": "magic"}, "row_values: 'magic' at character 1"),
        ({"columns": "strength", "column_values": "0.5"}, "columns: both axes are strength"),
        ({"latent": {"samples": torch.zeros(2, 4, 8, 8)}}, "latent: it holds 2 pictures"),
    ],
)
def test_what_cannot_work_is_refused(grid, options, message):
    with pytest.raises(ValueError, match=message):
        grid(**options)


def test_unreadable_axes_are_refused_before_anything_runs(nodes):
    validate = nodes["Img2ImgStrengthGrid"].validate_inputs
    assert validate("sampler", "euler", "cfg", "1, 2") is True
    with pytest.raises(ValueError, match="'magic' at character 8"):
        validate("sampler", "euler, magic", "cfg", "1")
    assert validate("sampler", None, "cfg", "1") is True


def test_styles_become_prompts(nodes, toy):
    clip = toy[1]
    node = nodes["Img2ImgStyleBatch"]
    conditionings, names = node.execute(clip, "oil painting\nwatercolor\n", "a house, {style}, detailed").args
    assert names == ["oil painting", "watercolor"]
    for conditioning, name in zip(conditionings, names, strict=True):
        expected = stock.CLIPTextEncode().encode(clip, f"a house, {name}, detailed")[0]
        assert torch.equal(conditioning[0][0], expected[0][0])
    assert all(output.is_output_list for output in node.define_schema().outputs)
    default = {one.id: one.default for one in node.define_schema().inputs if isinstance(one, io.String.Input)}
    assert node.validate_inputs(**default) is True
    with pytest.raises(ValueError, match="line 2 is empty"):
        node.validate_inputs("a\n\nb", "{style}")
    with pytest.raises(ValueError, match=r"put \{style\} into it"):
        node.validate_inputs("a", "style")


@pytest.fixture
def folder():
    """Three pictures, a broken one, and two files that are none, in the input folder."""
    place = Path(folder_paths.get_input_directory()) / "holiday"
    place.mkdir(exist_ok=True)
    for number in range(3):
        Image.fromarray(np.full((8, 8, 3), 40 * number, dtype=np.uint8)).save(place / f"{number}.png")
    whole = (place / "2.png").read_bytes()
    (place / "3.png").write_bytes(whole[: len(whole) - 25])
    (place / "4.txt").write_text("no picture")
    (place / "5.png").write_bytes(b"no picture either")
    return "holiday"


def lines(output):
    """What the node shows after a run."""
    return output.ui["img2img_words"][0]["words"]


def test_a_folder_goes_on_where_it_stopped(nodes, folder):
    node, output = nodes["Img2ImgFolderImage"], Path(folder_paths.get_output_directory())
    (output / "edited").mkdir(exist_ok=True)
    before = node.fingerprint_inputs(folder, 1, "*", True, "edited/")
    assert lines(node.execute(folder, 1, "*", True, "edited/")) == ["2 of 4: 1.png"]
    for name in ("1_00001_.png", "2_5_00001_.png", "2.png"):  # a result of 1, one of 2_5, and no result at all
        Image.new("RGB", (8, 8)).save(output / "edited" / name)
    assert node.fingerprint_inputs(folder, 1, "*", True, "edited/") != before
    skipped = node.execute(folder, 1, "*", True, "edited/")
    assert skipped.args[0].message is None
    assert lines(skipped) == ["2 of 4: 1.png has a result already and was skipped"]
    for index, skip, prefix in ((2, True, "edited/"), (1, False, "edited/"), (1, True, ""), (1, True, "nowhere/")):
        assert node.execute(folder, index, "*", skip, prefix).args[2] == str(index)
    with pytest.raises(ValueError, match="saved_as"):
        node.execute(folder, 1, "*", True, "../")


def test_a_folder_gives_one_picture_at_a_time(nodes, folder):
    run = nodes["Img2ImgFolderImage"].execute
    for number in range(3):
        image, _, name, count = run(folder, number, "*").args
        assert (name, count) == (str(number), 4)
        assert float(image[0, 0, 0, 0]) == pytest.approx(40 * number / 255)
    assert "3.png is broken and was skipped" in run(folder, 3, "*").block_execution
    end = run(folder, 4, "*")
    assert [type(output).__name__ for output in end.args] == ["ExecutionBlocker"] * 4
    assert end.args[0].message is None  # no dialog
    assert lines(end)[0].startswith("The folder is done: 4 of 4.")
    assert "4.txt, 5.png" in lines(end)[1]
    assert run(folder, 0, "2*").args[2] == "2"


def test_a_long_folder_is_worked_off_in_flat_memory(nodes):
    place = Path(folder_paths.get_input_directory()) / "long"
    place.mkdir()
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for number in range(200):
        Image.fromarray(np.roll(noise, number, 0)).save(place / f"{number:03}.png", compress_level=1)
    broken = [20, 60, 100, 140, 180]
    for number in broken:
        file = place / f"{number:03}.png"
        file.write_bytes(file.read_bytes()[:60_000])
    process, held, skipped = psutil.Process(), [], []
    for index in range(200):
        out = nodes["Img2ImgFolderImage"].execute("long", index, "*")
        if out.block_execution:
            skipped.append(index)
            assert f"{index:03}.png is broken" in out.block_execution
        else:
            assert out.args[2:] == (f"{index:03}", 200)
        held.append(process.memory_info().rss)
    assert skipped == broken
    # All of the pictures would be 96 MB.
    assert max(held[50:]) - max(held[:50]) < 5e6
    assert lines(nodes["Img2ImgFolderImage"].execute("long", 200, "*"))[0].startswith("The folder is done: 200 of 200.")


def asked(folder, **changed):
    """What a folder is said to hold before a run."""
    return asked_folder({"folder": folder, "index": 0, "pattern": "*", "skip_done": False, "saved_as": ""} | changed)


def test_a_folder_tells_how_many_there_are_before_a_run(folder):
    assert asked(folder)["words"] == ["4 pictures", "Next: 1, 0.png"]
    assert asked(folder, index=3, pattern="[13].png")["words"] == ["2 pictures", "All done: set index to 0"]
    assert asked(folder, pattern="*.gif")["words"][0] == "No picture like *.gif here"
    output = Path(folder_paths.get_output_directory()) / "counted"
    output.mkdir()
    for name in ("1_00001_.png", "2_5_00001_.png", "2.png"):  # a result of 1, one of 2_5, and no result at all
        Image.new("RGB", (8, 8)).save(output / name)
    assert asked(folder, skip_done=True, saved_as="counted/")["words"][0] == "4 pictures, 1 with a result"
    assert asked(folder, skip_done=True)["words"][0] == "4 pictures, 0 with a result"


def test_folders_elsewhere_are_refused(nodes, folder):
    run = nodes["Img2ImgFolderImage"].execute
    for place in ("..", "/", "holiday/../..", "nowhere"):
        for question in (lambda place: run(place, 0, "*"), asked):
            with pytest.raises(ValueError, match=r"folder: .* is no folder inside ComfyUI's input folder"):
                question(place)
    with pytest.raises(ValueError, match=r"folder: there is no picture like '\*.gif'"):
        run(folder, 0, "*.gif")


def test_a_changed_file_runs_again(nodes, folder):
    fingerprint = nodes["Img2ImgFolderImage"].fingerprint_inputs
    before = fingerprint(folder, 1, "*")
    assert before == fingerprint(folder, 1, "*")
    Image.new("RGB", (9, 9)).save(Path(folder_paths.get_input_directory()) / folder / "1.png")
    assert fingerprint(folder, 1, "*") != before
