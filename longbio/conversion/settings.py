"""What a conversion is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from longbio.encoders.families import TARGETS
from longbio.errors import LongbioError

How = Literal["tile", "interpolate"]
"""What becomes of position rows: see `build.stretch_positions`."""


@dataclass(frozen=True)
class ConversionSettings:
    """What a conversion is asked for.

    Args:
        max_tokens: positions of the long model.
        window: Longformer, tokens of the whole attention window as Hugging Face counts it:
            half of it to each side.
        block: BigBird, tokens in a block.
        random_blocks: BigBird, random blocks seen by each block.
        lowercase: whether a WordPiece tokenizer lower-cases; None for what the source's files say, or
            its vocabulary where they say nothing.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    to: Literal["longformer", "bigbird"] = "longformer"
    max_tokens: int = 4096
    window: int = 512
    block: int = 64
    random_blocks: int = 3
    positions: How = "tile"
    lowercase: bool | None = None

    @property
    def full_tokens(self) -> int:
        """BigBird: up to here a row is read with full attention."""
        return (5 + 2 * self.random_blocks) * self.block

    @property
    def exact_tokens(self) -> int:
        """Up to here every token sees every other, so that the model must equal its source."""
        return self.window // 2 + 1 if self.to == "longformer" else self.full_tokens

    @property
    def native_tokens(self) -> int:
        """The length of the comparison with plain transformers: no multiple of its padding."""
        wanted = self.window + 77 if self.to == "longformer" else self.full_tokens
        return min(wanted, self.max_tokens)

    def check(self) -> None:
        """Raise `LongbioError` when no model can have these settings."""
        if self.to not in TARGETS:
            raise _wrong("--to", self.to, f"choose {' or '.join(TARGETS)}")
        if self.positions not in ("tile", "interpolate"):
            raise _wrong("--positions", self.positions, "choose tile or interpolate")
        if self.to == "longformer":
            if self.window < 2 or self.window % 2:
                raise _wrong("--window", self.window, "give an even number: half goes to each side")
            if self.window > self.max_tokens:
                raise _wrong("--window", self.window, f"give at most --max-tokens, {self.max_tokens}")
        elif self.block < 1 or self.random_blocks < 0:
            remedy = "give a positive block and no negative number of random blocks"
            raise _wrong("--block", self.block, remedy)
        elif self.full_tokens > self.max_tokens:
            range_text = f"{self.full_tokens}, exceeds --max-tokens, {self.max_tokens}"
            raise _wrong("--block", self.block, f"its range of full attention, {range_text}")


def _wrong(option: str, value: object, remedy: str) -> LongbioError:
    return LongbioError(f"{value!r} can't be used", where=option, remedy=remedy)
