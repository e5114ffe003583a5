"""All the cleaners with limits of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spanguard.errors import ConfigurationError
from spanguard.validation.sanitizers import contexts
from spanguard.validation.sanitizers.filename import MAX_FILENAME_BYTES, MIN_FILENAME_BYTES, clean_filename
from spanguard.validation.sanitizers.html import MAX_HTML, HtmlPolicy, clean_html
from spanguard.validation.sanitizers.json_text import MAX_JSON, MAX_JSON_DEPTH, clean_json

_LIMITS: Final = {
    "max_length": (1_000, 10_000_000),
    "max_html": (1_000, 1_000_000),
    "max_json": (1_000, 10_000_000),
    "max_json_depth": (1, 200),
    "max_filename_bytes": (MIN_FILENAME_BYTES, MAX_FILENAME_BYTES),
}


@dataclass(frozen=True, slots=True)
class ContentSanitizer:
    """Text made harmless for where it goes. No input makes a method raise; what is not a string counts as an empty text.

    Each method leaves what it returned itself as it is: f(f(x)) == f(x). Each takes time linear in the input up to its
    limit, and reads little beyond it. It holds no state: share one among threads and tasks.

    Args:
        max_length: characters of a text that are kept.
        max_html: characters of HTML that are read, and the most that come out.
        max_json: characters of JSON that are read, and the most that come out.
        max_json_depth: lists and objects one within the other.
        max_filename_bytes: bytes of a file name in UTF-8.
        keep_joiners: keep U+200C and U+200D in plain text; see `clean_text`.
    """

    max_length: int = contexts.MAX_TEXT
    max_html: int = MAX_HTML
    max_json: int = MAX_JSON
    max_json_depth: int = MAX_JSON_DEPTH
    max_filename_bytes: int = MAX_FILENAME_BYTES
    keep_joiners: bool = False

    def __post_init__(self) -> None:
        """Refuse limits that are out of range.

        Raises:
            ConfigurationError: all that is wrong, in one message.
        """
        problems = [f"sanitizer: {problem}" for problem in self._problems()]
        if problems:
            raise ConfigurationError(problems)

    def _problems(self) -> Iterator[str]:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                yield f"{name} is {value!r}; it must be a whole number from {least} to {most}."
        if type(self.keep_joiners) is not bool:
            yield f"keep_joiners is {self.keep_joiners!r}; it must be True or False."

    def html(self, text: str, policy: HtmlPolicy = "basic") -> str:
        """Return HTML with the elements that the policy allows; see `clean_html`."""
        return clean_html(text, policy, max_length=self.max_html)

    def text(self, text: str) -> str:
        """Return plain text without what is not seen; see `clean_text`."""
        return contexts.plain_text(text, max_length=self.max_length, keep_joiners=self.keep_joiners)

    def filename(self, name: str) -> str:
        """Return a name for a file on any system; see `clean_filename`."""
        return clean_filename(name, max_bytes=self.max_filename_bytes)

    def json(self, text: str) -> str:
        """Return JSON that all readers read alike; see `clean_json`."""
        return clean_json(text, max_length=self.max_json, max_depth=self.max_json_depth)

    def html_attribute(self, text: str) -> str:
        """Return the text for an attribute between quotes; see `html_attribute`."""
        return contexts.html_attribute(text, max_length=self.max_length)

    def js_string(self, text: str) -> str:
        """Return the text for a string of JavaScript between quotes; see `js_string`."""
        return contexts.js_string(text, max_length=self.max_length)

    def url_parameter(self, text: str) -> str:
        """Return the text for a parameter in a URL; see `url_parameter`."""
        return contexts.url_parameter(text, max_length=self.max_length)

    def csv_cell(self, text: str) -> str:
        """Return the text for a cell that a spreadsheet will open; see `csv_cell`."""
        return contexts.csv_cell(text, max_length=self.max_length)

    def log_line(self, text: str) -> str:
        """Return the text as part of one line of a log; see `log_line`."""
        return contexts.log_line(text, max_length=self.max_length)

    def shell_argument(self, text: str) -> str:
        """Return the text as one argument for a POSIX shell; see `shell_argument`, and better use none."""
        return contexts.shell_argument(text, max_length=self.max_length)
