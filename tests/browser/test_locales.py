"""ComfyUI's frontend shows the pack's translations, each word as it was written."""

import json

import pytest
from img2img_studio.dev.comfyui import ROOT
from img2img_studio.dev.frontend import Frontend

# Where it can be, the language is changed in vue-i18n alone. The setting loads the frontend's own words of that
# language too, and frontend 1.32 forgets the words of packs when it does so; newer ones load those of packs with it.
SPEAK = """async language => {
    const { $i18n, $te } = document.querySelector('#vue-app').__vue_app__.config.globalProperties;
    $i18n.locale = language;
    if (!$te('nodeDefs.StrengthScheduler.display_name', language))
        await app.extensionManager.setting.set('Comfy.Locale', language);
}"""
SPOKEN = """language => {
    const { $i18n, $te } = document.querySelector('#vue-app').__vue_app__.config.globalProperties;
    return $i18n.locale === language && $te('nodeDefs.StrengthScheduler.display_name', language);
}"""
SAY = """keys => {
    const { $t } = document.querySelector('#vue-app').__vue_app__.config.globalProperties;
    return Object.fromEntries(keys.map(key => [key, $t(key)]));
}"""
SHOW = """kind => {
    const node = window.LiteGraph.createNode(kind);
    return {
        inputs: Object.fromEntries(node.inputs.map(slot => [slot.name, slot.localized_name])),
        widgets: Object.fromEntries(node.widgets.map(widget => [widget.name, widget.label])),
        outputs: node.outputs.map(slot => slot.localized_name),
    };
}"""


def messages(tree, key):
    """Every string of a translation by its dotted key, as a reader sees it: {'{'} is how vue-i18n writes a brace."""
    if isinstance(tree, str):
        return {key: tree.replace("{'{'}", "{").replace("{'}'}", "}")}
    return {name: text for part, branch in tree.items() for name, text in messages(branch, f"{key}.{part}").items()}


@pytest.fixture(scope="module")
def open_frontend(browser, server):
    tab = Frontend(browser, server.url)
    tab.open()
    yield tab
    tab.page.evaluate("() => app.extensionManager.setting.set('Comfy.Locale', 'en')")  # other tests use the server, too
    tab.page.close()


@pytest.mark.parametrize("language", ["ar", "es", "fr", "ja", "ko", "ru", "zh", "zh-TW"])
def test_the_frontend_says_what_the_translation_says(open_frontend, language):
    page = open_frontend.page
    translation = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    page.evaluate(SPEAK, language)
    page.wait_for_function(SPOKEN, arg=language)

    wanted = messages(translation, "nodeDefs")
    assert page.evaluate(SAY, list(wanted)) == wanted

    node = translation["Img2ImgFitImage"]
    names = {name: entry["name"] for name, entry in node["inputs"].items()}
    shown = page.evaluate(SHOW, "Img2ImgFitImage")
    assert shown["inputs"] == names
    assert shown["widgets"].items() <= names.items()
    assert shown["outputs"] == [entry["name"] for entry in node["outputs"].values()]
    assert open_frontend.problems == []
