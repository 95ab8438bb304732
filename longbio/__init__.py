"""Short biomedical encoders become long ones, and long notes are read whole.

From a short encoder to a long note with its entities:

    import longbio

    longbio.convert("emilyalsentzer/Bio_ClinicalBERT", "clinical-long")      # 4,096 tokens, verified
    longbio.pretrain("heal", model="clinical-long", out="runs/heal", corpora={"open": {"paths": ["notes"]}})
    longbio.finetune("entities", model="runs/heal/v0.1-healed", data="my-corpus", out="runs/ner")
    longbio.evaluate("runs/ner", "other-corpus")["scores"]["main"]

    for found in longbio.predict("runs/ner", [open("note.txt").read()]):
        for mention in found.mentions:
            print(mention.start_char, mention.end_char, mention.label, mention.text, mention.probability)

What there is:

    convert             a short encoder becomes a long one, proven to equal it where both see the same
    load                a checkpoint as a native transformers model, with our attention
    pretrain            masked-LM training on texts, in phases
    extend_vocabulary   words of its own for a tokenizer, and rows for them
    finetune            entities, answers, classes, relations or similarity are learned and scored
    evaluate            scores of a fine-tuned model, with their intervals
    predict             what a fine-tuned model finds in texts of any length
    benchmark           models by tasks by seeds, compared
    read_documents      annotated documents of any format: a list of Document, each with its Spans
    Document, Span      a text and what is known of it; a mention in it

Configurations have names: `longbio configs` lists them. Each function's help has an example, and
docs/library.md walks from reading to showing. `import longbio` is quick: torch and transformers are
imported when a function is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longbio.corpus.records import Document, Span
    from longbio.encoders.loading import load
    from longbio.library import (
        benchmark,
        convert,
        evaluate,
        extend_vocabulary,
        finetune,
        predict,
        pretrain,
        read_documents,
    )

__version__ = "0.1.0"
__all__ = [
    "Document",
    "Span",
    "__version__",
    "benchmark",
    "convert",
    "evaluate",
    "extend_vocabulary",
    "finetune",
    "load",
    "predict",
    "pretrain",
    "read_documents",
]

_HOME_OF = {
    "Document": "longbio.corpus.records",
    "Span": "longbio.corpus.records",
    "load": "longbio.encoders.loading",
}
"""The module of each public name; that of all others is `longbio.library`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'longbio' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF.get(name, "longbio.library")), name)


def __dir__() -> list[str]:
    return __all__
