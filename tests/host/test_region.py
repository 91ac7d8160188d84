"""CropForMask and UncropForMask: a part at the model's size, and back."""

import json

import pytest
import torch
from img2img_studio.core.fit import resize
from img2img_studio.core.sheet import from_pillow
from img2img_studio.demo.scene import HELD_OUT_SEEDS, random_attributes, scene

import nodes as stock


def picture(height, width, batch=1, channels=3):
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(height + width))


def box(height, width, top, left, bottom, right):
    mask = torch.zeros(1, height, width)
    mask[:, top:bottom, left:right] = 1
    return mask


MASKS = {
    "in the middle": box(96, 120, 40, 50, 60, 75),
    "in a corner": box(96, 120, 0, 100, 12, 120),
    "the whole picture": torch.ones(1, 96, 120),
    "one pixel": box(96, 120, 33, 71, 34, 72),
    "a line from side to side": box(96, 120, 50, 0, 52, 120),
}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())


@every_mask
@pytest.mark.parametrize("target", [0, 64, 200])
@pytest.mark.parametrize("multiple", [8, 16])
def test_the_part_has_the_models_size(nodes, mask, target, multiple):
    image = picture(96, 120)
    part, part_mask, info = nodes["Img2ImgCropForMask"].execute(image, mask, target, 0.5, multiple).args
    assert part.shape[1] % multiple == part.shape[2] % multiple == 0
    assert part_mask.shape == part.shape[:3]
    assert set(part_mask.unique().tolist()) <= {0.0, 1.0}
    assert float(part_mask.max()) == 1.0
    if target:
        assert target <= max(part.shape[1:3]) < target + multiple
    aspect = (part.shape[1] / part.shape[2]) / (info.box.height / info.box.width)
    assert 1 / aspect == pytest.approx(1, abs=1.5 * multiple / min(part.shape[1:3]))
    rows, columns = info.spans(0)
    assert float(mask[0, rows, columns].sum()) == float(mask.sum())


@every_mask
@pytest.mark.parametrize("blend", ["hard", "seamless"])
@pytest.mark.parametrize("channels", [3, 4])
def test_nothing_outside_changes(nodes, mask, blend, channels):
    image = picture(96, 120, channels=channels)
    part, _, info = nodes["Img2ImgCropForMask"].execute(image, mask, 64, 0.3).args
    whole, report = nodes["Img2ImgUncropForMask"].execute(part * 0.7 + 0.1, info, image, blend).args
    facts = json.loads(report)
    assert whole.shape == image.shape
    assert torch.equal(whole[mask == 0], image[mask == 0])
    assert facts["outside"]["changed"] == facts["outside"]["changed_8bit"] == 0
    assert facts["outside"]["pixels"] + facts["inside"]["pixels"] == 96 * 120
    assert facts["inside"]["changed"] > 0
    assert facts["painted_at"] == {"height": part.shape[1], "width": part.shape[2]}


def test_a_part_at_its_own_scale_comes_back_with_its_own_bits(nodes):
    image, mask = picture(96, 120), MASKS["in the middle"]
    part, _, info = nodes["Img2ImgCropForMask"].execute(image, mask, 0, 0.5).args
    for blend in ("hard", "feather", "seamless"):
        assert torch.equal(nodes["Img2ImgUncropForMask"].execute(part, info, image, blend).args[0], image)


def test_feather_fades_outside_the_mask(nodes):
    image, mask = picture(96, 120), MASKS["in the middle"]
    part, _, info = nodes["Img2ImgCropForMask"].execute(image, mask, 0, 0.5).args
    whole, report = nodes["Img2ImgUncropForMask"].execute(part * 0.5, info, image, "feather", 3).args
    reach = torch.nn.functional.max_pool2d(mask, 7, 1, 3)
    assert torch.equal(whole[reach == 0], image[reach == 0])
    assert bool((whole[reach > 0] != image[reach > 0]).any(-1).all())
    assert json.loads(report)["feather"] == 3


def test_several_masks_of_one_picture_are_parts_of_a_batch(nodes):
    image = picture(96, 120)
    masks = torch.cat([MASKS["in the middle"], MASKS["in a corner"]])
    part, part_masks, info = nodes["Img2ImgCropForMask"].execute(image, masks, 64, 0.5).args
    assert len(part) == len(part_masks) == 2
    whole, report = nodes["Img2ImgUncropForMask"].execute(part * 0.5, info, image).args
    both = masks.amax(0, keepdim=True)
    assert whole.shape == image.shape
    assert torch.equal(whole[both == 0], image[both == 0])
    assert bool((whole[both == 1] != image[both == 1]).any(-1).all())
    assert json.loads(report)["outside"]["changed"] == 0


def test_several_pictures_and_several_paintings(nodes):
    mask = MASKS["in the middle"]
    crop, uncrop = nodes["Img2ImgCropForMask"], nodes["Img2ImgUncropForMask"]
    images = picture(96, 120, batch=3)
    parts, _, info = crop.execute(images, mask, 64, 0.5).args
    whole = uncrop.execute(parts * 0.5, info, images).args[0]
    part, _, alone = crop.execute(images[1:2], mask, 64, 0.5).args
    assert torch.equal(whole[1:2], uncrop.execute(part * 0.5, alone, images[1:2]).args[0])
    paintings = torch.cat([part * 0.5, part * 0.2])
    two = uncrop.execute(paintings, alone, images[1:2]).args[0]
    assert torch.equal(two[:1], whole[1:2])
    assert not torch.equal(two[0], two[1])


def test_what_does_not_belong_together_is_refused(nodes):
    crop, uncrop = nodes["Img2ImgCropForMask"], nodes["Img2ImgUncropForMask"]
    image, mask = picture(96, 120), MASKS["in the middle"]
    with pytest.raises(ValueError, match=r"mask: number 1 is black everywhere; paint white"):
        crop.execute(image, mask * 0, 64, 0.5)
    with pytest.raises(ValueError, match=r"mask: there are 2 for 3 pictures; connect one for all"):
        crop.execute(picture(96, 120, 3), mask.expand(2, -1, -1), 64, 0.5)
    part, _, info = crop.execute(image, mask, 64, 0.5).args
    with pytest.raises(ValueError, match=r"image is 8 x 8 pixels, but the part was cut at"):
        uncrop.execute(part[:, :8, :8], info, image)
    with pytest.raises(ValueError, match=r"original is 119 x 96 pixels, but the part was cut from 120 x 96"):
        uncrop.execute(part, info, image[:, :, 1:])


def test_a_soft_mask_stays_soft(nodes):
    mask = MASKS["in the middle"] * 0.5
    part_mask = nodes["Img2ImgCropForMask"].execute(picture(96, 120), mask, 128, 0.5).args[1]
    assert float(part_mask.max()) == pytest.approx(0.5)


@pytest.mark.parametrize("target", [64, 256, 200])
def test_there_and_back_a_scene_is_itself(nodes, target):
    """Taken back untouched, the part of a scene is nearer to the scene than resizing there and back leaves it."""
    image = from_pillow(scene(random_attributes(HELD_OUT_SEEDS[0]), HELD_OUT_SEEDS[0]))
    mask = box(128, 128, 40, 40, 80, 90)
    part, _, info = nodes["Img2ImgCropForMask"].execute(image, mask, target, 0.5, multiple=4).args
    whole = nodes["Img2ImgUncropForMask"].execute(part, info, image, "hard").args[0]
    rows, columns = info.spans(0)
    resized = resize(part, info.box)
    inside = mask[:, rows, columns] > 0
    error, without = (
        float((one - image[:, rows, columns])[inside].square().mean()) for one in (whole[:, rows, columns], resized)
    )
    assert error < without * (0.5 if target > 128 else 0.95)


@pytest.fixture(scope="module")
def toy(nodes):
    model, clip, vae, _ = nodes["Img2ImgDemoCheckpoint"].execute("eps").args
    return model, vae, *(stock.CLIPTextEncode().encode(clip, text)[0] for text in ("a red house", ""))


@pytest.mark.parametrize("channels", [3, 4])
def test_a_region_of_all_in_one_is_crop_and_uncrop(nodes, toy, channels):
    """The same picture as Crop for Mask, All in One on the part, and Uncrop for Mask; the outside is proven."""
    model, vae, red, empty = toy
    image, mask = picture(96, 120, channels=channels), MASKS["in the middle"]

    def paint(image, mask, **options):
        settings = (0.8, 2, 3.0, "euler", "normal", 5)
        return nodes["Img2ImgAllInOne"].execute(image, model, vae, red, empty, *settings, mask=mask, **options).args

    whole, latent, report = paint(image, mask, mask_area="region", context=0.3, target=64)
    facts = json.loads(report)
    part, part_mask, info = nodes["Img2ImgCropForMask"].execute(image, mask, 64, 0.3).args
    painted, its_latent, _ = paint(part[..., :3], part_mask)
    expected, _ = nodes["Img2ImgUncropForMask"].execute(painted, info, image).args
    assert torch.equal(whole, expected)
    assert torch.equal(latent["samples"], its_latent["samples"])
    assert facts["outside"]["changed"] == facts["outside"]["changed_8bit"] == 0
    assert facts["painted_at"] == {"height": part.shape[1], "width": part.shape[2]}
    assert not torch.equal(paint(image, mask)[0], whole)


def test_a_region_needs_a_mask(nodes, toy):
    model, vae, red, empty = toy
    settings = (0.8, 2, 3.0, "euler", "normal", 5)
    with pytest.raises(ValueError, match="mask_area is region, but no mask is connected"):
        nodes["Img2ImgAllInOne"].execute(picture(64, 64), model, vae, red, empty, *settings, mask_area="region")
