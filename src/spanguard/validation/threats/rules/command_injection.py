"""Command injection: text that would run a program of its own when it is pasted into a shell or an interpreter."""

from __future__ import annotations

from spanguard.validation.threats.rule import Rule

_PROGRAMS = (
    r"(?:tac|ls|whoami|uname|hostname|pwd|env|printenv|ps|netstat|ss|ifconfig|ipconfig|arp|sysinfo"
    r"|wget|lwp-download|nc|ncat|netcat|telnet|ssh|scp|ftp|tftp|nslookup|traceroute|bash|sh|zsh|ksh|csh"
    r"|busybox|mkdir|rm|rmdir|mv|cp|ln|chmod|chown"
    r"|printf|crontab|sudo|useradd|adduser|passwd|sendmail|base64|xxd|od|getent|systeminfo|reboot"
    r"|df|gzip|gcc|lsof|ldd|expr|nohup|whereis"
    r"|iptables|systemctl|apt-get|yum)"
)
# Programs that are words as well ("dog & cat food", "Health | Sleep"), and what follows them when they are programs.
_WORD_PROGRAMS = r"(?:cat|id|curl|lynx|dig|ping6?|dash|sleep|tar)"
_UNIX = rf"(?:{_PROGRAMS}|{_WORD_PROGRAMS})"
_WORD_PROGRAM_RUN = (
    rf"(?:{_WORD_PROGRAMS}(?:[`)/<>${{}}#%\\]|['\"](?:[\s;|&)'\"/.$]|\w{{1,4}}['\"]|$)"
    r"|[\s+]+(?:-{1,2}\w|[/.$~*\"'\\<>({%]|[\w-]+(?:[./\\$=*?@]\w|:[\d/])))"
    r"|(?:sleep|ping6?)[\s+]+\d|(?:id|cat)[\s+]*(?:[;|&#\n]|$))"
)
_WINDOWS = (
    r"(?:dir|type|ver|vol|net1?|ipconfig|systeminfo|tasklist|taskkill|whoami|ping|nslookup|netstat|netsh|reg|sc|cmd(?:\.exe)?|powershell(?:\.exe)?"
    r"|pwsh|certutil|bitsadmin|mshta|rundll32|regsvr32|wmic|cscript|wscript|start|copy|del|erase|move|ren|rmdir|rd|md|attrib|icacls|cacls|tree"
    r"|find|findstr|more|echo|set|phpinfo|getmac|route|arp|timeout|schtasks|at|bcdedit|hostname|call)"
)
# Words of English too, or names of languages: they count beside a break alone, or with what looks like an argument.
_WORDS = (
    r"(?:echo|awk|gawk|sed|grep|xargs|tee|uniq|wc|nl|head|tail|less|more|who|w|set|top|ip|route|fetch|perl|python[23]?|ruby|php|node|lua|find|touch|kill|at|su|mail|finger|exec|eval"
    r"|source|export|shutdown|mount|du|zip|cc|make|strings|sort|dd|test|time|timeout|which|locate|last|service|apt|git|host|ping6?|at)"
)
# The commands of Windows that are no words: they count without an argument, too.
_WINDOWS_PROGRAMS = r"(?:dir|ver|ipconfig|systeminfo|tasklist|whoami|netstat|cmd(?:\.exe)?|powershell(?:\.exe)?|phpinfo|getmac|arp|hostname|net)"
_PATH = r"(?:(?:/[\w.*?-]+)*/)?"
_END = r"(?:[\s;|&`)/<>${}#%\\+]|['\"](?:[\s;|&)'\"/.$]|\w{1,4}['\"]|$)|$)"
_ARGUMENT = r"(?:[\s+]+(?:-[^\s+]|[/.$~*\"'\d])|[\s+]*[;|&<>]|[\s+]*$)"
_BREAK = r"(?:[;|\n&]|&&|\|\||%0[ad]|\\n|\\r)"

COMMAND_INJECTION = (
    Rule(
        "break_then_command", 5, 4, rf"{_BREAK}[\s+;|&({{]*[\\'\"@!]?{_PATH}(?:{_PROGRAMS}{_END}|{_WORD_PROGRAM_RUN})"
    ),
    Rule(
        "break_then_word",
        5,
        3,
        rf"{_BREAK}[;|&({{]*[\\'\"@!]?{_PATH}{_WORDS}{_ARGUMENT}|(?:;|\||&&)[\s+]*{_PATH}(?:{_WORDS}[\s+]+(?:-[^\s+]|[/$~])|echo[\s+]+[\"'\d])",
    ),
    Rule(
        "break_then_windows_command",
        5,
        3,
        rf"[;|&][\s+|&(]*{_WINDOWS_PROGRAMS}{_ARGUMENT}|[;|&][|&(]*{_WINDOWS}{_ARGUMENT}|[|&]{_WINDOWS}(?:[\s;|&)/<>%:\\]|$)"
        rf"|[;|&][\s+|&(]*{_WINDOWS}[\s+]+(?:\w:\\|%\w|/\w|[\w.-]+\\)",
    ),
    Rule(
        "break_then_command_and_argument",
        5,
        4,
        rf"{_BREAK}[\s+]*{_PATH}(?:cat|ls|wget|curl|nc|ncat|netcat|bash|sh|ping|nslookup|rm|chmod|sleep|uname|whoami|netstat|perl|python[23]?|php)"
        rf"[\s+]+(?:-{{1,2}}\w|/|\.\.?/|https?:|\d)|{_BREAK}[\s+]*{_PATH}"
        r"(?:ls|wget|nc|ncat|netcat|bash|sh|nslookup|uname|id|whoami|netstat|perl|python[23]?|php)[\s+]*(?:[;|&]|$)",
    ),
    Rule("program_by_path", 5, 2, r"(?:^|[;|&`=(\n+]\s?)(?:/|/?usr/(?:local/)?)s?bin/[a-z]{1,12}(?:[\s+;|&`'\"\\-]|$)"),
    Rule(
        "substitution",
        5,
        4,
        rf"(?:^|[^ ])\$\([\s+`]*{_PATH}(?:{_UNIX}|{_WORDS})(?:[\s+`;|&)]|$)|\$\([\s+`]*{_PATH}(?:{_UNIX}|{_WORDS})[\s+]+[-/.~$\d\"']|\$\(\(\d|(?:^|[^\s`(:)])`{_PATH}(?:{_UNIX}|{_WORDS})(?:[\s+;|&/$<>][^`]*)?`(?:$|[\n;|&,'\"-])",
    ),
    Rule("substitution_of_anything", 3, 1, r"\$\([^)]*\)|[<>]\([^)]*\)"),
    Rule(
        "blank_by_variable",
        5,
        5,
        r"[^ ]\$\{?ifs\b|\$\{?ifs[^\s\w]|(?:^|[^\w-])\{(?:cat|ls|curl|wget|ping|nslookup|echo|sh|bash),|\$\{path:|[a-z]\$@[a-z]|[a-z]\$\*[a-z]",
    ),
    Rule(
        "secret_file",
        5,
        3,
        r"/etc/(?:passwd|shadow|sudoers)\b|(?:^|[^\s\w])/etc/(?:group|issue|hosts)\b|(?:^|[^\s])/proc/(?:self|version|cpuinfo)",
    ),
    Rule(
        "reading_a_file",
        5,
        5,
        r"(?:^|[;|&`(\n+]\s?)(?:head|tail|less|more|type|nl)[\s+<$]+(?:/|[a-z]:\\|\.\./)[\w*?/.\\-]+|\b(?:cat|tac|od|xxd)[\s+<$]+[\w.-]{0,12}(?:/|[a-z]:\\|\.\./)[\w*?/.\\-]+",
    ),
    Rule(
        "reverse_shell",
        5,
        5,
        r"/dev/(?:tcp|udp)/|\bnc(?:at)?[\s+]+-[a-z]*[elc]|\bbash[\s+]+-i\b|\bmkfifo[\s+]|\bsocket\.socket\(|\b0<&1",
    ),
    Rule(
        "shell_with_code",
        5,
        4,
        r"\b(?:ba|z|k|da)?sh[\s+]+-c\b|\bcmd(?:\.exe)?[\s+]*/[ckq]\b|\bpowershell(?:\.exe)?[\s+]+-\w|\b(?:perl|ruby|php|python[23]?)[\s+]+-(?:e|r|c)\b",
    ),
    Rule("server_side_include", 5, 5, r"<!--[\s+]*#[\s+]*(?:exec|include|echo|config|printenv)"),
    Rule("function_by_variable", 5, 5, r"\(\)[\s+]*\{[\s+]*[:_a-z]*;?[\s+]*\}[\s+]*;"),
    Rule(
        "code_that_runs_commands",
        5,
        3,
        r"\b(?:system|passthru|shell_exec|popen|proc_open|pcntl_exec|exec|execl|execve|phpinfo|assert|create_function|eval|spawn|kernel\.\w+|io\.popen)"
        r"[\s+]*\([\s+]*['\"$`]|\bphpinfo\(|\{\$\{|\{\$_(?:get|post|request|cookie|server)|\$_(?:get|post|request)\[\bprint\([\s+]*(?:md5|system|`|'[^']*'\.)|__import__[\s+]*\(|\bos\.(?:system|popen|exec\w*)\b|runtime[\s\w.()+]*\.exec\(|processbuilder"
        r"|<\?php|\bimport[\s+]+(?:os|socket|subprocess)[\s+]*[;,:\n]|\bsubprocess\.(?:popen|call|run|check_\w+)\(|child_process[\'\"]\)|%x\(|!!python/|\$\{@?(?:print|system|eval)",
    ),
    Rule(
        "windows_administration",
        5,
        5,
        r"\bnet[\s+]+(?:user|view|localgroup|start|stop|use|share)\b|\breg[\s+]+(?:add|query|save|delete)\b|\bnetsh[\s+]+\w|\bset[\s+]+/a\b",
    ),
    Rule(
        "download_and_run",
        5,
        3,
        r"\b(?:wget|curl|lwp-download|fetch|lynx)[\s+$]+(?:-[\w-]+[\s+=]+(?:[\w./]+[\s+]+)?)*['\"]?(?:https?|ftp)://|\b(?:wget|curl)[^|]*\|[\s+]*(?:ba)?sh\b|certutil.*urlcache",
    ),
    Rule("redirection_to_file", 3, 0, r">>?[\s+]*(?:/|[a-z]:\\|\$)[\w./\\-]+|<[\s+]*/[\w./-]+"),
    Rule("file_of_windows", 5, 5, r"^\W*(?:dir|type|del|copy|more)[\s+]+(?:[a-z]:\\|%\w+%)"),
    Rule("ping_to", 5, 4, r"\bping[\s+]+(?:-\w[\s+]+\d*[\s+]*)+[\w.:]+|\bnslookup[\s+]+[\w.-]+\.\w"),
)
