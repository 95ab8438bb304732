"""What a conversion is verified on: random ids, clinical strings, masked text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from longbio.corpus.synthetic import synthesize

CLINICAL_STRINGS = (
    "Metoprolol 12.5 mg p.o. b.i.d., digoxin 125 µg daily; K+ 3.4 mmol/L, T 38.5°C, SpO2 88–92%",
    "Seen by Dr. [** Last Name **] on [** 2101-03-04 **] at [**Hospital1 18**].",
    "Sjögren’s syndrome, Ménière’s disease, café-au-lait spots, façade of naïveté",
    "Na\t138\tmmol/L\r\nHb\t9.1\tg/dL\r\n\r\nImpression:\r\n  anaemia",
    "β-blocker ≥ 2 weeks; Δ weight −3 kg; ½ tablet; ± oedema; x 10⁹/L",
    "",
    "    \n\n\t  ",
    "BNP 1,234 pg/mL -> 456 pg/mL (ref <100); INR 2.0-3.0; pO2/FiO2 = 180",
    "supercalifragilistic-immunoglobulinopathy/hyperbilirubinaemia",
)
LONG_NOTE_WORDS = 10_000


@dataclass(frozen=True)
class Case:
    """One batch for source and target.

    Args:
        name: for messages.
        input_ids: (B, T), and so are the masks and types.
        explicit_positions: number the positions from the mask. Families differ in how they count
            behind left padding, and that isn't what is compared.
        judged: False for a case whose difference is reported only.
        global_attention_mask: tokens that are global in the target.
    """

    name: str
    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None = None
    explicit_positions: bool = False
    judged: bool = True
    global_attention_mask: Tensor | None = None

    def arguments(self, first_row: int, *, takes_global: bool = False) -> dict[str, Tensor]:
        """The batch for a model whose first token has position row `first_row`."""
        batch = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        if self.token_type_ids is not None:
            batch["token_type_ids"] = self.token_type_ids
        if takes_global and self.global_attention_mask is not None:
            batch["global_attention_mask"] = self.global_attention_mask
        if self.explicit_positions:
            counted = self.attention_mask.cumsum(dim=1) - 1
            batch["position_ids"] = counted.clamp(min=0) + first_row
        return batch


def random_ids(tokenizer: Any, num_tokens: int, seed: int) -> Tensor:
    """(num_tokens,) ids of ordinary tokens between [CLS] and [SEP]."""
    draw = torch.Generator().manual_seed(seed)
    ordinary = torch.tensor(sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids)))
    ids = ordinary[torch.randint(len(ordinary), (num_tokens,), generator=draw)]
    ids[0] = tokenizer.cls_token_id
    ids[-1] = tokenizer.sep_token_id
    return ids


def padded_case(
    name: str,
    tokenizer: Any,
    lengths: tuple[int, ...],
    *,
    side: str = "right",
    num_types: int = 1,
    global_every: int | None = None,
) -> Case:
    """A batch of unequal lengths, padded on one side, with random token types if there are any; every
    `global_every`-th token is global, the first among them."""
    longest = max(lengths)
    ids = torch.full((len(lengths), longest), tokenizer.pad_token_id)
    mask = torch.zeros(len(lengths), longest, dtype=torch.long)
    for row, length in enumerate(lengths):
        place = slice(0, length) if side == "right" else slice(longest - length, longest)
        ids[row, place] = random_ids(tokenizer, length, seed=row)
        mask[row, place] = 1
    draw = torch.Generator().manual_seed(len(lengths))
    types = torch.randint(num_types, ids.shape, generator=draw) if num_types > 1 else None
    chosen = None
    if global_every is not None:
        chosen = torch.zeros_like(mask)
        chosen[:, ::global_every] = 1
    return Case(name, ids, mask, types, explicit_positions=side == "left", global_attention_mask=chosen)


def embedded_text(num_words: int = LONG_NOTE_WORDS) -> str:
    """Synthetic notes, one after another, of at least this many words."""
    texts: list[str] = []
    words, number = 0, 0
    while words < num_words:
        number += 1
        texts.append(synthesize(number, split="dev")[-1].text)
        words += len(texts[-1].split())
    return "\n\n".join(texts)
