"""Short biomedical encoders become long ones, and long notes are read whole.

`import longbio` is quick: torch and transformers are imported when a public name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longbio.conversion.convert import convert
    from longbio.encoders.loading import load

__version__ = "0.1.0"
__all__ = ["__version__", "convert", "load"]

_HOME_OF = {"convert": "longbio.conversion.convert", "load": "longbio.encoders.loading"}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'longbio' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
