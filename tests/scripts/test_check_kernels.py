"""The check of all kernels, which a GPU machine runs without pytest: it runs, and it can fail."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from longbio.attention import blocked

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_kernels.py"


def test_a_good_kernel_passes() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--kernel", "blocked"],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "all ok"
    compared = [line for line in lines if line.startswith("blocked") and line.endswith("ok")]
    assert len(compared) == 22  # groups, in float32 and in bfloat16
    assert len({line.rfind(" of ") for line in compared}) == 1  # aligned
    assert any("packed documents" in line for line in compared)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on tensors this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with one small group of cases."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("check_kernels", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "check_kernels", module)
    spec.loader.exec_module(module)

    def few(quick: bool) -> dict[str, Callable[[], Any]]:
        return {"few": lambda: list(module.padded((0, 1)))[:2]}

    monkeypatch.setattr(module, "groups", few)
    return module


class Wrong(torch.autograd.Function):
    """The identity, with a wrong gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * 1.03


def slightly_off(query: Tensor, key: Tensor, value: Tensor, pattern: Any, **options: Any) -> Tensor:
    return blocked.attend(query, key, value, pattern, **options) + 0.05 * pattern.valid_BT[:, None, :, None]


def wrong_gradient(query: Tensor, key: Tensor, value: Tensor, pattern: Any, **options: Any) -> Tensor:
    return blocked.attend(query, key, Wrong.apply(value), pattern, **options)


def not_a_number(query: Tensor, key: Tensor, value: Tensor, pattern: Any, **options: Any) -> Tensor:
    output = blocked.attend(query, key, value, pattern, **options)
    return output.index_fill(2, torch.tensor([3]), float("nan"))


def padding_left_over(query: Tensor, key: Tensor, value: Tensor, pattern: Any, **options: Any) -> Tensor:
    output = blocked.attend(query, key, value, pattern, **options)
    return output + 1e-6 * ~pattern.valid_BT[:, None, :, None]


def other_dtype(query: Tensor, key: Tensor, value: Tensor, pattern: Any, **options: Any) -> Tensor:
    return blocked.attend(query, key, value, pattern, **options).double()


def raising(query: Tensor, key: Tensor, value: Tensor, pattern: Any, **options: Any) -> Tensor:
    raise RuntimeError("no kernel image is available")


@pytest.mark.parametrize(
    ("attend", "said"),
    [
        (slightly_off, ""),
        (wrong_gradient, ""),
        (not_a_number, "output     inf"),
        (padding_left_over, "the output of padding isn't zero"),
        (other_dtype, "a result is torch.float64"),
        (raising, "RuntimeError: no kernel image is available"),
    ],
)
def test_a_broken_kernel_fails(
    attend: Any,
    said: str,
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert script.main(["--kernel", "blocked"]) == 0
    assert "FAILED" not in capsys.readouterr().out
    monkeypatch.setitem(script.KERNELS, "blocked", replace(script.KERNELS["blocked"], attend=attend))
    assert script.main(["--kernel", "blocked"]) == 1
    printed = capsys.readouterr().out
    assert said in printed
    assert printed.splitlines()[-1] == "FAILED"
    assert sum(line.startswith("blocked") and line.endswith("FAILED") for line in printed.splitlines()) == 2


def test_a_kernel_that_cannot_run_says_why(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(pattern: Any, **_: Any) -> str:
        return "it needs another machine"

    kernels = {name: script.KERNELS[name] for name in ("reference", "blocked")}
    kernels["odd"] = replace(kernels["blocked"], name="odd", supports=never)
    monkeypatch.setattr(script, "KERNELS", kernels)
    assert script.main([]) == 0
    assert "odd        can't run on cpu: it needs another machine" in capsys.readouterr().out
    # Who asks for it by name is not told that all is well.
    assert script.main(["--kernel", "odd"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "FAILED"


def test_a_kernel_that_only_runs_forward_is_compared_forward(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forward_only(pattern: Any, **_: Any) -> str | None:
        return "no backward pass" if torch.is_grad_enabled() else None

    kernel = replace(script.KERNELS["blocked"], supports=forward_only, attend=wrong_gradient)
    monkeypatch.setitem(script.KERNELS, "blocked", kernel)
    assert script.main(["--kernel", "blocked"]) == 0
    assert "no gradients here" in capsys.readouterr().out
    monkeypatch.setitem(script.KERNELS, "blocked", replace(kernel, attend=slightly_off))
    assert script.main(["--kernel", "blocked"]) == 1


def test_a_group_that_compares_nothing_is_no_success(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "groups", lambda quick: {} if quick else {"long": script.long})
    assert script.main(["--quick", "--kernel", "blocked", "--group", "long"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "FAILED"


def test_a_kernel_that_runs_nothing_fails(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_pattern(pattern: Any, **_: Any) -> str | None:
        return None if pattern is None else "not this one"

    kernel = replace(script.KERNELS["blocked"], supports=no_pattern)
    monkeypatch.setitem(script.KERNELS, "blocked", kernel)
    assert script.main(["--kernel", "blocked"]) == 1
    assert "not run: not this one" in capsys.readouterr().out


def test_kernels_of_half_precision_alone_run_in_both(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def half(pattern: Any, *, dtype: torch.dtype, **_: Any) -> str | None:
        return None if dtype in (torch.bfloat16, torch.float16) else "half precision only"

    monkeypatch.setitem(script.KERNELS, "blocked", replace(script.KERNELS["blocked"], supports=half))
    assert script.main(["--kernel", "blocked"]) == 0
    lines = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.endswith("ok")]
    assert lines == ["bfloat16", "float16", "ok"]
