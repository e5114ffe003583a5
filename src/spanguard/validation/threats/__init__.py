"""Known shapes of attacks in text: a defence in depth, measured, never a promise. Pure: no telemetry, no input kept."""

from spanguard.validation.threats.canonical import canonical
from spanguard.validation.threats.detection import detect
from spanguard.validation.threats.report import ALL, THRESHOLD, Family, Finding, Profile, ThreatReport

__all__ = ["ALL", "THRESHOLD", "Family", "Finding", "Profile", "ThreatReport", "canonical", "detect"]
