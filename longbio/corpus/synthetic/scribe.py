"""Fills templates with the facts of a case, in the hand of one clerk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from random import Random
from typing import Generic, TypeVar

from longbio.corpus.synthetic.builder import NoteBuilder, parse
from longbio.corpus.synthetic.case import (
    STUDIES,
    Case,
    Person,
    form_of,
    invent_dose,
    invent_operation,
    invent_procedure,
    write_date,
    write_dose,
    write_past_date,
)
from longbio.corpus.synthetic.scenery import LABS, PLAIN_SLOTS, lab_value

T = TypeVar("T")
Fact = str | date | Person
Templates = tuple[str, ...]

# The slots that become mentions, and of which type under an ordinary heading.
LABEL_OF_SLOT = {
    "drug": "Drug",
    "dose": "Dosage",
    "disease": "Disease",
    "procedure": "Procedure",
    "study": "Procedure",
    "operation": "Procedure",
    "person": "Person",
    "full_name": "Person",
    "patient": "Person",
    "date": "Date",
    "past": "Date",
    "soon": "Date",
}

PRONOUNS = {
    "man": {"he": "he", "his": "his", "him": "him", "title": "Mr.", "gender": "male"},
    "woman": {"he": "she", "his": "her", "him": "her", "title": "Ms.", "gender": "female"},
}

HEADING_STYLES: tuple[Callable[[str], str], ...] = (
    lambda title: f"{title}:",
    lambda title: title.upper(),
    lambda title: f"{title.upper()}:",
    lambda title: title,
)
BULLETS = ("- ", "* ", "{}. ", "{}) ")


class Deck(Generic[T]):
    """Cards in random order; every one is dealt before any comes again."""

    def __init__(self, cards: Iterable[T], rng: Random) -> None:
        self._cards, self._rng = tuple(cards), rng
        self._left: list[T] = []

    def deal(self) -> T:
        """The next card."""
        if not self._left:
            self._left = self._rng.sample(self._cards, len(self._cards))
        return self._left.pop()


class Scribe:
    """Writes the sections of one note, each into a builder of its own.

    Args:
        case: the facts.
        rng: what decides everything that the case leaves open.
    """

    def __init__(self, case: Case, rng: Random) -> None:
        self.case, self.rng = case, rng
        self.builder = NoteBuilder()
        self.today: date | None = None

        self._heading_style = rng.choice(HEADING_STYLES)
        self._bullet = rng.choice(BULLETS)
        self._capital_entries = rng.random() < 0.7
        self._wide_space_rate = rng.choice((0.0, 0.0, 0.05, 0.3))

        self._template_decks: dict[Templates, Deck[str]] = {}
        self._clinicians = Deck(case.clinicians, rng)
        self._labs = Deck(LABS, rng)
        self._own_drugs = Deck(case.home_drugs + case.ward_drugs, rng)
        self._own_diseases = Deck(case.problems + case.history, rng)

    # Sections

    def begin(
        self,
        *titles: str,
        drugs: tuple[str, ...] | None = None,
        diseases: tuple[str, ...] | None = None,
        relabelled: Mapping[str, str] | None = None,
    ) -> None:
        """Starts a section: a heading on its own line decides what the slots below it mean.

        Args:
            titles: the headings it may have; one is taken.
            drugs, diseases: what `{drug}` and `{disease}` are drawn from here, two or more; the
                patient's own by default.
            relabelled: slot -> entity type, where it is another one than in `LABEL_OF_SLOT`.
        """
        self.builder = NoteBuilder()
        self.today = None
        self._drugs = self._own_drugs if drugs is None else Deck(drugs, self.rng)
        self._diseases = self._own_diseases if diseases is None else Deck(diseases, self.rng)
        self._label_of_slot = {**LABEL_OF_SLOT, **(relabelled or {})}
        self.builder.write(self._heading_style(self.rng.choice(titles)) + "\n")

    def entries(self, count: int, *tables: Templates, weights: tuple[float, ...] = (1.0,)) -> None:
        """Writes `count` entries, each from one of the tables (by weight): a list or one line."""
        is_list = count > 1 and self.rng.random() < 0.75
        for number in range(1, count + 1):
            if is_list:
                self.builder.write(self._bullet.format(number))
            self.say(self._pick(tables, weights), capital=self._capital_entries)
            self._write("\n" if is_list else "; " if number < count else ".\n")

    def lines(self, *templates: str) -> None:
        """Writes each template on a line of its own."""
        for template in templates:
            self.say(template)
            self.builder.write("\n")

    def paragraph(
        self,
        count: int,
        *tables: Templates,
        weights: tuple[float, ...] = (1.0,),
        opening: Templates | None = None,
        **facts: Fact,
    ) -> None:
        """Writes a paragraph of `count` sentences, each from one of the tables (by weight).

        Args:
            count: sentences, besides the opening one.
            tables: of templates that end in a full stop.
            weights: one a table.
            opening: what the first sentence is taken from, if not from the tables.
            facts: slot -> fact, for the opening sentence.
        """
        if opening is not None:
            self.say(self._pick((opening,), (1.0,)), capital=True, **facts)
        for number in range(count):
            if number > 0 or opening is not None:
                self.builder.write("  " if self.rng.random() < self._wide_space_rate else " ")
            self.say(self._pick(tables, weights))
        self.builder.write("\n")

    # Sentences

    def say(self, template: str, *, capital: bool = True, **facts: Fact) -> None:
        """Writes one template, its slots filled.

        Args:
            template: words and {slots}; `phrases.py` lists those.
            capital: whether the first letter is made a capital.
            facts: slot -> what it stands for; anything else is drawn.

        Raises:
            KeyError: there is no such slot.
        """
        chosen = dict(facts)
        drug = ""
        start = self.builder.num_chars
        for words, slot in parse(template):
            at_start = capital and self.builder.num_chars == start
            self._write(_capitalise(words) if at_start else words)
            if slot is None:
                continue

            at_start = at_start and not words
            kind = slot.removeprefix("other_")
            if slot not in chosen:
                chosen[slot] = self._choose(kind, avoid=chosen.get(kind), drug=drug)
            if kind == "drug":
                drug = str(chosen[slot])
            written = self._written(kind, chosen[slot])
            written = _capitalise(written) if at_start else written

            if kind in self._label_of_slot:
                self.builder.mention(written, self._label_of_slot[kind])
            else:
                self.builder.write(written)

    def _pick(self, tables: tuple[Templates, ...], weights: tuple[float, ...]) -> str:
        (table,) = self.rng.choices(tables, weights)
        if table not in self._template_decks:
            self._template_decks[table] = Deck(table, self.rng)
        return self._template_decks[table].deal()

    def _write(self, words: str) -> None:
        """Appends plain words; a full stop after "b.i.d." is not written twice."""
        is_second_stop = words.startswith(".") and self.builder.ends_with(".")
        self.builder.write(words[1:] if is_second_stop else words)

    def _choose(self, kind: str, *, avoid: Fact | None, drug: str) -> Fact:
        """A fact for a slot, other than `avoid`; doses and routes are those of `drug`."""
        while (fact := self._draw(kind, drug)) == avoid:
            pass
        return fact

    def _draw(self, kind: str, drug: str) -> Fact:
        case, rng = self.case, self.rng
        match kind:
            case "drug":
                return self._drugs.deal()
            case "disease":
                return self._diseases.deal()
            case "dose":
                return invent_dose(drug, rng)
            case "route":
                _, _, routes = form_of(drug)
                return rng.choice(routes)
            case "procedure":
                return invent_procedure(rng)
            case "study":
                return rng.choice(STUDIES)
            case "lab":
                return lab_value(self._labs.deal(), rng)
            case "operation":
                return invent_operation(rng)
            case "person" | "full_name":
                return self._clinicians.deal()
            case "patient":
                return case.patient.surname
            case "date":
                return self.today or case.admitted + timedelta(days=rng.randint(0, case.num_days))
            case "past":
                # Within twenty years and after childhood.
                most_days = min(7_300, 365 * (case.age - 15))
                return case.admitted - timedelta(days=rng.randint(200, most_days))
            case "soon":
                return case.discharged + timedelta(days=rng.randint(3, 60))
            case "own_age":
                return str(case.age)
            case "an_age":
                # No patient is 8, 11 or 18: of the ages here only eighty-odd begin with a vowel.
                return f"{'an' if 80 <= case.age < 90 else 'a'} {case.age}"
            case "age":
                return str(rng.randint(30, 90))
            case "weight":
                return f"{case.weight_kg + rng.uniform(-2.5, 0.5):.1f} kg"
            case "sex":
                return case.sex
            case "he" | "his" | "him" | "title" | "gender":
                return PRONOUNS[case.sex][kind]
            case _:
                return PLAIN_SLOTS[kind](rng)

    def _written(self, kind: str, fact: Fact) -> str:
        """The fact as this clerk writes it."""
        if isinstance(fact, Person):
            return fact.full_name if kind == "full_name" else fact.write_name(self.rng)
        if isinstance(fact, date):
            if kind == "past":
                return write_past_date(fact, self.case.date_style, self.rng)
            return write_date(fact, self.case.date_style)
        if kind == "dose":
            return write_dose(fact, self.rng)
        if kind == "drug":
            casing = self.rng.random()
            return fact.upper() if casing < 0.07 else fact.capitalize() if casing < 0.3 else fact
        if kind == "disease" and self.rng.random() < 0.03:
            return fact.upper()
        return fact


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]
