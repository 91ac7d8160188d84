"""Two real ComfyUIs make the very pixels that one makes in one go; and one of them may die on the way."""

import json
import threading
import time
from copy import deepcopy
from pathlib import Path

import pytest
from img2img_studio import fleet
from img2img_studio.fleet.jobs import Plan, Wishes
from img2img_studio.fleet.workflow import read, to_prompt
from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[2]

COUNT = 24
SAMPLING = {
    "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "strength": 0.6, "steps": 2, "cfg": 4.0,
    "sampler_name": "euler_ancestral", "scheduler": "karras", "seed": 11,
}  # fmt: skip


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture(scope="module")
def chain():
    """The toy with its words; the picture comes from node 4."""
    return {
        "1": node("Img2ImgDemoCheckpoint", family="eps"),
        "2": node("CLIPTextEncode", clip=["1", 1], text="a blue house in winter, a watercolor"),
        "3": node("CLIPTextEncode", clip=["1", 1], text=""),
        "5": node("VAEEncode", pixels=["4", 0], vae=["1", 2]),
    }


@pytest.fixture(scope="module")
def folder_workflow(chain):
    return chain | {
        "4": node("Img2ImgFolderImage", folder="pictures", index=0, pattern="*"),
        "6": node("Img2ImgAllInOne", image=["4", 0], vae=["1", 2], **SAMPLING),
        "7": node("SaveImage", images=["6", 0], filename_prefix=["4", 2]),
    }


@pytest.fixture(scope="module")
def variation_workflow(chain):
    settings = SAMPLING | {"variation": 0.4, "count": COUNT, "batch_limit": 1}
    return chain | {
        "4": node("Img2ImgDemoCheckpoint", family="eps"),
        "5": node("VAEEncode", pixels=["4", 3], vae=["1", 2]),
        "6": node("VariationBatch", latent=["5", 0], **settings),
        "7": node("VAEDecode", samples=["6", 0], vae=["1", 2]),
        "8": node("SaveImage", images=["7", 0], filename_prefix="variation"),
    }


@pytest.fixture(scope="module")
def grid_workflow(variation_workflow):
    axes = {"rows": "strength", "row_values": "0.3, 0.6, 0.9", "columns": "cfg", "column_values": "2, 4, 7"}
    return variation_workflow | {
        "6": node("Img2ImgStrengthGrid", latent=["5", 0], vae=["1", 2], **SAMPLING, **axes),
        "7": node("VAEDecode", samples=["6", 1], vae=["1", 2]),
    }


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Different drawings, some as JPEG, some with capital letters."""
    folder = tmp_path_factory.mktemp("pictures")
    drawing = Image.open(ROOT / "demo" / "drawing.png").convert("RGB").resize((128, 128))
    for place in range(COUNT):
        ending = ("png", "JPG", "webp")[place % 3]
        ImageChops.offset(drawing, 5 * place, 3 * place).save(folder / f"{place:02} drawing.{ending}", quality=90)
    return folder


def pixels(picture):
    return picture.size, picture.convert("RGB").tobytes()


def made(out):
    """The pixels of the results, in the order of their names."""
    return [pixels(Image.open(path)) for path in sorted(out.glob("*.png"))]


def in_one_go(server, prompt, count):
    """What one server makes of the whole, with each item of the batch decoded alone.

    Stock VAE Decode rounds differently for a batch than for one of its items: by 1 of 255, in a few pixels of some
    pictures. Sampling does not, and it is what the pack promises.
    """
    prompt = {number: one for number, one in prompt.items() if number not in ("7", "8")}
    for place in range(count):
        prompt[f"1{place}"] = node("LatentFromBatch", samples=prompt_cells(prompt), batch_index=place, length=1)
        prompt[f"2{place}"] = node("VAEDecode", samples=[f"1{place}", 0], vae=["1", 2])
        prompt[f"3{place}"] = node("SaveImage", images=[f"2{place}", 0], filename_prefix="alone")
    run = server.run(prompt)
    return [pixels(picture) for place in range(count) for picture in server.images(run, f"3{place}")]


def prompt_cells(prompt):
    return ["6", 0] if prompt["6"]["class_type"] == "VariationBatch" else ["6", 1]


def test_a_folder(server, second_server, folder_workflow, pictures, tmp_path):
    there = server.folder / "input" / "pictures"
    there.mkdir()
    for picture in pictures.iterdir():
        (there / picture.name).write_bytes(picture.read_bytes())
    alone = []
    for place in range(COUNT):
        prompt = deepcopy(folder_workflow)
        prompt["4"]["inputs"]["index"] = place
        alone += server.images(server.run(prompt))
    summary = fleet.run(
        folder_workflow, tmp_path / "out", [server.url, second_server.url], folder=pictures, verify=2, refuse=True
    )
    assert summary.failed == ()
    assert set(summary.bits.values()) == {"A"}
    assert min(summary.servers.values()) >= 4, "both took part"
    assert made(tmp_path / "out") == [pixels(picture) for picture in alone]
    assert len(set(made(tmp_path / "out"))) == COUNT
    lines = [json.loads(line) for line in (tmp_path / "out" / "run.jsonl").read_text().splitlines()]
    assert all(line["versions"]["comfyui"] and line["versions"]["torch"] for line in lines)


def test_variations_while_a_server_dies(server, second_server, variation_workflow, tmp_path):
    alone = in_one_go(server, variation_workflow, COUNT)
    assert len(set(alone)) == COUNT

    def kill():
        lines = tmp_path / "out" / "run.jsonl"
        while not lines.exists() or len(lines.read_bytes().splitlines()) < 6:
            time.sleep(0.01)
        second_server.process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    summary = fleet.run(variation_workflow, tmp_path / "out", [second_server.url, server.url], variations=COUNT)
    killer.join()
    assert summary.failed == ()
    assert made(tmp_path / "out") == alone


def test_a_grid(server, grid_workflow, tmp_path):
    alone = in_one_go(server, grid_workflow, 9)
    sheet = grid_workflow | {"8": node("SaveImage", images=["6", 0], filename_prefix="sheet")}
    summary = fleet.run(sheet, tmp_path / "out", [server.url], grid={})
    assert summary.failed == ()
    assert made(tmp_path / "out") == alone
    assert len(alone) == 9


def test_a_workflow_from_the_interface(server, tmp_path):
    summary = fleet.run(
        "Try it without a model", tmp_path / "out", [server.url], set={"StrengthScheduler.steps": 3},
        grid={"strength": [0.2, 0.8]},
    )  # fmt: skip
    assert summary.done == 2
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["strength-0.2.png", "strength-0.8.png"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "run.jsonl").read_text().splitlines()]
    reports = [report for line in lines for report in line["report"] if isinstance(report, dict)]
    assert sorted(report["strength"] for report in reports if "strength" in report) == [0.2, 0.8]


WISHES = {
    "Variations": Wishes(variations=3),
    "One picture in four styles": Wishes(styles=("ink", "oil")),
    "Strength against guidance": Wishes(grid={}),
    "Compare samplers": Wishes(grid={}),
    # These bring their own picture, or need none.
    "Try it without a model": Wishes(),
    "Change the color of one thing": Wishes(),
    "What strength means on this model": Wishes(),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "workflows").glob("*.json")))
def test_every_workflow_of_the_pack_can_be_cut(server, pictures, name):
    prompt = to_prompt(read(name)[1], server.object_info)
    plan = Plan(name, prompt, WISHES.get(name, Wishes(folder=pictures)))
    keys = {job.key for job in plan}
    assert len(keys) == len(plan) >= 1


def test_check_says_what_a_server_is(server, capsys):
    from img2img_studio.fleet.command import main

    assert main(["check", "Try it without a model", "--on", server.url, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (one,) = told["servers"]
    assert one["versions"]["torch"]
    assert one["toy"] > 0
    assert one["lacks"] == []
    assert main(["check", "Image to image", "--on", server.url, "127.0.0.1:9"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "for ckpt_name of CheckpointLoaderSimple" in said
    assert "http://127.0.0.1:9 does not answer as it should" in said
