"""What the threat rules catch and what they accuse wrongly, on public corpora: `make threats-report CORPORA=folder`.

The held-out half is what counts and what docs/threats.md quotes; rules are changed by the other half alone
(`--development`, with `--missed FAMILY` or `--accused KIND` to see the texts). threat_corpora.py says what the folder holds.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from threat_corpora import Sample, attacks, harmless

from spanguard.validation.threats import Family, Profile, detect
from spanguard.validation.threats.detection import RULES

FAMILIES: tuple[Family, ...] = get_args(Family)
PROFILES: tuple[Profile, ...] = get_args(Profile)


@dataclass
class Tally:
    """How many texts there were, and how many were taken for a threat."""

    texts: int = 0
    found: Counter[str] = field(default_factory=Counter)

    def share(self, what: str) -> str:
        """The share of the texts in percent."""
        return f"{100 * self.found[what] / self.texts:.2f} %" if self.texts else "-"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table of Markdown."""
    print("|", " | ".join(head), "|")
    print("|" + "-|" * len(head))
    for row in rows:
        print("|", " | ".join(str(cell) for cell in row), "|")
    print()


def measure_attacks(samples: list[Sample], missed: str | None) -> None:
    """Print the share of the attacks that their own family's rules find."""
    families: defaultdict[str, Tally] = defaultdict(Tally)
    corpora: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
    for sample in samples:
        for tally in (families[sample.kind], corpora[sample.kind, sample.corpus]):
            tally.texts += 1
            for profile in PROFILES:
                report = detect(sample.text, profile=profile)
                tally.found[profile] += sample.kind in report.families
        if sample.kind == missed and sample.kind not in detect(sample.text).families:
            print(f"missed: {sample.corpus}: {sample.text[:200]!r}")
    head = ("texts", *(f"found, {profile}" for profile in PROFILES))
    table(("attack", *head), ((kind, t.texts, *map(t.share, PROFILES)) for kind, t in families.items()))
    table(("attack", "list", *head), ((*key, t.texts, *map(t.share, PROFILES)) for key, t in corpora.items()))


def measure_harmless(samples: list[Sample], accused: str | None) -> None:
    """Print the share of the harmless texts that are taken for a threat."""
    kinds: defaultdict[str, Tally] = defaultdict(Tally)
    for sample in samples:
        tally = kinds[sample.kind]
        tally.texts += 1
        for profile in PROFILES:
            report = detect(sample.text, profile=profile)
            tally.found[profile] += bool(report)
            if profile == "parameter":
                tally.found.update(report.families)
                if report and sample.kind == accused:
                    rules = ", ".join(finding.rule for finding in report.findings)
                    print(f"accused: {sample.corpus}: {sample.text[:200]!r}: {rules}")
    head = ("harmless", "texts", *PROFILES, *(f"{family}, parameter" for family in FAMILIES))
    table(head, ((kind, t.texts, *map(t.share, PROFILES), *map(t.share, FAMILIES)) for kind, t in kinds.items()))


def measure_rules(found: list[Sample], accused: list[Sample]) -> None:
    """Print for each rule how many attacks of its family it meets, how many no other does, and what it meets wrongly."""
    met: Counter[tuple[str, str]] = Counter()
    alone: Counter[tuple[str, str]] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    for sample in found:
        rules = [finding for finding in detect(sample.text).findings if finding.family == sample.kind]
        met.update((sample.kind, finding.rule) for finding in rules)
        if len(rules) == 1:
            alone[sample.kind, rules[0].rule] += 1
    for sample in accused:
        report = detect(sample.text)
        wrong.update((f.family, f.rule) for f in report.findings if f.family in report.families)
    rows = (
        (family, rule.name, rule.parameter, rule.prose, *(count[family, rule.name] for count in (met, alone, wrong)))
        for family, rules in RULES.items()
        for rule in rules
    )
    table(("family", "rule", "parameter", "prose", "attacks", "alone", "in accused texts"), rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--development", action="store_true", help="the half that rules are changed by")
    parser.add_argument("--missed", choices=FAMILIES, help="print the attacks that were not found (development only)")
    parser.add_argument("--accused", help="print the harmless texts of a kind that were found (development only)")
    chosen = parser.parse_args()
    if not chosen.development and (chosen.missed or chosen.accused):
        parser.error("--missed and --accused need --development: who looks at the held-out half cannot measure by it.")
    found = [sample for sample in attacks(chosen.corpora) if sample.held_out != chosen.development]
    accused = [sample for sample in harmless(chosen.corpora) if sample.held_out != chosen.development]
    if not found or not accused:
        parser.error(f"{chosen.corpora} holds no corpora that are known; scripts/threat_corpora.py says which are.")
    print(f"## {'Development' if chosen.development else 'Held-out'} half\n")
    measure_attacks(found, chosen.missed)
    measure_harmless(accused, chosen.accused)
    measure_rules(found, accused)


if __name__ == "__main__":
    main()
