"""Read public corpora of attacks and of harmless text, clean them, and split them: development and held-out.

The corpora stay outside the repository. Clone what you want of REPOSITORIES into one folder, each under its own name:

    corpora/PayloadsAllTheThings/   corpora/fuzzdb/   corpora/git/   ...

What is missing is left out. A text is used once per family or kind, whatever number of lists hold it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import yaml

# Folder: where it is from, and its licence.
REPOSITORIES = {
    "PayloadsAllTheThings": ("github.com/swisskyrepo/PayloadsAllTheThings", "MIT"),
    "fuzzdb": ("github.com/fuzzdb-project/fuzzdb", "BSD-3-Clause and CC-BY-3.0"),
    "sql-injection-payload-list": ("github.com/payloadbox/sql-injection-payload-list", "MIT"),
    "xss-payload-list": ("github.com/payloadbox/xss-payload-list", "MIT"),
    "command-injection-payload-list": ("github.com/payloadbox/command-injection-payload-list", "MIT"),
    "rfi-lfi-payload-list": ("github.com/payloadbox/rfi-lfi-payload-list", "MIT"),
    "gotestwaf": ("github.com/wallarm/gotestwaf", "MIT"),
    "libinjection": ("github.com/client9/libinjection", "BSD-3-Clause"),
    "big-list-of-naughty-strings": ("github.com/minimaxir/big-list-of-naughty-strings", "MIT"),
    "git": ("github.com/git/git", "GPL-2.0"),
    "redis": ("github.com/redis/redis", "RSALv2, SSPLv1 or AGPLv3"),
    "sqlalchemy": ("github.com/sqlalchemy/sqlalchemy", "MIT"),
    "flask": ("github.com/pallets/flask", "BSD-3-Clause"),
    "requests": ("github.com/psf/requests", "Apache-2.0"),
    "faker": ("github.com/joke2k/faker", "MIT"),
    "express": ("github.com/expressjs/express", "MIT"),
    "tldr": ("github.com/tldr-pages/tldr", "CC-BY-4.0"),
    "awesome": ("github.com/sindresorhus/awesome", "CC0-1.0"),
    "free-programming-books": ("github.com/EbookFoundation/free-programming-books", "CC-BY-4.0"),
    "public-apis": ("github.com/public-apis/public-apis", "MIT"),
    "progit2": ("github.com/progit/progit2", "CC-BY-NC-SA-3.0"),
    "peps": ("github.com/python/peps", "public domain or CC0-1.0"),
    "book": ("github.com/rust-lang/book", "MIT or Apache-2.0"),
    "ansible-documentation": ("github.com/ansible/ansible-documentation", "GPL-3.0"),
    "coding-interview-university": ("github.com/jwasham/coding-interview-university", "CC-BY-SA-4.0"),
    "awesome-selfhosted": ("github.com/awesome-selfhosted/awesome-selfhosted", "CC-BY-SA-3.0"),
    "free-for-dev": ("github.com/ripienaar/free-for-dev", "none stated"),
    "Pride-and-Prejudice_1342": ("github.com/GITenberg/Pride-and-Prejudice_1342", "public domain in the USA"),
    "The-Adventures-of-Sherlock-Holmes_1661": (
        "github.com/GITenberg/The-Adventures-of-Sherlock-Holmes_1661",
        "public domain in the USA",
    ),
    "uap-core": ("github.com/ua-parser/uap-core", "Apache-2.0"),
    "curl": ("github.com/curl/curl", "curl (MIT-like)"),
    "jquery": ("github.com/jquery/jquery", "MIT"),
    "django-rest-framework": ("github.com/encode/django-rest-framework", "BSD-3-Clause"),
    "werkzeug": ("github.com/pallets/werkzeug", "BSD-3-Clause"),
    "framework": ("github.com/laravel/framework", "MIT"),
    "psycopg": ("github.com/psycopg/psycopg", "LGPL-3.0"),
    "awesome-python": ("github.com/vinta/awesome-python", "CC-BY-4.0"),
    "brew": ("github.com/Homebrew/brew", "BSD-2-Clause"),
    "computer-science": ("github.com/ossu/computer-science", "MIT"),
    "awesome-courses": ("github.com/prakhar1989/awesome-courses", "none stated"),
    "remote-jobs": ("github.com/remoteintech/remote-jobs", "ISC"),
    "weekly": ("github.com/ruanyf/weekly", "none stated"),
    "papers-we-love": ("github.com/papers-we-love/papers-we-love", "none stated"),
    "spark_log_analyzer": ("github.com/0x333333/spark_log_analyzer", "none stated"),
    "NameDatabases": ("github.com/smashew/NameDatabases", "Unlicense"),
    "examples": ("github.com/elastic/examples", "Apache-2.0"),
    "adblock-rust": ("github.com/brave/adblock-rust", "MPL-2.0"),
    "url-various-datasets": ("github.com/ada-url/url-various-datasets", "MIT or Apache-2.0; kasztp.txt: MIT"),
}
HARMLESS = (
    "git", "redis", "sqlalchemy", "flask", "requests", "faker", "express", "tldr", "awesome",
    "free-programming-books", "public-apis", "progit2", "peps", "book", "ansible-documentation",
    "coding-interview-university", "awesome-selfhosted", "free-for-dev", "Pride-and-Prejudice_1342",
    "The-Adventures-of-Sherlock-Holmes_1661", "curl", "jquery", "django-rest-framework", "werkzeug", "framework", "psycopg",
    "awesome-python", "brew", "computer-science", "awesome-courses", "remote-jobs", "weekly", "papers-we-love",
)  # fmt: skip
# Addresses that pages of the web asked browsers for, as they were sent.
REQUESTS = (
    "adblock-rust/data/test/sitelist.txt",
    "adblock-rust/data/matching-test-requests.json",
    "adblock-rust/data/regressions.tsv",
    "url-various-datasets/others/kasztp.txt",
)
# An interface of Facebook for a dialect of SQL: to find an SQL query in what is sent to it is no mistake.
TAKE_SQL = ("/fql",)
DOCUMENTS = (".md", ".rst", ".adoc", ".asc", ".asciidoc")


@dataclass(frozen=True, slots=True)
class Sample:
    """A text, the family of its attack or the kind of harmless text, and the list it is from."""

    kind: str
    corpus: str
    text: str

    @property
    def held_out(self) -> bool:
        """The same answer for texts that differ in numbers, case or repetition alone: near copies stay on one side."""
        shape = re.sub(r"\d+", "0", self.text.lower())
        shape = re.sub(r"(.{2,12}?)\1+", r"\1", shape[:2_000])
        return hashlib.sha256(shape.encode("utf-8", "replace")).digest()[0] % 2 == 1


def text_of(path: Path) -> str:
    """The text of a file, as UTF-8 or, failing that, Latin-1."""
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def lines(path: Path) -> Iterator[str]:
    """One attack a line; `#` alone or before a space begins a comment."""
    for line in text_of(path).split("\n"):
        if not re.match(r"\s*#+(\s|$|!)", line):
            yield line


def fenced(path: Path) -> Iterator[str]:
    """The lines of the unnamed fenced blocks of a page that lists its attacks in them."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text_of(path), re.MULTILINE | re.DOTALL):
        yield from block.split("\n")


def cases(path: Path) -> Iterator[str]:
    """The payloads of a gotestwaf case."""
    # Their own reader takes \\' within double quotes; YAML does not.
    document = yaml.safe_load(path.read_text().replace("\\'", "'"))
    if document.get("payload"):
        yield from (payload for payload in document["payload"] if isinstance(payload, str))


def naughty(*sections: str) -> Callable[[Path], Iterator[str]]:
    """The named sections of the Big List of Naughty Strings."""

    def read(path: Path) -> Iterator[str]:
        inside = False
        before = ""
        for line in text_of(path).split("\n"):
            if line.startswith("#"):
                if not before.startswith("#"):
                    inside = line.strip("#\t ") in sections
            elif inside:
                yield line
            before = line

    return read


PATT, BLNS = "PayloadsAllTheThings", "big-list-of-naughty-strings/blns.txt"
ATTACKS: dict[str, tuple[tuple[str, Callable[[Path], Iterator[str]]], ...]] = {
    "sql_injection": (
        (f"{PATT}/SQL Injection/Intruder/*", lines),
        ("fuzzdb/attack/sql-injection/*/*.txt", lines),
        ("sql-injection-payload-list/Intruder/detect/*.txt", lines),
        ("sql-injection-payload-list/Intruder/detect/[MOx]*/*.txt", lines),
        ("sql-injection-payload-list/Intruder/exploit/**/*.txt", lines),
        ("sql-injection-payload-list/README.md", fenced),
        ("libinjection/data/sqli-*.txt", lines),
        ("gotestwaf/testcases/owasp/sql-injection.yml", cases),
        ("gotestwaf/testcases/community/community-*sqli.yml", cases),
        (BLNS, naughty("SQL Injection")),
    ),
    "xss": (
        (f"{PATT}/XSS Injection/Intruders/[BIJMR]*.txt", lines),
        (f"{PATT}/XSS Injection/Intruders/XSS*.txt", lines),
        (f"{PATT}/XSS Injection/Intruders/xss_[apq]*.txt", lines),
        (f"{PATT}/XSS Injection/Intruders/jsonp_endpoint.txt", lines),
        ("fuzzdb/attack/xss/xss-*.txt", lines),
        ("fuzzdb/attack/xss/XSSPolyglot.txt", lines),
        ("xss-payload-list/Intruder/xss-payload-list.txt", lines),
        ("libinjection/data/xss-*.txt", lines),
        ("gotestwaf/testcases/owasp/xss-scripting.yml", cases),
        ("gotestwaf/testcases/community/community-*xss.yml", cases),
        (BLNS, naughty("Script Injection")),
    ),
    "command_injection": (
        (f"{PATT}/Command Injection/Intruder/*.txt", lines),
        ("fuzzdb/attack/os-cmd-execution/OSCommandInject.Windows.txt", lines),
        ("fuzzdb/attack/os-cmd-execution/command-execution-unix.txt", lines),
        ("command-injection-payload-list/README.md", fenced),
        ("gotestwaf/testcases/owasp/shell-injection.yml", cases),
        ("gotestwaf/testcases/owasp/rce.yml", cases),
        ("gotestwaf/testcases/community/community-*rce.yml", cases),
        (BLNS, naughty("Server Code Injection", "Command Injection (Ruby)")),
    ),
    "path_traversal": (
        (f"{PATT}/Directory Traversal/Intruder/*.txt", lines),
        (f"{PATT}/File Inclusion/Intruders/[BJLMT]*.txt", lines),
        (f"{PATT}/File Inclusion/Intruders/Windows-files.txt", lines),
        (f"{PATT}/File Inclusion/Intruders/dot-slash-*.txt", lines),
        (f"{PATT}/File Inclusion/Intruders/simple-check.txt", lines),
        ("fuzzdb/attack/lfi/*.txt", lines),
        ("fuzzdb/attack/path-traversal/*.txt", lines),
        ("rfi-lfi-payload-list/README.md", fenced),
        ("gotestwaf/testcases/owasp/path-traversal.yml", cases),
        ("gotestwaf/testcases/community/community-lfi.yml", cases),
        (BLNS, naughty("File Inclusion")),
    ),
}

# What a line must hold to be an attack at all. The lists are dirty: headings, single quotes, names of commands,
# credits. These are wide on purpose, and know nothing of the rules.
_SQL_WORDS = (
    r"union|select|insert|update|delete|drop|exec|order by|group by|having|waitfor|sleep|benchmark|or|and|where"
)
_NEEDS = {
    "sql_injection": re.compile(rf"['\"`;()=<>|&+@#%\u2018\u2019]|--|/\*|\b(?:{_SQL_WORDS})\b", re.IGNORECASE),
    "xss": re.compile(r"[<(`:=&%\\]"),
    "command_injection": re.compile(r"[;|&`$(){}<>\n%\\'\"]"),
    "path_traversal": re.compile(r"[/\\]|\.\.|%|0x|://|&#"),
}

_ONE_CHARACTER = re.compile(r"&#?\w+;?|%\w\w|\\[ux]?\w+")


def is_attack(family: str, text: str) -> bool:
    """Something with a letter or digit, of four characters or more, and no mere spelling of one, that has what its family needs."""
    if len(text) < 4 or _ONE_CHARACTER.fullmatch(text) or not re.search(r"[A-Za-z0-9]", text):  # noqa: PLR2004 - "four" in the docstring
        return False
    return _NEEDS[family].search(text) is not None


def attacks(folder: Path) -> Iterator[Sample]:
    """Each attack of the folder once a family."""
    for family, sources in ATTACKS.items():
        seen: set[str] = set()
        for pattern, read in sources:
            for path in sorted(folder.glob(pattern)):
                for line in read(path) if path.is_file() and path.name != "README.txt" else ():
                    text = line.strip("\r\n\t ")
                    if text not in seen and is_attack(family, text):
                        seen.add(text)
                        yield Sample(family, "/".join(path.relative_to(folder).parts[:1]), text)


def subjects(folder: Path) -> Iterator[tuple[str, str]]:
    """The first lines of the commits."""
    for name in HARMLESS:
        if (folder / name / ".git").exists():
            command = ["git", "-C", str(folder / name), "log", "--no-merges", "--format=%s", "-n", "30000"]
            log = subprocess.run(command, check=True, capture_output=True).stdout
            yield from ((name, line) for line in log.decode("utf-8", "replace").split("\n"))


def pages(folder: Path, *suffixes: str) -> Iterator[tuple[str, str]]:
    """The files of the harmless repositories with one of the suffixes."""
    for name in HARMLESS:
        for path in sorted((folder / name).rglob("*")):
            if path.suffix in suffixes and path.is_file() and not path.is_symlink() and ".git" not in path.parts:
                yield name, text_of(path)


def prose(folder: Path) -> Iterator[tuple[str, str]]:
    """Paragraphs of documentation, without blocks of code, tables and markup of their own."""
    for name, page in pages(folder, *DOCUMENTS):
        text = re.sub(r"^(```|----+|~~~).*?^\1\s*$", "\n", page, flags=re.MULTILINE | re.DOTALL)
        for paragraph in re.split(r"\n\s*\n", text):
            if re.match(r"[A-Za-z\"'(*>`-]", paragraph) and not re.match(r"- ?\{|\[|`[^`]*`$|-+$", paragraph):
                joined = " ".join(line.strip() for line in paragraph.split("\n"))
                if joined.count(" ") >= 5 and "|" not in joined[:3]:  # noqa: PLR2004 - six words
                    yield name, joined


def code(folder: Path) -> Iterator[tuple[str, str]]:
    """Lines of source code."""
    for name, page in pages(folder, ".py", ".c", ".js", ".sh"):
        yield from ((name, line.strip()) for line in page.split("\n") if len(line.strip()) >= 8)  # noqa: PLR2004


def names(folder: Path) -> Iterator[tuple[str, str]]:
    """Given names and surnames in many languages."""
    for path in sorted((folder / "NameDatabases").rglob("*.txt")):
        yield from (("NameDatabases", line.strip()) for line in text_of(path).split("\n"))


def urls(folder: Path) -> Iterator[tuple[str, str]]:
    """Addresses in documentation, and what browsers asked for: of one web server, and on the pages of some hundred sites."""
    for name, page in pages(folder, *DOCUMENTS, ".py", ".js", ".html", ".json", ".yml", ".yaml"):
        yield from ((name, url.rstrip(".,;:*_")) for url in re.findall(r"https?://[^\s<>()\[\]{}\"'`|\\]+", page))
    for pattern in REQUESTS:
        for path in folder.glob(pattern):
            corpus = path.relative_to(folder).parts[0]
            yield from ((corpus, url) for url in re.findall(r"https?://[^\s\"]+", text_of(path)))
    for path in (*folder.glob("examples/*/apache_logs/apache_logs"), *folder.glob("spark_log_analyzer/access_log")):
        corpus = path.relative_to(folder).parts[0]
        for target, referrer in re.findall(
            r'"(?:GET|POST|HEAD) (\S+) HTTP[^"]*"(?: \d+ \S+ "([^"]*)")?', text_of(path)
        ):
            yield corpus, target
            yield corpus, referrer


def parameters(folder: Path) -> Iterator[tuple[str, str]]:
    """The values of the query parameters of those addresses."""
    for name, url in urls(folder):
        try:
            parts = urlsplit(url)
            values = parse_qsl(parts.query)
        except ValueError:
            continue
        if parts.path not in TAKE_SQL:
            yield from ((name, value) for _, value in values)


def agents(folder: Path) -> Iterator[tuple[str, str]]:
    """What browsers call themselves."""
    for path in sorted((folder / "uap-core").glob("tests/test_*.yaml")):
        found = re.findall(r"user_agent_string: (['\"])(.*)\1$", text_of(path), re.MULTILINE)
        yield from (("uap-core", agent) for _, agent in found)


def tricky(folder: Path) -> Iterator[tuple[str, str]]:
    """What other detectors were wrong about."""
    path = folder / "libinjection/data/false_positives.txt"
    if path.exists():
        yield from (("libinjection", line.strip()) for line in lines(path))
    path = folder / "gotestwaf/testcases/false-pos/texts.yml"
    if path.exists():
        yield from (("gotestwaf", text) for text in cases(path))


KINDS: dict[str, Callable[[Path], Iterable[tuple[str, str]]]] = {
    "prose": prose, "git subjects": subjects, "parameters": parameters, "urls": urls, "user agents": agents,
    "names": names, "code": code, "tricky": tricky,
}  # fmt: skip


def harmless(folder: Path, *, at_most: int = 8_000) -> Iterator[Sample]:
    """Each harmless text once a kind; of a corpus with more than `at_most` of a kind, those of the smallest hashes."""
    for kind, read in KINDS.items():
        found: dict[str, set[str]] = {}
        seen: set[str] = set()
        for corpus, text in read(folder):
            if len(text) >= 2 and text not in seen:  # noqa: PLR2004 - a single character is no text
                seen.add(text)
                found.setdefault(corpus, set()).add(text)
        for corpus, texts in found.items():
            chosen = sorted(texts, key=lambda text: hashlib.sha256(text.encode("utf-8", "replace")).digest())
            yield from (Sample(kind, corpus, text) for text in chosen[:at_most])
