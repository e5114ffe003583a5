"""Cleaning: text made harmless for where it goes."""

from spanguard.validation.sanitizers.content import ContentSanitizer
from spanguard.validation.sanitizers.contexts import (
    MAX_TEXT,
    csv_cell,
    html_attribute,
    js_string,
    log_line,
    plain_text,
    shell_argument,
    url_parameter,
)
from spanguard.validation.sanitizers.filename import MAX_FILENAME_BYTES, clean_filename
from spanguard.validation.sanitizers.html import MAX_HTML, HtmlPolicy, clean_html
from spanguard.validation.sanitizers.json_text import MAX_JSON, MAX_JSON_DEPTH, UNSAFE_KEYS, clean_json, read_json
from spanguard.validation.sanitizers.text import clean_text

__all__ = [
    "MAX_FILENAME_BYTES",
    "MAX_HTML",
    "MAX_JSON",
    "MAX_JSON_DEPTH",
    "MAX_TEXT",
    "UNSAFE_KEYS",
    "ContentSanitizer",
    "HtmlPolicy",
    "clean_filename",
    "clean_html",
    "clean_json",
    "clean_text",
    "csv_cell",
    "html_attribute",
    "js_string",
    "log_line",
    "plain_text",
    "read_json",
    "shell_argument",
    "url_parameter",
]
