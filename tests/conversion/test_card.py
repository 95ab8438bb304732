"""The card of a converted model ends with a call that runs where there is no longbio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from longbio.conversion.convert import Conversion


def test_the_calls_run_without_longbio(
    converted: Callable[..., Conversion], run_calls: Callable[..., list[str]]
) -> None:
    made = [
        converted(family, head, to)
        for family in ("bert", "roberta")
        for head in ("mlm", "encoder")
        for to in ("longformer", "bigbird")
    ]
    printed = run_calls(*(each.folder for each in made))
    for each, said in zip(made, printed, strict=True):
        if any(line.startswith("masked-LM head") for line in each.report["made_up"]):
            assert said.startswith("torch.Size([1, ")
            assert said.rstrip().endswith(", 32])")
        else:
            assert said.strip()


def test_a_longformers_card_says_that_no_token_is_global_yet(
    converted: Callable[..., Conversion],
) -> None:
    card = (converted("bert", "mlm", "longformer").folder / "README.md").read_text("utf-8")
    assert "No token has been taught to be global yet" in card
    assert "three separators" in card
    card = (converted("bert", "mlm", "bigbird").folder / "README.md").read_text("utf-8")
    assert "global_attention_mask" not in card


def test_a_roberta_has_no_section_on_capitals(converted: Callable[..., Conversion]) -> None:
    """Bytes keep everything; a WordPiece tokenizer need not."""
    for family, said in (("bert", True), ("roberta", False)):
        folder: Path = converted(family, "mlm", "longformer").folder
        assert ("## Capitals and accents" in (folder / "README.md").read_text("utf-8")) == said
