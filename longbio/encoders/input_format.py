"""Rows: what a model reads at once, a text alone or a query and a text, framed by special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from longbio.corpus.words import Int
from longbio.encoders.batches import mask_of, pad
from longbio.encoders.families import max_positions, takes_global
from longbio.encoders.roles import Role, section_headings
from longbio.encoders.token_windows import Tokens, tokenize
from longbio.errors import LongbioError


@dataclass(frozen=True, eq=False)
class Row:
    """One input of a model.

    Args:
        ids: (T,) vocabulary ids, special tokens included.
        types: (T,) 0 for a text alone and for a query, 1 for the text behind a query.
        is_global: (T,) bool, tokens with global attention.
        text: where in the row the text's own tokens stand.
    """

    ids: Int
    types: Int
    is_global: NDArray[np.bool_]
    text: slice


@dataclass(frozen=True)
class InputFormat:
    """How a model and its tokenizer want their inputs.

    Args:
        max_tokens: what the model reads at most, special tokens included.
        takes_global: whether it takes a `global_attention_mask`.
        takes_types: whether it tells a query from its text by `token_type_ids`.
        separators: special tokens between a query and its text.
    """

    tokenizer: Any
    max_tokens: int
    takes_global: bool
    takes_types: bool
    separators: int

    @classmethod
    def of(cls, config: Any, tokenizer: Any, max_tokens: int | None = None) -> InputFormat:
        """Of a model's config and its tokenizer.

        `max_tokens` is what a row holds at most, None for all that the model reads, and never more.
        """
        # RoBERTa and the like put two between a query and its text, and have no other mark for them.
        separators = 2 if tokenizer.num_special_tokens_to_add(pair=True) == 4 else 1
        reach = max_positions(config)
        if max_tokens is not None and max_tokens > reach:
            what = f"rows of {max_tokens:,} tokens, and the model reads {reach:,}"
            remedy = "lower it, or leave it out for all that the model reads"
            raise LongbioError(what, where="recipe.max_tokens", remedy=remedy)
        return cls(
            tokenizer,
            max_tokens=reach if max_tokens is None else max_tokens,
            takes_global=takes_global(config.model_type),
            takes_types=getattr(config, "type_vocab_size", 0) > 1 and separators == 1,
            separators=separators,
        )

    def tokens(self, text: str, roles: Sequence[Role] = ()) -> Tokens:
        """A whole text, however long; its section headings are global when `roles` names them."""
        wanted = self.takes_global and "headings" in roles
        return tokenize(text, self.tokenizer, section_headings(text) if wanted else ())

    def room(self, query: Tokens | None = None) -> int:
        """Tokens of a text that fit into one row, behind a query if there is one."""
        frame = 2 if query is None else 2 + self.separators + len(query.ids)
        return self.max_tokens - frame

    def refuse_long_query(self, query: Tokens, where: str) -> None:
        """Raise LongbioError where a query, which is never cut, leaves its text less than half of a row."""
        if self.room(query) < self.max_tokens // 2:
            raise LongbioError(
                f"the question or first text has {len(query.ids):,} tokens, and the model reads"
                f" {self.max_tokens:,} with its text",
                where=where,
                remedy="put the longer of two texts second, shorten it, or take a longer model",
            )

    def row(
        self,
        text: Tokens,
        part: slice | Int,
        query: Tokens | None = None,
        roles: Sequence[Role] = ("cls",),
    ) -> Row:
        """Some of a text's tokens in their frame.

        Args:
            text: those of its tokens that are global are so in the row.
            part: which of them.
            query: what stands before them, whole.
            roles: what is global besides: the first token (`cls`), the query.
        """
        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        before = [first]
        if query is not None:
            before += [*query.ids.tolist(), *[last] * self.separators]
        inside = text.ids[part]
        ids = np.concatenate([np.array(before, dtype=np.int64), inside, np.array([last], dtype=np.int64)])
        begin = len(before)
        types, is_global = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=bool)
        types[begin:] = query is not None
        is_global[begin:-1] = text.is_global[part]
        is_global[0] = "cls" in roles
        if query is not None and "query" in roles:
            is_global[1 : 1 + len(query.ids)] = True
        return Row(ids, types, is_global, slice(begin, begin + len(inside)))

    def batch(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Rows padded on the right to the longest.

        Returns:
            `input_ids`, `attention_mask` and, where the model takes them, `token_type_ids` and
            `global_attention_mask`, each (B, T) int64.
        """
        ids = [row.ids for row in rows]
        batch = {"input_ids": pad(ids, self.tokenizer.pad_token_id), "attention_mask": mask_of(ids)}
        if self.takes_types:
            batch["token_type_ids"] = pad([row.types for row in rows], 0)
        if self.takes_global:
            batch["global_attention_mask"] = pad([row.is_global for row in rows], 0)
        return batch


def default_overlap(room: int) -> int:
    """Tokens that neighbouring windows share: 128, or a quarter of what a short row holds."""
    return min(128, room // 4)
