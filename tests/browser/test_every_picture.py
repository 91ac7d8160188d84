"""Every template as shipped, on pictures of every shape: `nox -s look`; too long for the other tiers.

The toy takes the checkpoint's place, with few steps at a small size; nothing else is changed. What must come out: a
result of the picture's own size, with source and result in view and no message.
"""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("models")]

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
# name: (size, whether a part of it is transparent)
PICTURES = {
    "photo": ((1600, 1067), False),
    "upright": ((900, 1600), False),
    "stamp": ((133, 101), False),
    "transparent": ((640, 400), True),
}
SMALL = {"steps": 2, "target": 64, "inner_steps": 1, "corrector_steps": 1, "row_values": None, "column_values": None}
BRINGS_ITS_OWN = {"Try it without a model", "What strength means on this model", "Change the color of one thing"}
NEEDS_A_MASK = {"Inpaint", "Inpaint a small part", "Remove an object"}
SHEETS = {"Strength against guidance", "Compare samplers"}
PREPARE = """([picture, folder, small, enlarge]) => {
    const old = app.graph.nodes.find(node => node.comfyClass === 'CheckpointLoaderSimple');
    if (old) {
        const toy = LiteGraph.createNode('Img2ImgDemoCheckpoint');
        toy.pos = [...old.pos];
        app.graph.add(toy);
        for (const [slot, output] of old.outputs.entries())
            for (const id of [...(output.links ?? [])]) {
                const link = app.graph.getLink(id);
                toy.connect(slot, app.graph.getNodeById(link.target_id), link.target_slot);
            }
        app.graph.remove(old);
    }
    for (const node of app.graph.nodes) for (const widget of node.widgets ?? []) {
        if (typeof small[widget.name] === 'number') widget.value = small[widget.name];
        if (node.comfyClass === 'LoadImage' && widget.name === 'image') widget.value = picture;
        if (node.comfyClass === 'Img2ImgFolderImage' && widget.name === 'folder') widget.value = folder;
        if (node.comfyClass === 'Img2ImgTiledRefine' && widget.name === 'scale') widget.value = enlarge;
    }
    const control = app.graph.nodes.find(node => node.comfyClass === 'ControlNetApplyAdvanced');
    if (control) { // there is none for the toy: its prompts go round it
        for (const slot of [0, 1]) {
            const source = app.graph.getLink(control.inputs[slot].link);
            for (const id of [...(control.outputs[slot].links ?? [])]) {
                const link = app.graph.getLink(id);
                app.graph.getNodeById(source.origin_id)
                    .connect(source.origin_slot, app.graph.getNodeById(link.target_id), link.target_slot);
            }
        }
        app.graph.remove(control);
        app.graph.remove(app.graph.nodes.find(node => node.comfyClass === 'ControlNetLoader'));
    }
}"""
# Left, top, right, bottom on the screen of what shows the source and the result.
SEEN = """() => app.graph.nodes.filter(node => ['LoadImage', 'SaveImage'].includes(node.comfyClass)).map(node => {
    const { ds } = app.canvas;
    const [x, y, width, height] = node.boundingRect;
    return [x, y, x + width, y + height].map((place, axis) => (place + ds.offset[axis % 2]) * ds.scale);
})"""


@pytest.fixture(scope="module")
def pictures(server):
    """The pictures in the server's input folder, each also in a folder of its own, and with a mask painted on it."""
    inputs = server.folder / "input"
    for name, (size, transparent) in PICTURES.items():
        picture = Image.effect_mandelbrot(size, (-2, -1.2, 0.6, 1.2), 40).convert("RGBA")
        masked = picture.copy()
        box = [size[0] // 4, size[1] // 3, size[0] // 2, size[1] * 2 // 3]
        ImageDraw.Draw(masked).rectangle(box, fill=(0, 0, 0, 0))
        (inputs / name).mkdir(exist_ok=True)
        for path in (inputs / f"{name}.png", inputs / name / "1.png"):
            (masked if transparent else picture.convert("RGB")).save(path)
        masked.save(inputs / f"{name}_masked.png")
    return PICTURES


NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
CASES = [(name, picture) for name in NAMES for picture in PICTURES if name not in BRINGS_ITS_OWN or picture == "photo"]


@pytest.mark.parametrize(("name", "picture"), CASES)
def test_it_gives_the_picture_back_at_its_size(server, frontend, pictures, name, picture):
    size, _ = pictures[picture]
    enlarge = 4.0 if max(size) < 500 else 1.0
    frontend.page.set_viewport_size({"width": 1600, "height": 900})
    frontend.open(name)
    file = f"{picture}_masked.png" if name in NEEDS_A_MASK else f"{picture}.png"
    frontend.page.evaluate(PREPARE, [file, picture, SMALL, enlarge])
    for left, top, right, bottom in frontend.page.evaluate(SEEN):
        assert left >= 0
        assert top >= 0
        assert right <= 1600
        assert bottom <= 900
    outputs = frontend.run()
    assert frontend.messages() == []
    assert frontend.problems == []
    saved = [image for output in outputs.values() for image in output.get("images", []) if image["type"] == "output"]
    sizes = {Image.open(server.folder / "output" / image["subfolder"] / image["filename"]).size for image in saved}
    assert sizes == expected(name, size, enlarge) or (name in SHEETS and size in sizes)


def expected(name, size, enlarge):
    """The sizes of what is saved."""
    width, height = size
    if name in BRINGS_ITS_OWN:
        return {"Try it without a model": {(128, 128)}, "Change the color of one thing": {(512, 512)}}.get(name, set())
    if name == "Outpaint":
        return {(width + 256, height)}
    if name == "Upscale four times":
        return {(round(width * enlarge), round(height * enlarge))}
    return {size}
