"""Path traversal: text that would name a file outside the folder it is meant for."""

from __future__ import annotations

from spanguard.validation.threats.rule import Rule

PATH_TRAVERSAL = (
    Rule("two_levels_up", 5, 5, r"(?:^|[^.\w]|[=/\\])?\.{2,}[/\\]+(?:[^/\\\s]*[/\\]+)?\.{2,}(?:[/\\]|$)"),
    Rule("level_up_then_name", 5, 3, r"(?:^|[=/\\:?&])\.\.[/\\]+"),
    Rule("level_up_inside", 5, 5, r"[\w/\\=]\.*[/\\]+\.\.(?:[/\\;]|$)"),
    Rule(
        "known_secret_file",
        5,
        3,
        r"\betc[/\\]+(?:passwd|shadow|sudoers)|(?:^|[^\s\w/\\.~]|\.\.)[/\\]*etc[/\\]+(?:group|hosts|issue|motd|crontab|fstab|my\.cnf|mysql|apache2?|httpd|nginx|php\d?|ssh|release|resolv\.conf|network|init\.d|rc\.|cron)"
        r"|boot\.ini\b|\b(?:win|system|php|desktop)\.(?:ini|cnf)\b|windows[/\\]+(?:system32|repair|win\.ini)|\bsystem32[/\\]|[/\\]proc[/\\]+(?:self|version|cmdline|\d+|net|mounts|sched)"
        r"|\.ssh[/\\]+(?:id_|authorized_keys)|[/\\]my\.cnf\b|\bid_(?:rsa|dsa|ed25519)\b|\.bash_history|(?:^|[/\\=])\.ht(?:passwd|access)\b|wp-config|web\.config|global\.asa|ntuser\.dat|web-inf[/\\]|\.aws[/\\]credentials",
    ),
    Rule(
        "secret_file_with_odd_slashes",
        5,
        4,
        r"etc[^\s/\\]{1,16}(?:passwd|shadow|issue|hosts)\b|windows\S{1,16}system32",
    ),
    Rule(
        "wrapper",
        5,
        5,
        r"\b(?:php://(?:filter|input|fd|memory|temp|stdin|output)|expect://|phar://|zip://|data://|glob://|compress\.\w+://|jar:(?:file|http)|netdoc:/|gopher://)",
    ),
    Rule("file_address", 5, 2, r"\bfile:/{1,3}[\w.%]"),
    Rule(
        "absolute_log_or_setting",
        5,
        3,
        r"(?:^|[=\s'\"])(?:[a-z]:)?[/\\]{1,2}[^\s?&]*(?:[/\\]+)(?:[\w.-]+\.(?:cnf|inf|sam|evt|mdb|dat)|\w*(?:error|access)[_.-]log\w*|logs?[/\\][\w.-]+|passwd|shadow)(?:$|[\s?&\"';|])",
    ),
    Rule(
        "absolute_setting",
        5,
        2,
        r"(?:^|=)(?:[a-z]:)?[/\\]{1,2}\S*(?:\b(?:etc|conf|apache\w*|httpd|nginx|php\d*|mysql|xampp|lampp|windows|winnt|usr|var|opt|home|proftpd|ftpd?|ssh|local|logs?)\b)"
        r"\S*[/\\]+[\w.-]+\.(?:conf|cfg|ini|log|bak|xml|err|pid|sql|inc|php\d?)(?:$|[\s?&\"';|])",
    ),
    Rule(
        "system_folder",
        5,
        3,
        r"^(?:[a-z]:)?[/\\]+(?:etc|proc|root|boot|dev|sys|winnt|windows|inetpub|private|var[/\\]+(?:log|www|lib|mail|spool|run|adm|apache\w*)|usr[/\\]+(?:local|pkg|lib|ports)|opt[/\\]+\w+)[/\\]+",
    ),
    Rule("drive", 3, 1, r"^[a-z]:[/\\]+"),
    Rule("share_of_windows", 5, 5, r"\\\\[\w.:-]+\\[a-z]\$"),
    Rule(
        "dots_by_number",
        5,
        5,
        r"%[25]%[ecf]|(?:\xef\xbf\xbd\.){2}|(?:0x2e){2}|0x2e0x2f|\.0x2f|0x5c\.\.|%c[01]%|%25|%uff0e|%u2216",
    ),
    Rule(
        "strange_dots",
        5,
        5,
        r"(?:\.{3,}[/\\]+){2}|(?:\.[/\\]+){4}|\.\.;[/\\]|\.\?/|\.\.[^\w\s.]{1,3}[/\\]|\.\.(?:\xef\xbf\xbd)+",
    ),
    Rule("template_of_file", 5, 5, r"[/\\.]\{file\}"),
)
