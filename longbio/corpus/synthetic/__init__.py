"""Long synthetic discharge summaries: invented patients, drugs and diseases, with mentions.

Made for learning to run and to measure the rest of longbio without a patient's data. Two entity
types can be told only by a heading, which may stand hundreds of words above the mention.
"""

from __future__ import annotations

from longbio.corpus.synthetic.nomenclature import SPLITS, Names, names
from longbio.corpus.synthetic.note import ENTITY_TYPES, synthesize

__all__ = ["ENTITY_TYPES", "SPLITS", "Names", "names", "synthesize"]
