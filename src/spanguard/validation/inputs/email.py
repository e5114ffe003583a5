"""Addresses of mail, judged by their syntax alone: no DNS is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from email_validator import validate_email

from spanguard.validation.inputs.options import bad_flag, check
from spanguard.validation.inputs.threat_policy import ThreatPolicy, bad_policy
from spanguard.validation.inputs.url import bad_hosts, is_listed, plain_host
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult, refused

MAX_LENGTH: Final = 254
"""The most characters of an address; the library counts its bytes (RFC 5321, 4.5.3.1.3: a path has 256 with its brackets)."""

MAX_LOCAL: Final = 64
"""The most characters before the @, as they are sent, without quotes around them (RFC 5321, 4.5.3.1.1)."""

_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")

_NOT_A_STRING: Final = refused(Problem("not_a_string", "It must be text."))
_TOO_LONG: Final = refused(Problem("too_long", f"It may have at most {MAX_LENGTH} characters.", (), MAX_LENGTH))
_BAD_CHARACTERS: Final = refused(
    Problem("bad_characters", "It holds a line break, a control or a character that nobody sees.")
)
_QUOTED: Final = refused(
    Problem("quoted_local_part", "Its part before the @ stands in quotes, which most mail servers refuse.")
)
_NOT_AN_EMAIL: Final = refused(
    Problem(
        "not_an_email",
        "It must be one address and nothing else, such as name@example.com, with a domain that mail can be sent to.",
    )
)
_INTERNATIONAL: Final = Problem(
    "international_email", "It has letters beyond a-z, which others may look like and not every mail server takes."
)
_DOMAIN_NOT_ALLOWED: Final = Problem("domain_not_allowed", "Its domain is none of those that are allowed.")
_DOMAIN_BLOCKED: Final = Problem("domain_blocked", "Its domain is one of those that are blocked.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailType(ThreatPolicy):
    """One address of mail, such as name@example.com. Whether somebody reads it only a mail can tell.

    Spaces around it are dropped. The clean value has its domain in lower-case ASCII (IDNA) and is composed (NFC).
    Refused are comments, display names, addresses in brackets, domains without a dot, and domains that are kept for
    other uses (`.test`, `.local`, `.invalid`).

    Args:
        international: allow letters beyond ASCII, before the @ (RFC 6531) and in the domain (IDNA); they come with a warning.
        quoted: allow a part before the @ in quotes, such as `"a b"@example.com`, where any character can stand.
        domains: the only domains that are allowed; `example.com` is that domain alone, `.example.com` also all below it.
            None for no such list.
        blocked_domains: domains that are refused, with all that are below them.
        threats: see `ThreatPolicy`. An address may hold an attack and be valid: `x'or'1'='1'--@example.com` is.
        profile: see `ThreatPolicy`.
        families: see `ThreatPolicy`.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """

    name: ClassVar[str] = "email"
    international: bool = True
    quoted: bool = False
    domains: Collection[str] | None = None
    blocked_domains: Collection[str] = ()

    def __post_init__(self) -> None:
        check(self.name, self._problems())
        for option in ("domains", "blocked_domains"):
            if (given := getattr(self, option)) is not None:
                object.__setattr__(self, option, frozenset(map(plain_host, given)))

    def _problems(self) -> Iterator[str]:
        yield from bad_flag("international", self.international)
        yield from bad_flag("quoted", self.quoted)
        yield from bad_hosts("domains", self.domains, is_optional=True)
        yield from bad_hosts("blocked_domains", self.blocked_domains)
        yield from bad_policy(self)

    def validate(self, value: object) -> ValidationResult[str]:
        """Judge any object; see `InputType`."""
        if not issubclass(type(value), str):
            return _NOT_A_STRING
        text = str.__str__(value)
        if len(text) > MAX_LENGTH:
            return _TOO_LONG
        text = text.strip(" ")
        flaw = self._flaw(text)
        if flaw is not None:
            return flaw
        try:
            found = validate_email(text, check_deliverability=False, allow_quoted_local=self.quoted)
        except ValueError:  # of the library, and of its parts where it lets one pass
            return _NOT_AN_EMAIL
        if len(found.local_part.strip('"')) > MAX_LOCAL:  # composing can lengthen it
            return _NOT_AN_EMAIL
        domain = found.ascii_domain.lower()
        address = f"{found.local_part}@{domain}"
        is_plain = found.local_part.isascii() and "xn--" not in domain
        errors = [*self._refused(domain, is_plain=is_plain)]
        return refused(*errors) if errors else self.judged(address, () if is_plain else (_INTERNATIONAL,))

    def _flaw(self, text: str) -> ValidationResult[Any] | None:
        if _UNSEEN.search(text):
            return _BAD_CHARACTERS
        if text.startswith('"') and not self.quoted:
            return _QUOTED
        # Before the library looks: for what has no @ it composes a window of the text at each character.
        local, at, _ = text.rpartition("@")
        return None if at and len(local.strip('"')) <= MAX_LOCAL else _NOT_AN_EMAIL

    def _refused(self, domain: str, *, is_plain: bool) -> Iterator[Problem]:
        if not self.international and not is_plain:
            yield _INTERNATIONAL
        if self.domains is not None and not is_listed(domain, self.domains):
            yield _DOMAIN_NOT_ALLOWED
        if self.blocked_domains and is_listed(domain, self.blocked_domains, with_all_below=True):
            yield _DOMAIN_BLOCKED
