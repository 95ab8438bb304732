"""Calls to copy from a card: plain transformers, with the inputs that a model was trained with.

Tests run every one of them as it is printed, in a process that can't import longbio.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import Template

import yaml

from longbio.encoders.families import takes_global

CLASSES = {
    "features": "AutoModel",
    "mlm": "AutoModelForMaskedLM",
    "ner": "AutoModelForTokenClassification",
    "qa": "AutoModelForQuestionAnswering",
    "classification": "AutoModelForSequenceClassification",
}

PIPELINES = {
    "features": "feature-extraction",
    "mlm": "fill-mask",
    "ner": "token-classification",
    "qa": "question-answering",
    "classification": "text-classification",
}

ROLES = {
    "cls": "the first token",
    "query": "the tokens of the question or first text",
    "headings": (
        "the tokens of section headings: lines of at most 8 words and 60 characters without a full stop,"
        " which begin with a capital and end in a colon, are in capitals, or stand below a blank line"
    ),
}
"""What a card says of each kind of global token."""

BEGINNING = """\
import torch
from transformers import AutoTokenizer, $kind

tokenizer = AutoTokenizer.from_pretrained("$folder")
model = $kind.from_pretrained("$folder").eval()
"""

WINDOWS = """\
    truncation=$truncation, max_length=$max_tokens, stride=$overlap, padding=True,
    return_overflowing_tokens=True, return_offsets_mapping=True, return_tensors="pt",
)
rows.pop("overflow_to_sample_mapping")
offsets = rows.pop("offset_mapping").tolist()
"""

BODIES = {
    "features": """\
rows = tokenizer("Chest pain since Monday.", return_tensors="pt")
${global_mask}\
with torch.no_grad():
    print(model(**rows).last_hidden_state.shape)
""",
    "mlm": """\
rows = tokenizer(f"The patient has {tokenizer.mask_token} since Monday.", return_tensors="pt")
${global_mask}\
masked = rows["input_ids"] == tokenizer.mask_token_id
with torch.no_grad():
    print(tokenizer.decode(model(**rows).logits[masked].argmax(-1)))
""",
    "ner": """\
text = "No fever. Chest pain since Monday, aspirin given."

# Windows that overlap: without a stride all behind $max_tokens tokens would be left out.
rows = tokenizer(
    text,
"""
    + WINDOWS
    + """\
${global_mask}\
with torch.no_grad():
    tags = model(**rows).logits.argmax(-1).tolist()
found = {
    (start, end): model.config.id2label[tag]
    for row in range(len(tags))
    for (start, end), tag in zip(offsets[row], tags[row])
    if end > start
}
for (start, end), tag in sorted(found.items()):
    print(start, end, text[start:end], tag)
""",
    "qa": """\
question, text = "What was given?", "Chest pain since Monday, so aspirin was given."

# Windows that overlap: without a stride all behind $max_tokens tokens would be left out.
rows = tokenizer(
    question, text,
"""
    + WINDOWS
    + """\
parts = [rows.sequence_ids(row) for row in range(len(offsets))]  # 0 in the question, 1 in the text
${global_mask}\
with torch.no_grad():
    output = model(**rows)
in_text = torch.tensor(
    [
        [part == 1 and bool(text[start:end].strip()) for part, (start, end) in zip(*row)]
        for row in zip(parts, offsets)
    ]
)
starts = output.start_logits.masked_fill(~in_text, -1e9)
ends = output.end_logits.masked_fill(~in_text, -1e9)
size = starts.shape[1]
near = torch.ones(size, size, dtype=torch.bool).triu().tril($answer_tokens - 1)
scores = (starts[:, :, None] + ends[:, None, :]).masked_fill(~near, -1e9)
row, place = divmod(int(scores.argmax()), size * size)
first, last = divmod(place, size)
print(text[offsets[row][first][0] : offsets[row][last][1]])
""",
    "classification": """\
# One row: of a longer text the tokens behind $max_tokens are left out; longbio predict reads them.
# Behind a question or first text: tokenizer(first, text, truncation="only_second", ...).
rows = tokenizer($texts, truncation=True, max_length=$max_tokens, return_tensors="pt")
${global_mask}\
with torch.no_grad():
    logits = model(**rows).logits[0]
$result
""",
}

FIRST_GLOBAL = """\
rows["global_attention_mask"] = torch.zeros_like(rows["input_ids"])
rows["global_attention_mask"][:, 0] = 1  # the first token
"""
QUERY_GLOBAL = {
    "qa": """\
rows["global_attention_mask"] |= torch.tensor([[int(part == 0) for part in row] for row in parts])
""",
    "classification": """\
query = torch.tensor([[part == 0 for part in rows.sequence_ids(0)]])
rows["global_attention_mask"][query] = 1  # the question or first text
""",
}
NO_GLOBAL = """\
rows["global_attention_mask"] = torch.zeros_like(rows["input_ids"])
"""


def call(
    head: str,
    folder: str,
    model_type: str,
    *,
    roles: Sequence[str] = ("cls",),
    max_tokens: int = 4096,
    texts: Sequence[str] = ("Chest pain since Monday.",),
    answer_tokens: int = 64,
    result: str = "print(logits.tolist())",
) -> str:
    """Python that loads a model with plain transformers and uses it, as a Markdown block.

    Args:
        head: the model class, a key of `CLASSES`.
        folder: what it is loaded from.
        model_type: of its config.
        roles: which tokens are global, of `ROLES`, where the model has global attention.
        max_tokens: what it reads at most.
        texts: that a classifier is shown: one, or a query and a text.
        answer_tokens: the longest answer.
        result: what is done with a classifier's `logits`, (C,).
    """
    global_mask = ""
    if takes_global(model_type):
        global_mask = FIRST_GLOBAL if "cls" in roles else NO_GLOBAL
        if "query" in roles and (head == "qa" or len(texts) == 2):
            global_mask += QUERY_GLOBAL.get(head, "")
    code = Template(BEGINNING + "\n" + BODIES[head]).substitute(
        kind=CLASSES[head],
        folder=folder,
        global_mask=global_mask,
        max_tokens=max_tokens,
        overlap=min(128, max_tokens // 4),
        truncation='"only_second"' if head == "qa" else "True",
        texts=", ".join(f'"{text}"' for text in texts),
        answer_tokens=answer_tokens,
        result=result,
    )
    return f"```python\n{code.strip()}\n```"


def card(title: str, head: str, tag: str, sections: Iterable[tuple[str, str]], call_text: str) -> str:
    """A model card, a README.md that people read and the Hugging Face Hub indexes, with a call to copy.

    Args:
        title: its heading.
        head: the model class.
        tag: the family, as the hub's index shall know it.
        sections: (heading, Markdown body) pairs before the call.
        call_text: in Markdown.
    """
    metadata = {"library_name": "transformers", "pipeline_tag": PIPELINES[head], "tags": ["longbio", tag]}
    front_matter = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    parts = [f"---\n{front_matter}---", f"# {title}"]
    for heading, body in [*sections, ("A call to copy", call_text)]:
        parts += [f"## {heading}", body.strip()]
    return "\n\n".join(parts) + "\n"


def what_is_global(roles: Sequence[str]) -> str:
    """What plain transformers has to be told of a Longformer, in words."""
    if not roles:
        return "It was taught without global tokens: `global_attention_mask` is 0 everywhere."
    named = "; ".join(ROLES[role] for role in roles)
    text = (
        f"It was taught with global attention on {named}. longbio sees to that; plain transformers has to be"
        " given it as `global_attention_mask`, or the model computes another function than it learned."
    )
    if "headings" in roles:
        text += " The call below marks the first token only: for headings take longbio."
    return text


STOCK_BIGBIRD = (
    "Plain transformers computes another function in evaluation than in training beyond "
    "{full} tokens: there its random blocks are all block 0. Loaded with `longbio.load` the "
    "model sees the same random blocks in both, drawn from `random_pattern_seed` in the config."
)
