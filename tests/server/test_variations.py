"""Variations, grids and styles on the real server: parts that equal the whole, what browsers hear, and refusals."""

import json

import pytest
from img2img_studio.dev.server import ServerError


@pytest.fixture
def toy():
    """The toy's model, an encoded picture and prompts, for the node "main" of a prompt."""
    return {
        "demo": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
        "latent": {"class_type": "VAEEncode", "inputs": {"pixels": ["demo", 3], "vae": ["demo", 2]}},
        "text": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["demo", 1], "text": "a red house, winter"}},
    }


SHARED = {
    "model": ["demo", 0], "positive": ["text", 0], "negative": ["text", 0], "latent": ["latent", 0], "strength": 0.6,
    "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "seed": 5,
}  # fmt: skip


def with_variations(toy, **options):
    inputs = SHARED | {"count": 4, "variation": 0.5, "batch_limit": 1} | options
    return toy | {
        "main": {"class_type": "VariationBatch", "inputs": inputs},
        "pictures": {"class_type": "VAEDecode", "inputs": {"samples": ["main", 0], "vae": ["demo", 2]}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["pictures", 0], "filename_prefix": "variation"}},
    }


def with_grid(toy, **options):
    inputs = SHARED | {
        "vae": ["demo", 2], "rows": "strength", "row_values": "0.4, 0.8", "columns": "cfg", "column_values": "1, 4",
    } | options  # fmt: skip
    return toy | {
        "main": {"class_type": "Img2ImgStrengthGrid", "inputs": inputs},
        "report": {"class_type": "PreviewAny", "inputs": {"source": ["main", 2]}},
    }


def with_styles(toy, **options):
    return toy | {
        "main": {"class_type": "Img2ImgStyleBatch", "inputs": {"clip": ["demo", 1]} | options},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["main", 1]}},
    }


def test_two_runs_make_the_same_files_as_one(server, toy):
    def pictures(**options):
        return [picture.tobytes() for picture in server.images(server.run(with_variations(toy, **options)), "save")]

    whole = pictures(count=8)
    assert len(set(whole)) == 8
    assert pictures(count=4) + pictures(count=4, first_item=4) == whole


def test_browsers_hear_of_variations_as_they_are_finished(server, toy):
    run = server.run(with_variations(toy, seed=2**63 + 1, vae=["demo", 2]))
    heard = [event["data"] for event in run.events if event["type"] == "img2img.variations"]
    assert [(one["node"], one["total"], one["first"], len(one["items"])) for one in heard] == [
        ("main", 4, first, count) for first, count in ((0, 0), (0, 1), (1, 1), (2, 1), (3, 1))
    ]
    items = [item for one in heard for item in one["items"]]
    assert [item["seed"] for item in items] == [str(2**63 + place) for place in (1, 2, 3, 4)]
    (payload,) = run.outputs["main"]["img2img_variations"]
    assert payload.pop("words")[0].startswith("8 model calls, ")
    assert payload == {"total": 4, "first": 0, "items": items, "first_seed": str(2**63 + 1)}
    for item in items:
        assert server.http.get(f"{server.url}/view", params={"filename": item["image"], "type": "temp"}, timeout=30).ok


def test_a_mark_samples_nothing_again(server, toy):
    def report(**options):
        return json.loads(server.run(with_grid(toy, **options)).texts[0])

    first = report()
    assert (first["runs"], first["reused"], first["model_calls"]) == (4, 0, 8)
    marked = report(marks="strength 0.4, cfg 4 | strength 0.8, cfg 4")
    assert (marked["runs"], marked["reused"], marked["model_calls"]) == (4, 4, 0)
    assert marked["marks"] == {"strength": {"0.4": 1, "0.8": 1}, "cfg": {"4.0": 2}}
    assert marked["cells"] == first["cells"]
    assert report(seed=6)["reused"] == 0


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (with_variations, {"seeds": "1, 5, nine..12"}, "seeds: 'nine..12' at character 7"),
        (with_variations, {"seeds": "1..10000"}, "seeds: '1..10000' at character 1 .* at most 4096"),
        (with_variations, {"strengths": "0.3, 3"}, "strengths: '3' at character 6"),
        (with_variations, {"count": 0}, "VariationBatch: .*smaller than min.* count"),
        (with_variations, {"count": 10_000}, "VariationBatch: .*bigger than max.* count"),
        (with_styles, {"styles": "oil painting\n\nsketch", "template": "{style}"}, "styles: line 2 is empty"),
        (with_styles, {"styles": "oil painting", "template": "a house"}, "template: .*put {style} into it"),
        (with_grid, {"rows": "sampler", "row_values": "ddim, magic"}, "row_values: 'magic' at character 7"),
        (with_grid, {"column_values": "4, 7,5x"}, "column_values: '5x' at character 6"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_runs(server, toy, build, options, message):
    with pytest.raises(ServerError, match=message):
        server.queue(build(toy, **options))
