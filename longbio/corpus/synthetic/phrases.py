"""What a note says about drugs, diseases, procedures and people: sentences with slots.

Labelled slots: drug, dose (of the drug named last), disease, study (a procedure that shows
something), operation, procedure (any), person, full_name, patient, date (during the stay), past (a
month or year before it), soon (after it). The others ({route}, {n}, …) become plain words, as
scribe.py says. `{other_x}` is an x that differs from the one before it.

No sentence names a real drug or disease in plain words, and none names a procedure, a date or a
dose outside a slot: what is not in a slot is not a mention.
"""

from __future__ import annotations

# Said of medications and of allergies alike: only the heading above tells the two apart.
DRUG_ENTRIES = (
    "{drug}",
    "{drug}, first recorded in {past}",
    "{drug} {dose}, last taken in {past}",
    "{drug}, listed by Dr. {person}",
    "{drug} (per the pharmacy record of {past})",
    "{drug} {dose} {route}, entered by Dr. {person}",
    "{drug} and {other_drug}, both last given in {past}",
    "{drug}: reviewed with the patient on admission",
    "{drug}, date of the last dose uncertain",
    "{drug}, see the outside record of {past}",
    "{drug} {dose}, taken for {disease} until {past}",
    "{drug}, named in the letter from Dr. {person}",
    "{drug}, some nausea at {dose}",
    "{drug}, reported by the patient and confirmed by the pharmacy",
    "{drug} {dose}, itching noted in {past}",
    "{drug} or a relative of it, name given by the family",
    "{drug}, also known to Dr. {person} from a visit in {past}",
    "{drug}, verified with the bottle brought from home",
)

# Said of allergies only.
REACTIONS = (
    "{drug} (hives)",
    "{drug} - swelling of the lips in {past}",
    "{drug}: rash",
    "throat closed up after {drug} in {past}, no rechallenge",
    "wheezing within {n} minutes of {drug} {dose}",
    "intolerance of {drug} (diarrhea)",
)

# Said of medications only.
ORDERS = (
    "{drug} {dose} {route} {freq}",
    "{drug} {dose} {route} {freq} for {disease}",
    "{drug} {dose}, one dose {route} {freq}",
    "{drug} {dose} {freq} as needed for {symptom}",
    "{drug} {dose} {route} {freq}, take with food",
    "{drug} {dose} {freq}, last filled {past}",
)
CHANGES = (
    "NEW: {drug} {dose} {route} {freq}",
    "CHANGED: {drug} from {dose} to {other_dose} {freq}",
    "CONTINUE {drug} {dose} {route} {freq}",
    "STOP {drug}, replaced by {other_drug} {dose}",
    "{drug} {dose} {route} {freq} through {soon}",
)

# Said of the patient's diseases and of the family's alike.
DISEASE_ENTRIES = (
    "{disease}",
    "{disease}, first noted in {past}",
    "{disease}, followed by Dr. {person}",
    "{disease} since {past}, treated with {drug} {dose}",
    "{disease}: recorded in {past}, stable when last reviewed",
    "{disease} (onset at age {age}), managed with {drug}",
    "{disease}, confirmed by {study} in {past}",
    "diagnosis of {disease} made in {past} by Dr. {person}",
    "{disease} and {other_disease}, both first noted in {past}",
    "{disease}, without further episodes after {past}",
    "long course of {disease} with a remission in {past}",
    "the outside record of {past} lists {disease}",
    "{disease}, quiescent on {drug}",
    "{disease}, never treated",
    "{disease}, already present in {past} according to Dr. {person}",
    "{disease}, severe, requiring {operation} in {past}",
    "{disease}, later complicated by {other_disease}",
    "question of {disease}, not settled by {study}",
)

# Said of the family only, and of the patient only.
RELATIVES = (
    "{relative} with {disease}",
    "{relative} died of {disease} at age {age}",
    "{disease} in a {side} {relative}",
    "{relative} and {other_relative}: {disease}",
    "{relative} (deceased {past}): {disease} and {other_disease}",
)
OWN_HISTORY = (
    "{disease}, for which {he} sees Dr. {person}",
    "{disease}; {he} was last admitted for it in {past}",
    "{disease}, well controlled at home with {drug} {dose} {freq}",
    "{he} has had {disease} since {past}",
)

SURGERIES = (
    "{operation}",
    "{operation}, {past}",
    "{operation} in {past} (Dr. {person})",
    "{operation} for {disease}, {past}",
    "{operation}, {past}, uneventful recovery",
    "status post {operation}, date unknown",
    "{operation} and later {other_operation}, {past}",
    "{operation} at an outside hospital in {past}",
)

PERFORMED = (
    "{procedure}, {date}",
    "{date}: {procedure}",
    "{procedure} by Dr. {person} on {date}",
    "{study}, unremarkable",
    "{study}, {date}: consistent with {disease}",
    "{operation} ({date}, Dr. {person})",
    "{procedure} on {date}, no complications",
    "{study} on arrival and again on {date}",
)

PROCEDURE_NARRATIVE = (
    "{study} on {date} showed no new changes.",
    "{he} underwent {procedure} on {date} without complications.",
    "Dr. {person} arranged {procedure} for the next morning.",
    "After {procedure} {he} was monitored for {n} hours.",
    "The findings on {study} were consistent with {disease}.",
    "The planned {procedure} was deferred at the patient's request.",
    "{study} was repeated on {date} and was unchanged.",
    "{he} was kept fasting for {procedure}, which went well.",
    "Consent for {procedure} was obtained by Dr. {person}.",
    "{study} and {other_study} were reviewed together at the conference.",
    "Results of {study} were discussed with the patient on {date}.",
    "There was minor oozing after {procedure}, which stopped with pressure.",
)

DRUG_NARRATIVE = (
    "{drug} {dose} {route} {freq} was started on {date}.",
    "{drug} was held on {date} because of a rising creatinine and resumed at {dose}.",
    "{he} was treated with {drug} and improved over the next {n} days.",
    "The dose of {drug} was raised from {dose} to {other_dose}.",
    "{drug} was changed to {other_drug} {dose} on the advice of Dr. {person}.",
    "After two doses of {drug} there was no more {symptom}.",
    "{drug} was weaned over {n} days without recurrence.",
    "{he} received {drug} {dose} in the emergency department.",
    "A trial of {drug} was stopped after {n} days for lack of effect.",
    "The level of {drug} was within the target range on {date}.",
    "A rash on the trunk appeared and {drug} was discontinued.",
    "{he} tolerated {drug} well apart from mild nausea.",
    "{drug} {dose} {route} was given once before transfer.",
    "On {drug} the heart rate stayed below {pulse}.",
    "{his} home {drug} was continued at {dose} {freq}.",
    "{his} home {drug} was not given during the first {n} days.",
    "Overnight {he} needed {drug} {dose} twice for {symptom}.",
    "{drug} and {other_drug} were given together until {date}.",
    "There was no response to {drug}, so {other_drug} was added.",
    "Itching after {drug} {dose} settled by itself.",
    "Pharmacy advised against combining {drug} with {other_drug}.",
    "{drug} was loaded at {dose} and then given at {other_dose} {freq}.",
    "The last dose of {drug} was given on {date}.",
    "{drug} was avoided because {he} remembered hives in {past}.",
    "The plan is {n} weeks of {drug} in all.",
    "{drug} was tapered to {dose} by {date} and then stopped.",
)

DISEASE_NARRATIVE = (
    "{disease} was treated with {drug} {dose} {freq}.",
    "Dr. {person} recommended {drug} for {disease}.",
    "The picture was most consistent with {disease}.",
    "{his} {disease} remained stable throughout the stay.",
    "{he} is known to have {disease}, last reviewed in {past}.",
    "A flare of {disease} was suspected on {date} but not confirmed.",
    "There was concern for {disease}, and {study} was arranged.",
    "There was no evidence of {disease} on {study}.",
    "{disease} was thought less likely than {other_disease}.",
    "The course was complicated by {disease} on {date}.",
    "With {disease} in mind, {drug} was continued.",
    "{he} has lived with {disease} since {past} and copes well.",
    "Symptoms of {disease} had resolved by {date}.",
    "The diagnosis of {disease} was explained to {him} by Dr. {person}.",
    "{disease} and {other_disease} may both contribute to the {symptom}.",
)

PERSON_NARRATIVE = (
    "Dr. {person} was consulted on {date}.",
    "The case was discussed with Dr. {person} from {service}.",
    "{service} (Dr. {person}) followed along.",
    "{his} sister, {full_name}, was called on {date}.",
    "Seen by {full_name}, RN, who found {him} comfortable.",
    "Per Dr. {person}, no further workup is needed at this time.",
    "{title} {patient} agreed with this plan.",
    "{title} {patient} walked the hall with {full_name} from physical therapy.",
    "{full_name}, PharmD, reviewed the orders on {date}.",
    "Dr. {person} and Dr. {other_person} met with the family on {date}.",
    "Care was handed over from Dr. {person} to Dr. {other_person}.",
)

OPENINGS = (
    "{title} {patient} is {an_age}-year-old {sex} with {disease} who presented on {date} with {symptom}.",
    "This {own_age}-year-old {sex} with known {disease} and {other_disease} was brought in by the "
    "family for {symptom} of {n} days.",
    "{title} {patient}, {own_age} years old, was sent by Dr. {person} because of {symptom} and "
    "worsening {disease}.",
    "The patient is {an_age}-year-old {sex}, in {his} usual health until {n} days before "
    "admission, when {he} noticed {symptom}.",
)
PRESENTATION = (
    "{he} had run out of {drug} about {n} days earlier.",
    "{he} took {drug} {dose} at home with partial relief.",
    "{he} had last been seen by Dr. {person} in {past}.",
    "At an outside hospital {he} was given {drug} {dose} {route}.",
    "In the emergency department {study} was done.",
    "There was no {symptom} and no {other_symptom}.",
    "There was more {symptom} at night and less on sitting up.",
    "{he} had never had {symptom} like this before.",
    "{his} {disease} had been quiet since {past}.",
    "{he} denied any recent travel or sick contacts.",
    "The family noted that {he} had been eating less.",
    "A similar spell in {past} was put down to {disease}.",
)

PROBLEM_OPENINGS = (
    "{disease}.",
    "{disease}: on arrival {he} had {symptom}.",
    "{disease} (Dr. {person}).",
    "{disease}, known since {past}.",
)

# What a paragraph of a progress note starts with.
REVISITED = (
    "{disease}.",
    "{disease}: no change since yesterday.",
    "{disease}, on treatment.",
    "{disease}: better, less {symptom}.",
    "{disease}, discussed with Dr. {person}.",
    "{disease}: slow progress.",
)
CONSULTED = (
    "Seen on {date} at the request of Dr. {person} for {disease}.",
    "Dr. {person} asks about {disease}, with {symptom} for {n} days.",
    "Thank you for asking me to see this {own_age}-year-old {sex} with {disease}.",
)

FOLLOW_UP = (
    "Dr. {person}, {service} clinic, {soon}",
    "Dr. {person} on {soon} to review {drug}",
    "{service} with Dr. {person} within {n} weeks for {disease}",
    "{study} on {soon}",
    "Laboratory draw on {soon}, results to Dr. {person}",
    "Primary care: {full_name}, {soon}",
    "Telephone call from {full_name}, RN, on {soon}",
)
PLANS = (
    "Continue {drug} {dose} {freq} until seen by Dr. {person}",
    "Repeat {study} in {n} weeks",
    "Watch for {symptom}; if it recurs, call the clinic",
    "Weigh daily and call for a gain of more than {n} pounds",
    "Hold {drug} if the pulse is below {pulse}",
    "Dr. {person} to decide on {procedure} after {soon}",
    "Taper {drug} to {dose} from {soon}",
    "Fluid restriction, low salt diet, activity as tolerated",
    "No driving for {n} weeks",
    "{disease}: recheck in {n} weeks",
    "Report pending at discharge: {study}",
)
