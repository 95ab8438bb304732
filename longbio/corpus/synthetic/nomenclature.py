"""Invented names of drugs, diseases and people, none of them shared between splits.

Every name is grown from a stem: two syllables out of the tables below, which are ours and mean
nothing. A stem belongs to exactly one split, so a model that has learned the names of one split by
heart has learned nothing about those of another. The endings ("-pril", "neuropathy") are the
ordinary ones of the field and are shared: they are what a reader could go by, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random
from zlib import crc32

SPLITS = ("train", "dev", "test")

# Fifths of the stems, by their checksum: three for train, one for dev, one for test.
SPLIT_OF_FIFTH = ("train", "train", "train", "dev", "test")


def _words(table: str) -> tuple[str, ...]:
    return tuple(table.split())


DRUG_HEADS = _words("""
    brax bron cadr crev dalz dorv drex dusk fald fenv frol galt glim grov harv hild jald jost kelv
    krin lodr lusk marn mizl nald norv olbr ozl polg quav quel ralz rusk sald skel strov tavr thol
    trev tulz ulv urd vald vesk vorn welk wiln yald yurt zast zelm zubr
""")
DRUG_LINKS = _words("""
    ado abi ani ace ela emo eri ebu ilo ido ive ima oba ora olu oti ulo ura uta umi
""")
DRUG_ENDINGS = _words("""
    pril sartan dolol statin mab tinib cillin floxacin nazole tidine dipine gliptin parin xaban
    xetine zepam triptan vir cycline thiazide semide phylline profen setron
""")
BRAND_ENDINGS = _words("ra xa via nex dyn lis tor zim")

DISEASE_HEADS = _words("""
    tarv velm morg sclend prosk dulv gorst brank helv ist karn lorv mond nerst orv pald quorn rav
    sturn thesk ulm vasp wend yorv zand crist drov esk florm grend jarv krav lund marv nolv osk
""")
DISEASE_LINKS = _words("en ol ar in ul et om ag id ov is an")
ADJECTIVE_ENDINGS = ("ic", "al", "oid", "ine")
NOUN_ENDINGS = ("osis", "itis", "oma", "emia", "iasis", "opathy")

DISEASE_KINDS = _words("""
    neuropathy cardiomyopathy nephropathy dermatitis arthritis myopathy retinopathy hepatitis
    colitis gastropathy encephalopathy anemia fever pneumonitis vasculitis thyroiditis myelitis
    keratitis pancreatitis synovitis
""")
COURSES = (
    "chronic",
    "acute",
    "recurrent",
    "relapsing",
    "severe",
    "early-onset",
    "type 2",
    "stage III",
)
ORGAN_ADJECTIVES = _words("""
    pulmonary renal hepatic cutaneous cardiac splenic gastric spinal ocular vascular
""")
EPONYM_ENDINGS = (" syndrome", " disease", "'s disease", " syndrome type 2")
ORGANS = ("left kidney", "liver", "spleen", "right lung", "colon", "spine", "left hip", "pancreas")

SURNAME_HEADS = _words("""
    halv brenn tork vand olsk merr dunk harg lind fenw ravn stolb grist korv pell wess jarn thorv
    bask ekl yarr zell quill drumm ost hask velt murr
""")
SURNAME_ENDINGS = _words("""
    orn ock iden asker ulin emont arsen ovic ander ish eby ura ensky ault evar olm icott anto
""")

FIRST_NAME_HEADS = _words("il mar tor an bel cor dar el fen jor kal lin mor nel per ros sel tam ver yos")
FIRST_NAME_ENDINGS = _words("iske avin ena olf une ilda orin esta ander aya ewin ova ith uma")


@dataclass(frozen=True, slots=True)
class Names:
    """The invented names of one split, in the order of their tables and without repeats.

    Args:
        drugs: in lower case.
        diseases: in lower case, except for the eponyms.
        surnames: capitalised. Some name a disease as well.
        first_names: capitalised.
    """

    drugs: tuple[str, ...]
    diseases: tuple[str, ...]
    surnames: tuple[str, ...]
    first_names: tuple[str, ...]


@cache
def names(split: str) -> Names:
    """All the names that the notes of a split draw from.

    Args:
        split: "train", "dev" or "test".

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is none of {', '.join(SPLITS)}")

    surnames = [stem.capitalize() for stem in _stems(SURNAME_HEADS, SURNAME_ENDINGS, split)]
    diseases = [
        disease for stem in _stems(DISEASE_HEADS, DISEASE_LINKS, split) for disease in _diseases_of(stem)
    ]
    return Names(
        drugs=tuple(_drug_of(stem) for stem in _stems(DRUG_HEADS, DRUG_LINKS, split)),
        diseases=tuple(diseases + [_eponym(surname) for surname in surnames[::2]]),
        surnames=tuple(surnames),
        first_names=tuple(stem.capitalize() for stem in _stems(FIRST_NAME_HEADS, FIRST_NAME_ENDINGS, split)),
    )


def _stems(heads: tuple[str, ...], ends: tuple[str, ...], split: str) -> list[str]:
    """The stems of one split. A checksum, unlike `hash`, is the same in every process."""
    stems = (head + end for head in heads for end in ends)
    return [stem for stem in stems if SPLIT_OF_FIFTH[crc32(stem.encode()) % 5] == split]


def _drug_of(stem: str) -> str:
    rng = Random(f"drug/{stem}")
    return stem + rng.choice(DRUG_ENDINGS if rng.random() < 0.75 else BRAND_ENDINGS)


def _diseases_of(stem: str) -> tuple[str, str, str]:
    """Three diseases that share a stem: by kind, by organ and by course."""
    rng = Random(f"disease/{stem}")
    adjective = stem + rng.choice(ADJECTIVE_ENDINGS)
    noun = stem + rng.choice(NOUN_ENDINGS)
    by_organ = rng.choice(
        (noun, f"{noun} of the {rng.choice(ORGANS)}", f"{rng.choice(ORGAN_ADJECTIVES)} {noun}")
    )
    return (
        f"{adjective} {rng.choice(DISEASE_KINDS)}",
        by_organ,
        f"{rng.choice(COURSES)} {adjective} {rng.choice(DISEASE_KINDS)}",
    )


def _eponym(surname: str) -> str:
    return surname + Random(f"eponym/{surname}").choice(EPONYM_ENDINGS)
