"""One invented patient and stay: the facts that the sections of a note draw on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from longbio.corpus.synthetic.nomenclature import Names

OPERATIONS = (
    "cholecystectomy", "appendectomy", "hemicolectomy", "splenectomy", "partial nephrectomy",
    "thyroidectomy", "sleeve gastrectomy", "hernia repair", "adrenalectomy",
)  # fmt: skip
APPROACHES = ("", "open ", "laparoscopic ", "robotic ", "emergency ")
SIDED_OPERATIONS = (
    "hip replacement", "knee arthroscopy", "carotid endarterectomy", "cataract extraction",
    "rotator cuff repair", "thoracotomy", "femoral bypass", "carpal tunnel release",
)  # fmt: skip
STUDIES = (
    "CT of the chest", "CT of the abdomen", "CT of the neck", "CT of the brain", "MRI of the brain",
    "MRI of the lumbar spine", "MRI of the right knee", "MRI of the liver", "PET scan",
    "ultrasound of the abdomen", "ultrasound of the neck", "ultrasound of the left leg",
    "chest radiograph", "transthoracic echocardiogram", "coronary angiography", "stress test",
    "electroencephalogram", "nerve conduction study", "bronchoscopy", "colonoscopy",
    "upper endoscopy", "lumbar puncture", "bone marrow biopsy", "skin biopsy", "renal biopsy",
    "liver biopsy", "pulmonary function testing", "electromyography",
    "renal angiography", "sigmoidoscopy", "right heart catheterization",
)  # fmt: skip
TREATMENTS = (
    "paracentesis", "thoracentesis", "central line placement", "hemodialysis", "cardioversion",
    "plasma exchange", "wound debridement", "epidural injection", "pacemaker placement",
    "chest tube placement", "joint aspiration", "feeding tube placement",
)  # fmt: skip

ORAL = ("p.o.", "PO", "by mouth", "orally")
INTRAVENOUS = ("IV", "i.v.", "intravenously")
UNDER_THE_SKIN = ("SC", "subcutaneously", "s.c.")
# How a drug comes: strengths that go together, their unit, ways to write the route.
Form = tuple[tuple[str, ...], str, tuple[str, ...]]
FORMS: tuple[Form, ...] = (
    (("2.5", "5", "10"), "mg", ORAL),
    (("12.5", "25", "50"), "mg", ORAL),
    (("20", "40", "80"), "mg", ORAL),
    (("75", "150", "300"), "mg", ORAL),
    (("100", "200", "400"), "mg", ORAL),
    (("250", "500", "1,000"), "mg", ORAL),
    (("25", "50", "75", "88", "112"), "mcg", ORAL),
    (("5", "10", "15", "30"), "mL", ORAL),
    (("60", "80", "120"), "mg", INTRAVENOUS),
    (("1", "1.5", "2"), "g", INTRAVENOUS),
    (("0.5", "1", "5"), "mg/kg", INTRAVENOUS),
    (("4", "8", "14", "22", "40"), "units", UNDER_THE_SKIN),
)

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
# How the clerks of this world write a day. Named, for strftime would follow the machine's locale.
DATE_STYLES = ("iso", "american", "worded", "british")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an invented name."""

    first_name: str
    surname: str

    def write_name(self, rng: Random) -> str:
        """The name as it may stand after a title: "Borolf Halvorn", "B. Halvorn", "Halvorn"."""
        form = rng.random()
        if form < 0.5:
            return self.surname
        if form < 0.75:
            return f"{self.first_name[0]}. {self.surname}"
        return self.full_name

    @property
    def full_name(self) -> str:
        """First name and surname."""
        return f"{self.first_name} {self.surname}"


@dataclass(frozen=True, slots=True)
class Case:
    """What is true of one invented stay. Drugs and diseases overlap nowhere inside a field.

    Args:
        patient: whom the note is about.
        sex: "man" or "woman".
        age: in years.
        weight_kg: on admission.
        admitted, discharged: first and last day of the stay.
        date_style: one of `DATE_STYLES`.
        problems: diseases treated in this stay, the main one first.
        history: diseases from before it.
        family: diseases of relatives; some are the patient's own as well.
        home_drugs, ward_drugs: what was taken before the stay and given during it.
        allergies: drugs that are not to be given; some are home drugs as well.
        clinicians: at least two people.
    """

    patient: Person
    sex: str
    age: int
    weight_kg: float
    admitted: date
    discharged: date
    date_style: str
    problems: tuple[str, ...]
    history: tuple[str, ...]
    family: tuple[str, ...]
    home_drugs: tuple[str, ...]
    ward_drugs: tuple[str, ...]
    allergies: tuple[str, ...]
    clinicians: tuple[Person, ...]

    @property
    def num_days(self) -> int:
        """Days from admission to discharge."""
        return (self.discharged - self.admitted).days


def invent_case(names: Names, rng: Random, *, scale: float) -> Case:
    """A case whose number of problems, drugs and people grows with the length of its note.

    Args:
        names: the names to draw from.
        rng: what decides.
        scale: 1.0 for a note of ordinary length, less for a shorter one.
    """

    def some(pool: Sequence[str], low: int, high: int) -> tuple[str, ...]:
        return tuple(rng.sample(pool, max(2, round(scale * rng.randint(low, high)))))

    def person() -> Person:
        return Person(rng.choice(names.first_names), rng.choice(names.surnames))

    admitted = date(2008, 1, 1) + timedelta(days=rng.randrange(5000))
    problems, history = some(names.diseases, 3, 5), some(names.diseases, 6, 10)
    home_drugs = some(names.drugs, 7, 11)
    return Case(
        patient=person(),
        sex=rng.choice(("man", "woman")),
        age=rng.randint(24, 91),
        weight_kg=rng.randint(500, 1100) / 10,
        admitted=admitted,
        discharged=admitted + timedelta(days=max(4, round(scale * rng.randint(9, 16)))),
        date_style=rng.choice(DATE_STYLES),
        problems=problems,
        history=history,
        family=_mix(some(names.diseases, 12, 20), problems + history, rng),
        home_drugs=home_drugs,
        ward_drugs=some(names.drugs, 8, 14),
        allergies=_mix(some(names.drugs, 12, 20), home_drugs, rng),
        clinicians=tuple(person() for _ in range(max(3, round(8 * scale)))),
    )


def _mix(names: tuple[str, ...], others: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """`names` with about one in five taken from `others`, so that a name alone decides no label."""
    borrowed = rng.sample(others, min(len(others), len(names) // 5))
    return tuple(dict.fromkeys(borrowed + list(names[len(borrowed) :])))


def invent_operation(rng: Random) -> str:
    """An operation, in ordinary medical words."""
    if rng.random() < 0.5:
        return rng.choice(APPROACHES) + rng.choice(OPERATIONS)
    return f"{rng.choice(('left', 'right'))} {rng.choice(SIDED_OPERATIONS)}"


def invent_procedure(rng: Random) -> str:
    """A study, a treatment at the bedside or, now and then, an operation."""
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(STUDIES)
    return rng.choice(TREATMENTS) if kind < 0.85 else invent_operation(rng)


def form_of(drug: str) -> Form:
    """How a drug comes, the same wherever it is named."""
    return Random(f"form/{drug}").choice(FORMS)


def invent_dose(drug: str, rng: Random) -> str:
    """An amount of a drug with its unit: "20 mg", "88 mcg", "0.5 mg/kg"."""
    strengths, unit, _ = form_of(drug)
    return f"{rng.choice(strengths)} {unit}"


def write_dose(dose: str, rng: Random) -> str:
    """A dose as it may stand in a note: "20 mg" also as "20mg", "88 mcg" also as "88 µg"."""
    if dose.endswith("mcg") and rng.random() < 0.5:
        dose = dose.replace("mcg", "µg")
    if dose.endswith("g") and rng.random() < 0.1:
        dose = dose.replace(" ", "")
    return dose


def write_date(day: date, style: str) -> str:
    """A day in one of the `DATE_STYLES`."""
    month = MONTHS[day.month - 1]
    written = {
        "iso": day.isoformat(),
        "american": f"{day.month:02d}/{day.day:02d}/{day.year}",
        "worded": f"{month} {day.day}, {day.year}",
        "british": f"{day.day} {month} {day.year}",
    }
    return written[style]


def write_past_date(day: date, style: str, rng: Random) -> str:
    """A day long ago, of which the year is remembered and sometimes the month."""
    if rng.random() < 0.6:
        return str(day.year)
    if style in ("iso", "american"):
        return f"{day.month:02d}/{day.year}"
    return f"{MONTHS[day.month - 1]} {day.year}"
