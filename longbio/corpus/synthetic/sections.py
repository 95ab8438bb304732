"""The sections of a discharge summary, one function each.

Every function takes the scribe and a size: 1.0 is the ordinary length, 0.3 that of a brief note.

Two headings decide what stands below them: under *Allergies* a drug is an `Allergy`, under
*Family history* a disease is a `FamilyHistory`. Most of what is said there is said elsewhere in
the same words, so that nothing but the heading tells.
"""

from __future__ import annotations

from datetime import timedelta

from longbio.corpus.synthetic import phrases, scenery
from longbio.corpus.synthetic.scribe import Scribe

# How many entries make Allergies or Family history longer than 300 word pieces, and how often.
LONG_LIST = (24, 34)
LONG_RATE = 0.2
# Notes below this size have no room for one.
LONG_SIZE = 0.7


def admission_details(scribe: Scribe, size: float) -> None:
    """Who, when and under whose care."""
    case = scribe.case
    scribe.begin("Discharge summary", "Admission details", "Hospital discharge summary")
    scribe.say("Name: {patient}", patient=f"{case.patient.surname}, {case.patient.first_name}")
    scribe.say("\tUnit No: {unit_number}\n")
    scribe.say("Admission date: {date}", date=case.admitted)
    scribe.say("\tDischarge date: {date}\n", date=case.discharged)
    scribe.lines("Sex: {gender}\tAge: {own_age}", "Service: {service}", "Attending: Dr. {person}")
    if size > 0.5:
        scribe.lines("Referring physician: {full_name}, MD", "Dictated by: {full_name}, at {clock}")


def chief_complaint(scribe: Scribe, size: float) -> None:
    """What the patient came for."""
    scribe.begin("Chief complaint", "Reason for admission", "Presenting complaint")
    scribe.entries(1, scenery.COMPLAINTS)


def present_illness(scribe: Scribe, size: float) -> None:
    """The story up to admission."""
    scribe.begin("History of present illness", "HPI", "Present illness")
    scribe.paragraph(
        _count(scribe, size, 7, 11),
        phrases.PRESENTATION,
        phrases.DISEASE_NARRATIVE,
        weights=(6, 1),
        opening=phrases.OPENINGS,
        date=scribe.case.admitted,
        disease=scribe.case.problems[0],
    )


def past_medical_history(scribe: Scribe, size: float) -> None:
    """The patient's own diseases."""
    scribe.begin("Past medical history", "PMH", "Medical history", diseases=scribe.case.history)
    tables = phrases.DISEASE_ENTRIES, phrases.OWN_HISTORY
    scribe.entries(_count(scribe, size, 6, 11), *tables, weights=(3, 1))


def past_surgical_history(scribe: Scribe, size: float) -> None:
    """Operations before the stay."""
    scribe.begin("Past surgical history", "PSH", "Prior operations")
    scribe.entries(_count(scribe, size, 2, 5), phrases.SURGERIES)


def allergies(scribe: Scribe, size: float) -> None:
    """Drugs not to be given, for the most part in the words of any list of drugs."""
    scribe.begin(
        "Allergies",
        "Drug allergies",
        "Allergies and intolerances",
        drugs=scribe.case.allergies,
        relabelled={"drug": "Allergy"},
    )
    if scribe.rng.random() < 0.04:
        scribe.lines("No known drug allergies.")
        return
    count = _count_maybe_long(scribe, size)
    scribe.entries(count, phrases.DRUG_ENTRIES, phrases.REACTIONS, weights=(7, 3))


def family_history(scribe: Scribe, size: float) -> None:
    """Diseases of relatives, for the most part in the words of any list of diseases."""
    scribe.begin(
        "Family history",
        "Family medical history",
        "Family history and genetics",
        diseases=scribe.case.family,
        relabelled={"disease": "FamilyHistory"},
    )
    count = _count_maybe_long(scribe, size)
    scribe.entries(count, phrases.DISEASE_ENTRIES, phrases.RELATIVES, weights=(7, 3))


def home_medications(scribe: Scribe, size: float) -> None:
    """What was taken before the stay."""
    scribe.begin(
        "Medications on admission",
        "Home medications",
        "Admission medications",
        drugs=scribe.case.home_drugs,
    )
    tables = phrases.ORDERS, phrases.DRUG_ENTRIES
    scribe.entries(_count(scribe, size, 6, 11), *tables, weights=(1, 1))


def outside_records(scribe: Scribe, size: float) -> None:
    """What other hospitals wrote: the words of the lists above, under a heading of its own."""
    scribe.begin("Outside records", "Record review", "Records reviewed")
    tables = phrases.DISEASE_ENTRIES, phrases.DRUG_ENTRIES
    scribe.entries(_count(scribe, size, 5, 14), *tables, weights=(1, 1))


def reconciliation(scribe: Scribe, size: float) -> None:
    """What the pharmacist found."""
    scribe.begin("Medication reconciliation", "Pharmacy review", "Medication review")
    scribe.entries(_count(scribe, size, 4, 12), phrases.DRUG_ENTRIES)


def social_history(scribe: Scribe, size: float) -> None:
    """How the patient lives; no mentions."""
    scribe.begin("Social history", "Social", "Social and occupational history")
    rows = scribe.rng.sample(scenery.SOCIAL, min(len(scenery.SOCIAL), _count(scribe, size, 4, 6)))
    scribe.lines(*(scribe.rng.choice(row) for row in rows))


def review_of_systems(scribe: Scribe, size: float) -> None:
    """What the patient was asked; no mentions."""
    scribe.begin("Review of systems", "ROS")
    _in_order(scribe, scenery.REVIEW_OF_SYSTEMS, size)


def examination(scribe: Scribe, size: float) -> None:
    """What was found at the bedside; no mentions."""
    scribe.begin("Physical examination", "Physical exam", "Examination on admission")
    _in_order(scribe, scenery.EXAMINATION, size)


def laboratory_data(scribe: Scribe, size: float) -> None:
    """A table with tabs, and a few sentences."""
    scribe.begin("Laboratory data", "Pertinent results", "Labs")
    scribe.say("Collected {date} {clock}\n", date=scribe.case.admitted)
    scribe.builder.write("Test\tResult\tUnit\tReference\n")
    num_rows = min(len(scenery.LABS), _count(scribe, size, 9, 16))
    for row in sorted(scribe.rng.sample(range(len(scenery.LABS)), num_rows)):
        scribe.builder.write(scenery.lab_row(scenery.LABS[row], scribe.rng) + "\n")
    tables = scenery.LAB_SENTENCES, phrases.PROCEDURE_NARRATIVE
    scribe.paragraph(_count(scribe, size, 2, 4), *tables, weights=(2, 1))


def hospital_course(scribe: Scribe, size: float) -> None:
    """What happened, problem by problem."""
    scribe.begin("Hospital course", "Hospital course by problem", "Brief hospital course")
    for number, disease in enumerate(scribe.case.problems, start=1):
        scribe.builder.write(f"#{number} ")
        _problem(scribe, _count(scribe, size, 6, 10), disease, opening=phrases.PROBLEM_OPENINGS)


def progress_note(scribe: Scribe, day: int) -> None:
    """One day of the stay, about 250 word pieces.

    Args:
        scribe: who writes it.
        day: days since admission.
    """
    rng = scribe.rng
    scribe.begin(f"Progress note, day {day}", f"Hospital day {day}", f"Daily note, day {day}")
    scribe.today = scribe.case.admitted + timedelta(days=day)
    scribe.lines("{date}, {clock}, seen by {full_name}.")
    scribe.paragraph(rng.randint(7, 11), scenery.COURSE, scenery.LAB_SENTENCES, weights=(6, 1))
    for disease in rng.sample(scribe.case.problems, rng.randint(1, 2)):
        _problem(scribe, rng.randint(3, 5), disease, opening=phrases.REVISITED)


def consultation(scribe: Scribe, day: int) -> None:
    """A specialist's opinion, about 200 word pieces.

    Args:
        scribe: who writes it.
        day: days since admission.
    """
    rng = scribe.rng
    scribe.begin(*(f"{service} consultation" for service in scenery.SERVICES))
    scribe.today = scribe.case.admitted + timedelta(days=day)
    disease = rng.choice(scribe.case.problems)
    _problem(scribe, rng.randint(6, 9), disease, opening=phrases.CONSULTED)
    scribe.lines("Signed {full_name}, MD, {date}, {clock}")


def procedures(scribe: Scribe, size: float) -> None:
    """What was done during the stay."""
    scribe.begin("Procedures", "Procedures performed", "Studies and procedures")
    scribe.entries(_count(scribe, size, 2, 5), phrases.PERFORMED)


def discharge_diagnoses(scribe: Scribe, size: float) -> None:
    """The problems once more, as a list."""
    scribe.begin("Discharge diagnoses", "Final diagnoses")
    scribe.entries(_count(scribe, size, 3, 5), phrases.DISEASE_ENTRIES)


def discharge_medications(scribe: Scribe, size: float) -> None:
    """What is to be taken from now on."""
    drugs = scribe.case.home_drugs + scribe.case.ward_drugs[:3]
    scribe.begin("Discharge medications", "Medications on discharge", drugs=drugs)
    tables = phrases.ORDERS, phrases.CHANGES, phrases.DRUG_ENTRIES
    scribe.entries(_count(scribe, size, 6, 11), *tables, weights=(2, 2, 1))


def condition(scribe: Scribe, size: float) -> None:
    """How the patient left; no mentions."""
    scribe.begin("Condition on discharge", "Discharge condition")
    scribe.paragraph(1, scenery.CONDITION)


def follow_up(scribe: Scribe, size: float) -> None:
    """Who sees the patient next, and when."""
    scribe.begin("Follow-up", "Follow-up appointments", "Appointments")
    scribe.entries(_count(scribe, size, 2, 5), phrases.FOLLOW_UP)


def plan(scribe: Scribe, size: float) -> None:
    """What is left to do."""
    scribe.begin("Plan", "Plan and recommendations", "Discharge plan")
    scribe.entries(_count(scribe, size, 3, 7), phrases.PLANS)


def signature(scribe: Scribe, size: float) -> None:
    """Advice to the patient and who signed."""
    scribe.begin("Discharge instructions", "Instructions to the patient")
    _in_order(scribe, scenery.CLOSING, size)
    scribe.say("Electronically signed by {full_name}, MD, on {date}\n", date=scribe.case.discharged)
    if scribe.rng.random() < 0.4:
        scribe.lines("Copies to Dr. {person}, Dr. {other_person}")


def _problem(scribe: Scribe, num_sentences: int, disease: str, *, opening: tuple[str, ...]) -> None:
    """A paragraph about one of the patient's problems."""
    scribe.paragraph(
        num_sentences,
        phrases.DRUG_NARRATIVE,
        phrases.DISEASE_NARRATIVE,
        phrases.PROCEDURE_NARRATIVE,
        phrases.PERSON_NARRATIVE,
        scenery.PROBLEM_COURSE,
        weights=(4, 1.5, 1.5, 1.5, 14),
        opening=opening,
        disease=disease,
    )


def _in_order(scribe: Scribe, sentences: tuple[str, ...], size: float) -> None:
    """Some of the sentences, more of them the greater the size, in the order of their table."""
    num_lines = min(len(sentences), _count(scribe, size, len(sentences) // 2, len(sentences)))
    kept = sorted(scribe.rng.sample(range(len(sentences)), num_lines))
    scribe.lines(*(sentences[index] for index in kept))


def _count(scribe: Scribe, size: float, low: int, high: int) -> int:
    return max(1, round(size * scribe.rng.randint(low, high)))


def _count_maybe_long(scribe: Scribe, size: float) -> int:
    """Entries of a section whose heading may be out of a short window's reach at its end."""
    if size >= LONG_SIZE and scribe.rng.random() < LONG_RATE:
        return scribe.rng.randint(*LONG_LIST)
    return _count(scribe, min(size, 1.0), 2, 5)
