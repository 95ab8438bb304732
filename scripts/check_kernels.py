"""Every kernel that runs on this machine against the reference: output, dq, dk and dv.

    python scripts/check_kernels.py                     # the CPU
    python scripts/check_kernels.py --device cuda       # and a GPU machine, which needs no pytest
    python scripts/check_kernels.py --quick --kernel blocked
    python scripts/check_kernels.py --device cuda --kernel flex --group blocks   # one of several processes

One line a kernel, dtype and group of cases; differences are relative to the law's largest value (of
the output, or of all three gradients). Exits with 1 when a kernel is wrong, fails, or was asked for
by name and can't run. Dropout isn't compared: every kernel draws masks of its own.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from longbio.attention import reference
from longbio.attention.blocks import block_sparse
from longbio.attention.kernels import KERNELS, Kernel
from longbio.attention.pattern import SparsePattern, sliding_window

HALF = (torch.bfloat16, torch.float16)
LENGTHS = (1, 63, 111, 513, 1037)
HEAD_SIZES = (16, 32, 64, 96, 128)


# -------------------------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Case:
    """A pattern on the CPU, and the size of the tensors that are attended with."""

    pattern: SparsePattern
    head_size: int = 32
    heads: int = 2

    def tensors(self, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
        """Query, key, value and the gradient of the output, the same on every device."""
        rows, length = self.pattern.document_BT.shape
        draw = torch.Generator().manual_seed(length * 1000 + self.head_size)
        shape = (rows, self.heads, length, self.head_size)
        return [torch.randn(shape, generator=draw).to(device, dtype) for _ in range(4)]


def masks(length: int, rows: int = 5) -> Tensor:
    """Rows padded nowhere, right, left, inside and everywhere."""
    position = torch.arange(length)
    third = max(1, length // 3)
    right, left = position < length - third, position >= third
    inside = (position < third) | (position >= 2 * third)
    return torch.stack([position >= 0, right, left, inside, position < 0])[:rows]


def tokens(length: int, share: float, rows: int) -> Tensor:
    """Some tokens, others in each row."""
    draw = torch.Generator().manual_seed(length)
    return torch.rand(rows, length, generator=draw) < share


def documents(lengths: Sequence[int], border: int = 1) -> Tensor:
    """(1, T): documents that start on multiples of `border`, and some padding behind them."""
    parts = []
    for number, length in enumerate(lengths):
        parts += [torch.full((length,), number), torch.full((-length % border,), -1)]
    return torch.cat([*parts, torch.full((7,), -1)])[None]


def windows(lengths: Sequence[int], share: Callable[[int], float], *, window: int = 37) -> Iterator[Case]:
    """Rows without padding: what every kernel can do."""
    for length in lengths:
        chosen = tokens(length, share(length), rows=2)
        yield Case(sliding_window(torch.ones_like(chosen), chosen, window_tokens=window))


def window_of(document: Tensor, window: int) -> SparsePattern:
    """Packed documents whose first token is global, and one more in the second."""
    chosen = document.diff(prepend=torch.tensor([[-1]])) != 0
    chosen |= (document == 1) & (torch.arange(document.shape[1]) % 50 == 0)
    return sliding_window(document >= 0, chosen, window_tokens=window, document_BT=document)


def blocks_of(valid: Tensor, block: int, number: int, document: Tensor | None = None) -> SparsePattern:
    return block_sparse(valid, block_tokens=block, random_blocks=number, seed=0, document_BT=document)


def padded(rows: Sequence[int]) -> Iterator[Case]:
    """Windows and blocks over rows that are padded in these ways."""
    for length in (111, 513):
        valid = masks(length)[list(rows)]
        chosen = tokens(length, 3 / length, len(valid))
        yield Case(sliding_window(valid, chosen, window_tokens=37))
        yield Case(blocks_of(valid, 8, 1))


def packed() -> Iterator[Case]:
    for lengths in ((1, 63, 111), (513, 300), (5,) * 60):
        yield Case(window_of(documents(lengths), 20))
        document = documents(lengths, border=16)
        yield Case(blocks_of(document >= 0, 16, 1, document))


def blocks(lengths: Sequence[int]) -> Iterator[Case]:
    for length, size in zip(lengths, (4, 2, 4, 16, 64), strict=False):
        for number in (0, 1, 3):
            yield Case(blocks_of(torch.ones(2, length, dtype=torch.bool), size, number))


def head_sizes(sizes: Sequence[int]) -> Iterator[Case]:
    valid = torch.ones(2, 300, dtype=torch.bool)
    for size in sizes:
        yield Case(sliding_window(valid, tokens(300, 0.01, 2), window_tokens=37), head_size=size)
        yield Case(blocks_of(valid, 16, 1), head_size=size)


def long() -> Iterator[Case]:
    valid = (torch.arange(4096) < 4001)[None]
    chosen = torch.arange(4096)[None] % 1500 == 0
    yield Case(sliding_window(valid, chosen, window_tokens=256), head_size=64, heads=1)
    yield Case(blocks_of(valid, 64, 3), head_size=64, heads=1)


def groups(quick: bool) -> dict[str, Callable[[], Iterator[Case]]]:
    lengths = (1, 111, 300) if quick else LENGTHS
    made: dict[str, Callable[[], Iterator[Case]]] = {
        "window, no global tokens": lambda: windows(lengths, lambda _: 0.0),
        "window, few global tokens": lambda: windows(lengths, lambda length: 3 / length),
        "window, many global tokens": lambda: windows((63, 300), lambda _: 0.3, window=8),
        "window, all tokens global": lambda: windows((63, 300), lambda _: 1.0, window=8),
        "blocks": lambda: blocks(lengths),
        "padding to the right": lambda: padded((0, 1)),
        "padding to the left": lambda: padded((0, 2)),
        "padding inside": lambda: padded((0, 3)),
        "rows of padding": lambda: padded((4, 0, 4)),
        "packed documents": packed,
        "head sizes": lambda: head_sizes((64,) if quick else HEAD_SIZES),
    }
    return made if quick else made | {"4,096 tokens": long}


# ---------------------------------------------------------------------------------- comparison


@dataclass
class Found:
    """What came of a kernel's cases of one group in one dtype."""

    output: float = 0.0
    gradients: float | None = None
    cases: int = 0
    refused: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def fits(self, limits: tuple[float, float]) -> bool:
        """Nothing raised, and no difference is above its limit; a NaN is."""
        return not self.errors and self.output <= limits[0] and (self.gradients or 0.0) <= limits[1]


def limits_of(dtype: torch.dtype, device: torch.device) -> tuple[float, float]:
    """Of the output and of the gradients."""
    if dtype in HALF:
        return 2e-2, 2e-2
    return (1e-5, 1e-4) if device.type == "cpu" else (1e-4, 1e-3)


def attended(
    attend: Callable[..., Tensor], made: Sequence[Tensor], pattern: SparsePattern, *, gradients: bool
) -> list[Tensor]:
    """The output, then dq, dk and dv where they are wanted."""
    query, key, value = (tensor.detach().requires_grad_(gradients) for tensor in made[:3])
    with torch.set_grad_enabled(gradients):
        output = attend(query, key, value, pattern)
    if not gradients:
        return [output]
    return [output.detach(), *torch.autograd.grad(output, (query, key, value), made[3])]


def difference(ours: Sequence[Tensor], law: Sequence[Tensor]) -> float:
    """The largest one, relative to the largest value of the law; infinite where that isn't a number."""
    scale = max(tensor.abs().max().item() for tensor in law) or 1.0
    apart = [(mine.float() - wanted).abs().max().item() for mine, wanted in zip(ours, law, strict=True)]
    return max(apart) / scale if all(map(math.isfinite, apart)) else math.inf


def compare(
    kernel: Kernel, made: Sequence[Tensor], law: Sequence[Tensor], pattern: SparsePattern, found: Found
) -> None:
    """Run one case and add what comes of it to `found`."""
    where = {"device": pattern.device, "dtype": made[0].dtype, "dropout": 0.0}
    gradients = kernel.supports(pattern, **where) is None
    with torch.set_grad_enabled(gradients):
        reason = kernel.supports(pattern, **where)
    if reason is not None:
        found.refused.add(reason)
        return
    found.cases += 1
    size = tuple(made[0].shape)
    try:
        ours = attended(kernel.attend, made, pattern, gradients=gradients)
    # What torch, Triton and our own checks raise. A broken kernel doesn't keep the others from being run.
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        found.errors.append(f"{size}: {type(error).__name__}: {str(error).strip().splitlines()[0]}")
        return

    for mine, wanted in zip(ours, law, strict=False):
        if mine.shape != wanted.shape or mine.dtype != made[0].dtype:
            found.errors.append(f"{size}: a result is {mine.dtype} of shape {tuple(mine.shape)}")
            return
    if ours[0].masked_select(~pattern.valid_BT[:, None, :, None]).count_nonzero():
        found.errors.append(f"{size}: the output of padding isn't zero")
    found.output = max(found.output, difference(ours[:1], law[:1]))
    if gradients:
        found.gradients = max(found.gradients or 0.0, difference(ours[1:], law[1:]))


def runnable(kernel: Kernel, device: torch.device) -> tuple[list[torch.dtype], str | None]:
    """The dtypes to run a kernel in, and why there is none."""
    reasons: dict[torch.dtype, str | None] = {}
    for dtype in (torch.float32, *HALF):
        # Without gradients, a kernel may do more.
        with torch.no_grad():
            reasons[dtype] = kernel.supports(None, device=device, dtype=dtype, dropout=0.0)
    able = [dtype for dtype, reason in reasons.items() if reason is None]
    if torch.float32 in able:
        able = [dtype for dtype in able if dtype != torch.float16]
    return able, None if able else reasons[torch.bfloat16]


# --------------------------------------------------------------------------------------- report


def report(name: str, dtype: torch.dtype, group: str, found: Found, limits: tuple[float, float]) -> bool:
    """Print a line, and what went wrong below it; whether all was well."""
    start = f"{name:<10} {str(dtype).removeprefix('torch.'):<9} {group:<27}"
    if not found.cases:
        print(f"{start} not run: {'; '.join(sorted(found.refused))}")
        return True
    fits = found.fits(limits)
    output = f"output {found.output:7.1e} of {limits[0]:.0e}"
    gradients = "no gradients here"
    if found.gradients is not None:
        gradients = f"gradients {found.gradients:7.1e} of {limits[1]:.0e}"
    print(
        f"{start} {found.cases:>2} cases  {output}  {gradients:<27}  {'ok' if fits else 'FAILED'}", flush=True
    )
    for error in found.errors:
        print(f"    {error}")
    for reason in sorted(found.refused):
        print(f"    some cases not run: {reason}")
    return fits


def check(
    kernels: Sequence[Kernel], device: torch.device, *, quick: bool, only: Sequence[str] | None = None
) -> bool:
    """Compare all that can run; whether all was well."""
    able: dict[str, list[torch.dtype]] = {}
    for kernel in kernels:
        able[kernel.name], reason = runnable(kernel, device)
        if reason is not None:
            print(f"{kernel.name:<10} can't run on {device.type}: {reason}")
            continue
        dropout = kernel.supports(None, device=device, dtype=able[kernel.name][0], dropout=0.1)
        print(f"{kernel.name:<10} dropout: {'yes' if dropout is None else f'no, {dropout}'}")

    dtypes = [dtype for dtype in (torch.float32, *HALF) if any(dtype in each for each in able.values())]
    fits, compared = True, dict.fromkeys(able, 0)
    for group, cases in groups(quick).items():
        if only is not None and group not in only:
            continue
        found = {(name, dtype): Found() for dtype in dtypes for name in able if dtype in able[name]}
        for case in cases():
            pattern = case.pattern.to(device)
            for dtype in dtypes:
                made = case.tensors(dtype, device)
                # The law is computed in float32 from what the kernel is given.
                exact = [tensor.float() for tensor in made]
                law = attended(reference.attend, exact, pattern, gradients=True)
                for kernel in kernels:
                    if dtype in able[kernel.name]:
                        compare(kernel, made, law, pattern, found[kernel.name, dtype])
        for (name, dtype), one in found.items():
            fits &= report(name, dtype, group, one, limits_of(dtype, device))
            compared[name] += one.cases
    # A kernel that says it can run and then runs nothing isn't right.
    ran = [compared[name] for name in able if able[name]]
    return fits and (any(ran) if only is not None else all(ran))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="about 20 s, but for what flex compiles")
    parser.add_argument("--kernel", action="append", choices=list(KERNELS), help="only this one; repeatable")
    parser.add_argument("--group", action="append", choices=list(groups(quick=False)), help="likewise")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("this torch has no CUDA device")
    torch.set_float32_matmul_precision("highest")

    names = options.kernel or [name for name in KERNELS if name != "reference"]
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"torch {torch.__version__} on {machine}; the law is `reference` in float32")
    fits = check([KERNELS[name] for name in names], device, quick=options.quick, only=options.group)

    refused = [name for name in options.kernel or [] if not runnable(KERNELS[name], device)[0]]
    for name in refused:
        print(f"{name} was asked for and can't run here")
    print("all ok" if fits and not refused else "FAILED")
    return 0 if fits and not refused else 1


if __name__ == "__main__":
    sys.exit(main())
