"""What a note says between its mentions: plain sentences, findings, laboratory values.

Nothing here is an entity. Some of it looks like one on purpose: amounts with units that are no
dose, fractions that are no date, capitalised words that are no name.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

SYMPTOMS = (
    "chest pressure", "shortness of breath", "abdominal pain", "nausea", "dizziness", "back pain",
    "leg swelling", "fatigue", "cough", "low-grade temperature", "poor appetite", "headache",
    "unsteady gait", "confusion", "palpitations", "numbness of both feet", "night sweats",
    "blurred vision", "loose stools", "joint stiffness", "poor sleep",
)  # fmt: skip
SERVICES = (
    "Cardiology", "Nephrology", "Neurology", "Gastroenterology", "Rheumatology", "Pulmonary",
    "Dermatology", "Vascular Surgery", "Hematology", "Palliative Care", "Endocrinology",
)  # fmt: skip
RELATIVES = (
    "mother", "father", "sister", "brother", "aunt", "uncle", "cousin", "grandmother",
    "grandfather",
)  # fmt: skip
FREQUENCIES = (
    "daily", "b.i.d.", "BID", "t.i.d.", "q.i.d.", "twice daily", "every 6 hours", "q8h", "q.h.s.",
    "at bedtime", "every morning", "once weekly", "q12h",
)  # fmt: skip

# The slots that become plain words, whoever the patient is.
PLAIN_SLOTS: dict[str, Callable[[Random], str]] = {
    "symptom": lambda rng: rng.choice(SYMPTOMS),
    "service": lambda rng: rng.choice(SERVICES),
    "relative": lambda rng: rng.choice(RELATIVES),
    "side": lambda rng: rng.choice(("maternal", "paternal")),
    "freq": lambda rng: rng.choice(FREQUENCIES),
    "n": lambda rng: str(rng.randint(2, 9)),
    "pulse": lambda rng: str(rng.randint(52, 104)),
    "pressure": lambda rng: f"{rng.randint(98, 168)}/{rng.randint(52, 96)}",
    "temperature": lambda rng: f"{rng.randint(361, 384) / 10:.1f}",
    "saturation": lambda rng: str(rng.randint(91, 99)),
    "breaths": lambda rng: str(rng.randint(12, 24)),
    "volume": lambda rng: f"{rng.randint(3, 24) * 100} mL",
    "strength": lambda rng: f"{rng.randint(3, 5)}/5",
    "clock": lambda rng: f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
    "room": lambda rng: f"{rng.choice('ABCDE')}-{rng.randint(101, 640)}",
    "unit_number": lambda rng: f"{rng.randrange(10**6):06d}",
    "height": lambda rng: str(rng.randint(150, 192)),
    "distance": lambda rng: str(rng.randint(4, 30) * 10),
}

# Name, short name, unit, decimals, low and high of the reference range.
Lab = tuple[str, str, str, int, float, float]
LABS: tuple[Lab, ...] = (
    ("Sodium", "Na", "mEq/L", 0, 135, 145),
    ("Potassium", "K", "mEq/L", 1, 3.5, 5.1),
    ("Chloride", "Cl", "mEq/L", 0, 98, 107),
    ("Bicarbonate", "HCO3", "mEq/L", 0, 22, 29),
    ("Urea nitrogen", "BUN", "mg/dL", 0, 7, 20),
    ("Creatinine", "Cr", "mg/dL", 1, 0.6, 1.2),
    ("Glucose", "Glu", "mg/dL", 0, 70, 105),
    ("Calcium", "Ca", "mg/dL", 1, 8.5, 10.2),
    ("Magnesium", "Mg", "mg/dL", 1, 1.6, 2.6),
    ("Phosphate", "Phos", "mg/dL", 1, 2.5, 4.5),
    ("White blood cells", "WBC", "K/uL", 1, 4.0, 11.0),
    ("Hemoglobin", "Hgb", "g/dL", 1, 12.0, 16.0),
    ("Hematocrit", "Hct", "%", 1, 36.0, 48.0),
    ("Platelets", "Plt", "K/uL", 0, 150, 440),
    ("Albumin", "Alb", "g/dL", 1, 3.5, 5.0),
    ("Alkaline phosphatase", "ALP", "IU/L", 0, 40, 129),
    ("Alanine aminotransferase", "ALT", "IU/L", 0, 7, 40),
    ("Aspartate aminotransferase", "AST", "IU/L", 0, 10, 40),
    ("Total bilirubin", "T bili", "mg/dL", 1, 0.2, 1.3),
    ("Lactate", "Lac", "mmol/L", 1, 0.5, 2.2),
    ("C-reactive protein", "CRP", "mg/L", 1, 0.0, 5.0),
    ("INR", "INR", "", 1, 0.9, 1.2),
    ("Troponin T", "TnT", "ng/mL", 2, 0.0, 0.04),
    ("Ferritin", "Ferr", "µg/L", 0, 30, 300),
)


def invent_lab_value(lab: Lab, rng: Random) -> tuple[str, bool]:
    """A value around the reference range of a laboratory test, and whether it lies in it."""
    _, _, _, decimals, low, high = lab
    span = high - low
    value = round(max(0.7 * low, low + span * rng.uniform(-0.2, 1.3)), decimals)
    return f"{value:.{decimals}f}", low <= value <= high


def lab_value(lab: Lab, rng: Random) -> str:
    """A test and its value as they stand in a sentence: "sodium 138 mEq/L", "Na 138"."""
    name, short, unit, *_ = lab
    value, _ = invent_lab_value(lab, rng)
    if rng.random() < 0.5:
        return f"{short} {value}"
    # "C-reactive" and "INR" keep their capitals inside a sentence.
    in_sentence = name[0].lower() + name[1:] if name[1].islower() else name
    return f"{in_sentence} {value} {unit}".rstrip()


def lab_row(lab: Lab, rng: Random) -> str:
    """A row of the laboratory table: test, value, unit and reference range between tabs."""
    name, _, unit, decimals, low, high = lab
    value, is_normal = invent_lab_value(lab, rng)
    flag = "" if is_normal else " *"
    return f"{name}\t{value}{flag}\t{unit}\t{low:.{decimals}f}-{high:.{decimals}f}"


LAB_SENTENCES = (
    "Laboratory values: {lab}, {other_lab}.",
    "Repeat {lab}, down from the day before.",
    "Morning values included {lab} and {other_lab}.",
    "The most notable value was {lab}.",
    "Urine studies were bland, with trace protein and 0-2 cells per field.",
    "Blood cultures from {clock} stayed negative at {n} days.",
    "Cell counts were unremarkable apart from {lab}.",
)

COMPLAINTS = (
    "{symptom}",
    "{symptom} and {other_symptom}",
    "{symptom} for {n} days",
    '"I just could not catch up," with {symptom}',
    "worsening {symptom}",
)

# Said of a problem, whichever it is.
PROBLEM_COURSE = (
    "{he} improved steadily and there was no more {symptom}.",
    "The {symptom} settled within {n} days.",
    "Serial values were followed, most recently {lab} and {other_lab}.",
    "{he} was watched on telemetry for {n} nights without events.",
    "On arrival the blood pressure was {pressure} with a pulse of {pulse}.",
    "Oxygen was weaned from {n} L to room air, saturation {saturation}%.",
    "Two units of packed cells were given, with {lab} afterwards.",
    "The fluids were stopped once {he} was eating.",
    "This was felt to be at baseline and no changes were made.",
    "The cause was not entirely clear, and the workup will go on after discharge.",
    "Fluid intake was held to {volume} a day and the weight fell to {weight}.",
    "A low salt diet was explained by the dietitian.",
    "The {symptom} came back once, around {clock}, and passed without treatment.",
    "By the end of the stay {he} could climb {n} stairs without {symptom}.",
    "{lab} on arrival, {other_lab} by the time of discharge.",
    "Repeat values after {n} hours were reassuring.",
    "{he} remained afebrile and cultures stayed negative.",
    "Strength in both legs was {strength} throughout.",
    "Several causes were considered and the common ones were ruled out.",
    "The trend was toward improvement before discharge, with {lab}.",
    "No invasive treatment was wanted by {him} or the family.",
    "Warning signs were reviewed and {he} could repeat them.",
    "There was some back and forth about the cause of the {symptom}.",
    "This will need attention in the clinic but did not prolong the stay.",
    "Urine output held at about {volume} a day.",
    "{he} was able to lie flat by the second night.",
)

# What happens on any day of a stay.
COURSE = (
    "{he} slept well and had no complaints in the morning.",
    "Blood pressure {pressure}, pulse {pulse}, temperature {temperature} C.",
    "Oxygen was weaned from {n} L to room air, saturation {saturation} %.",
    "{he} remained afebrile and the fluids were stopped at {clock}.",
    "Urine output was {volume} over the past 24 hours.",
    "Weight today {weight}, down by about {n} pounds since arrival.",
    "{he} was up in the chair for lunch and ate about half of it.",
    "The {symptom} came back briefly in the evening and passed.",
    "{lab}, {other_lab}; both to be repeated tomorrow.",
    "The monitor showed no events of note.",
    "{he} was moved from the step-down unit to room {room}.",
    "Physical therapy walked {him} {distance} feet with a walker.",
    "The patient's questions were answered and {he} felt reassured.",
    "No changes were made today.",
    "Stools were soft and brown; appetite was returning.",
    "The family visited in the afternoon and brought glasses and hearing aids.",
    "The wound was clean and dry, the dressing was changed at {clock}.",
    "Nursing noted {symptom} around {clock}, which settled with repositioning.",
    "The catheter was removed and {he} voided {volume} without difficulty.",
    "{he} was on a low salt diet with a {volume} fluid limit.",
    "Social work helped with transport and equipment for the home.",
    "Goals of care were reviewed; {he} wished to remain full code.",
    "Strength in both legs was {strength} and reflexes were brisk.",
    "Skin was intact over the heels and sacrum.",
    "{he} scored the pain as {n}/10 at rest and a little more on walking.",
    "Overnight the alarm went off once at {clock} for a loose lead.",
    "Breathing rate was {breaths} and unlabored.",
    "The line was flushed and worked well.",
    "A sitter stayed at the bedside until {clock}.",
    "{he} used the incentive device {n} times an hour while awake.",
    "The interpreter was present for the whole discussion.",
    "The bed alarm stayed on because of two near falls at home.",
    "{he} sat by the window and worked on a puzzle for an hour.",
    "Breakfast was refused, lunch and supper were taken well.",
    "The intravenous line was moved to the other arm.",
    "{he} asked when {he} could go home.",
    "Vital signs at {clock}: {pressure}, pulse {pulse}, breathing {breaths}.",
    "A hearing check at the bedside was normal.",
    "{he} took {n} short walks with the aide and rested in between.",
    "Both feet were warm with good pulses.",
    "Lungs clearer than yesterday, a few crackles on the left.",
    "Belly soft, not tender, bowel sounds heard.",
    "Ankles less swollen, weight {weight}.",
    "{he} was drowsy until about {clock}, then bright and talkative.",
    "No pain at rest; {n}/10 when coughing.",
    "The chaplain came by at {his} request.",
    "Intake {volume}, output {other_volume}.",
    "Sugar readings ran between {pulse} and {other_pulse} mg/dL.",
)

REVIEW_OF_SYSTEMS = (
    "General: no chills, some fatigue, weight steady.",
    "Eyes: no change in vision.",
    "Ears, nose, throat: mild congestion, no hoarseness.",
    "Cardiac: no palpitations, no swelling of the ankles.",
    "Respiratory: occasional dry cough, no wheeze.",
    "Gastrointestinal: appetite fair, no vomiting, regular stools.",
    "Genitourinary: no burning, nocturia {n} times a night.",
    "Musculoskeletal: stiff hands in the morning for {n}0 minutes.",
    "Skin: no itching, bruises easily.",
    "Neurologic: no weakness, sometimes {symptom}.",
    "Psychiatric: mood described as fine.",
    "Endocrine: no heat or cold intolerance.",
    "All other systems were reviewed and were negative.",
)

EXAMINATION = (
    "Vital signs: T {temperature}, BP {pressure}, HR {pulse}, RR {breaths}, SpO2 {saturation}% on room air.",
    "General: tired but comfortable, speaking in full sentences.",
    "Head and neck: moist mucosa, neck supple, no enlarged nodes.",
    "Heart: regular, normal S1 and S2, soft 2/6 murmur at the apex.",
    "Lungs: crackles at the left base, otherwise clear.",
    "Abdomen: soft, mild tenderness in the lower quadrants, bowel sounds present.",
    "Extremities: warm, 1+ edema to the shins, pulses 2+ and equal.",
    "Neurologic: alert, oriented x3, strength {strength} in the legs, gait not tested.",
    "Skin: dry, a 3 x 2 cm scaly patch on the right forearm.",
    "Back: no tenderness over the spine.",
    "Weight {weight}, height {height} cm.",
    "Lines: one peripheral line in the left arm, site clean.",
)

# One sentence from each row, so that nobody lives alone with the family.
SOCIAL: tuple[tuple[str, ...], ...] = (
    (
        "{he} lives with {his} family in a house with {n} steps at the door.",
        "{he} lives alone on the second floor, no elevator.",
        "{he} shares an apartment with an old friend.",
    ),
    (
        "Retired from the post office; before that worked on a fishing boat.",
        "Works part time in a bakery, early shifts.",
        "Used to drive a school bus and still repairs engines for the neighbors.",
        "Taught music for {n}0 terms and gives a lesson now and then.",
    ),
    (
        "Smoked half a pack a day for {n} years, stopped long ago.",
        "Never smoked.",
        "Smokes {n} cigarettes a day and would like to stop.",
    ),
    ("Drinks {n} beers at the weekend; no other substances.", "No alcohol, no other substances."),
    (
        "Walks the dog twice a day and keeps a vegetable garden.",
        "Uses a cane outdoors; a neighbor does the shopping.",
        "Swims once a week.",
    ),
    (
        "Has {n} grandchildren who live nearby.",
        "{his} son holds the power of attorney for health care.",
        "A daughter calls every evening.",
    ),
    (
        "Speaks two languages at home, reads the paper every morning.",
        "Plays the accordion in a local band.",
        "Enjoys crossword puzzles and old films.",
    ),
)

CONDITION = (
    "Stable, alert and oriented, walking with a cane.",
    "Good. Eating and drinking, on room air, pain {n}/10.",
    "Improved; needs help with stairs.",
    "Fair, back at {his} usual level of function.",
)
CLOSING = (
    "Take your medicines as listed and bring this letter to every visit.",
    "Call or come back for {symptom}, {other_symptom} or anything that worries you.",
    "Rest as needed and return to your usual activity over {n} weeks.",
    "Drink to thirst and keep the leg raised when sitting.",
    "It was a pleasure to take part in your care.",
)
