"""What a workflow is cut into, without any server."""

import json
from itertools import islice

import pytest
from img2img_studio.fleet.errors import FleetError
from img2img_studio.fleet.jobs import Plan, Wishes, key_of
from PIL import Image


@pytest.fixture
def variations():
    inputs = {"seed": 7, "count": 4, "seeds": "", "latent": ["1", 0], "batch_limit": 0, "strength": 0.5}
    return {"4": {"class_type": "VariationBatch", "inputs": inputs}}


@pytest.fixture
def grid():
    inputs = {
        "rows": "strength", "row_values": "0.3, 0.6", "columns": "cfg", "column_values": "4; 7.5", "vae": ["1", 2],
    }  # fmt: skip
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a"}},
        "5": {"class_type": "Img2ImgStrengthGrid", "inputs": inputs},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0]}},
    }


def pictures(folder, *names):
    folder.mkdir()
    for place, name in enumerate(names):
        Image.new("RGB", (4, 4), (place * 9, 0, 0)).save(folder / name)
    return folder


def loader(kind="LoadImage", **inputs):
    return {"9": {"class_type": kind, "inputs": {"image": "example.png"} | inputs}}


def test_each_picture_is_a_job_under_a_name_made_of_its_content(tmp_path):
    folder = pictures(tmp_path / "in", "b.png", "a.JPG", "c.webp")
    (folder / "notes.txt").write_text("no picture")
    jobs = list(Plan("w", loader(), Wishes(folder=folder)))
    assert [job.name for job in jobs] == ["a", "b", "c"]
    assert len({job.key for job in jobs}) == 3
    (upload,) = jobs[0].uploads
    assert jobs[0].prompt["9"]["inputs"]["image"] == f"{upload.subfolder}/{upload.name}"
    assert upload.name.endswith(".jpg")
    assert upload.read() == (folder / "a.JPG").read_bytes()


def test_a_folder_node_finds_each_picture_alone_under_its_own_name(tmp_path):
    folder = pictures(tmp_path / "in", "red car.png", "b.png")
    prompt = loader("Img2ImgFolderImage", folder="x", index=3, pattern="*.gif")
    jobs = list(Plan("w", prompt, Wishes(folder=folder)))
    inputs = jobs[1].prompt["9"]["inputs"]
    assert (inputs["index"], inputs["pattern"]) == (0, "*")
    assert jobs[1].uploads[0].name == "red car.png"
    assert inputs["folder"] == jobs[1].uploads[0].subfolder != jobs[0].uploads[0].subfolder


def test_equal_pictures_make_equal_jobs_and_equal_names_are_told_apart(tmp_path):
    folder = pictures(tmp_path / "in", "cat.png", "other.png")
    (folder / "copy.png").write_bytes((folder / "cat.png").read_bytes())
    Image.new("RGB", (2, 2)).save(folder / "Cat.bmp")
    jobs = {job.name: job.key for job in Plan("w", loader(), Wishes(folder=folder))}
    assert sorted(jobs) == ["Cat_bmp", "cat_png", "copy", "other"]
    assert jobs["cat_png"] == jobs["copy"] != jobs["other"]


def test_a_picture_that_cannot_be_read_is_a_fault_of_its_own_job(tmp_path):
    folder = pictures(tmp_path / "in", "good.png")
    (folder / "bad.png").write_bytes((folder / "good.png").read_bytes()[:40])
    bad, good = Plan("w", loader(), Wishes(folder=folder))
    assert "bad.png' cannot be read as a picture" in bad.fault
    assert not good.fault


def test_variations_are_items_of_the_whole_list(variations):
    jobs = list(Plan("w", variations, Wishes(variations=12)))
    assert [job.name for job in jobs[:2]] == ["v00", "v01"]
    inputs = jobs[11].prompt["4"]["inputs"]
    assert [inputs[name] for name in ("count", "first_item", "batch_limit", "seed")] == [1, 11, 1, 7]
    assert "first_item" not in variations["4"]["inputs"], "the given prompt was changed"


def test_listed_seeds_are_cut_after_the_item_that_a_job_makes(variations):
    variations["4"]["inputs"]["seeds"] = "5, 9..11"
    jobs = list(Plan("w", variations, Wishes(variations=4)))
    assert jobs[2].prompt["4"]["inputs"]["seeds"] == "5, 9, 10"
    assert jobs[2].prompt["4"]["inputs"]["first_item"] == 2
    with pytest.raises(FleetError, match="5 are wanted, but Variation Batch lists 4 seeds"):
        Plan("w", variations, Wishes(variations=5))


def test_cells_of_a_grid_are_saved_in_place_of_the_sheet(grid):
    jobs = list(Plan("w", grid, Wishes(grid={})))
    assert [job.name for job in jobs] == [
        "strength-0.3_cfg-4", "strength-0.3_cfg-7.5", "strength-0.6_cfg-4", "strength-0.6_cfg-7.5",
    ]  # fmt: skip
    last = jobs[-1].prompt
    assert (last["5"]["inputs"]["row_values"], last["5"]["inputs"]["column_values"]) == ("0.6", "7.5")
    assert last["6"]["inputs"]["images"] == ["7", 0]
    assert last["7"] == {"class_type": "VAEDecode", "inputs": {"samples": ["5", 1], "vae": ["1", 2]}}


def test_a_grid_can_be_named(grid):
    jobs = list(Plan("w", grid, Wishes(grid={"steps": ("4",), "seed": ("1", "2", "3")})))
    assert [job.prompt["5"]["inputs"]["columns"] for job in jobs] == ["seed"] * 3
    with pytest.raises(FleetError, match="two axes out of strength, cfg"):
        Plan("w", grid, Wishes(grid={"denoise": ("1",), "cfg": ("2",)}))


def test_without_a_grid_node_inputs_are_set_in_every_combination(variations):
    plan = Plan("w", variations, Wishes(grid={"strength": ("0.1", "1"), "VariationBatch.seed": ("1", "2")}))
    values = [(job.prompt["4"]["inputs"]["strength"], job.prompt["4"]["inputs"]["seed"]) for job in plan]
    assert values == [(0.1, 1), (0.1, 2), (1.0, 1), (1.0, 2)]
    assert len(plan) == 4


def test_styles_variations_and_pictures_multiply(tmp_path, variations):
    folder = pictures(tmp_path / "in", "a.png", "b.png")
    prompt = variations | loader() | {"3": {"class_type": "Img2ImgStyleBatch", "inputs": {"styles": "x\ny"}}}
    plan = Plan("w", prompt, Wishes(folder=folder, variations=2, styles=("oil: old", "pixel art")))
    jobs = list(plan)
    assert len(jobs) == len(plan) == 8
    assert jobs[0].name == "a_v0_oil_ old"
    assert jobs[1].prompt["3"]["inputs"]["styles"] == "pixel art"
    assert [job.name[0] for job in jobs] == list("aaaabbbb"), "a picture's jobs stand together"


def test_names_that_meet_are_told_apart(tmp_path):
    folder = pictures(tmp_path / "in", "a.png", "a_b.png")
    prompt = loader() | {"3": {"class_type": "Img2ImgStyleBatch", "inputs": {"styles": ""}}}
    names = [job.name for job in Plan("w", prompt, Wishes(folder=folder, styles=("b_c", "c")))]
    assert len(set(names)) == 4
    assert names[:2] == ["a_b_c", "a_c"]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(variations=2), "has 0 Variation Batch nodes"),
        (Wishes(styles=("a",)), "has 0 Style Batch nodes"),
        (Wishes(grid={}), "has 0 Strength Grid nodes"),
        (Wishes(grid={"strength": ("1",)}), "has no input 'strength'. It has image"),
    ],
)
def test_what_cannot_be_cut_says_why(wishes, message):
    with pytest.raises(FleetError, match=message):
        Plan("w", loader(), wishes)


def test_a_folder_needs_one_node_that_loads(tmp_path, variations):
    folder = pictures(tmp_path / "in", "a.png")
    with pytest.raises(FleetError, match="the workflow loads no picture"):
        Plan("w", variations, Wishes(folder=folder))
    two = loader() | {"8": {"class_type": "LoadImage", "inputs": {"image": "b.png"}}}
    with pytest.raises(FleetError, match="has 2 nodes that load a picture"):
        Plan("w", two, Wishes(folder=folder))


def test_a_key_depends_on_content_alone():
    prompt = {"1": {"class_type": "A", "inputs": {"b": 1, "a": "ü"}}}
    same = json.loads(json.dumps({"1": {"inputs": {"a": "ü", "b": 1}, "class_type": "A"}}))
    assert key_of(prompt) == key_of(same)
    assert key_of(prompt) != key_of({"1": {"class_type": "A", "inputs": {"b": 2, "a": "ü"}}})
    assert len(key_of(prompt)) == 64


def test_a_large_plan_is_made_bit_by_bit(variations):
    plan = Plan("w", variations, Wishes(variations=1000, grid={"strength": tuple(f"{n / 1000}" for n in range(1000))}))
    assert len(plan) == 1_000_000
    assert len(list(islice(plan, 3))) == 3
