"""What every model card has in common; the calls on them are run by the tests of those who write cards."""

from __future__ import annotations

import yaml

from longbio.encoders.card_calls import card


def test_card_has_front_matter_and_sections() -> None:
    text = card("A long model", "ner", "µ", [("Source", "It came from `a/b: c`.\n")], "Load it.")

    start, front_matter, body = text.split("---\n", maxsplit=2)
    assert start == ""
    assert yaml.safe_load(front_matter) == {
        "library_name": "transformers",
        "pipeline_tag": "token-classification",
        "tags": ["longbio", "µ"],
    }
    assert list(yaml.safe_load(front_matter)) == ["library_name", "pipeline_tag", "tags"]
    assert body == (
        "\n# A long model\n\n## Source\n\nIt came from `a/b: c`.\n\n## A call to copy\n\nLoad it.\n"
    )
