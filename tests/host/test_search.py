"""What newer ComfyUIs look for in a schema: the words of the search, and the inputs to be folded away."""


def test_every_schema_carries_its_words(nodes):
    for name, node in nodes.items():
        aliases = node.GET_SCHEMA().search_aliases
        assert len(aliases) >= 3, name
        assert len(set(aliases)) == len(aliases), name


def test_what_is_folded_away_can_be_left_alone(nodes):
    folded = 0
    for name, node in nodes.items():
        for entry in node.GET_SCHEMA().inputs:
            options = entry.as_dict()
            if entry.id in ("measure", "step_count"):
                assert options["advanced"], name
            if options.get("advanced"):
                folded += 1
                assert "default" in options or "options" in options, f"{name}: {entry.id}"
    assert folded > 20


def test_what_is_folded_away_stands_last(nodes):
    for name, node in nodes.items():
        folded = [bool(entry.as_dict().get("advanced")) for entry in node.GET_SCHEMA().inputs]
        assert folded == sorted(folded), name


def test_every_folded_input_exists(nodes):
    for name, node in nodes.items():
        schema = node.GET_SCHEMA()
        assert {*schema.folded} <= {entry.id for entry in schema.inputs}, name
