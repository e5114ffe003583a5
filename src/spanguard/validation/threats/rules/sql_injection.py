"""SQL injection: text that would change a query it is pasted into."""

from __future__ import annotations

from spanguard.validation.threats.rule import Rule

# The view is in lower case with single blanks; `+` is a blank in what a form sends.
_GAP = r"[\s+(]"
_OR = r"(?:\b(?:or|and|xor|not|div|having|where|when)\b|\|\||&&|[|^])"
# A quote that ends something, the first of the text: one after a blank or a bracket opens something, as people write.
_CLOSING = r"^(?:[^'\"]*[\w)%.;\\*/$#@!?-])?['\"]{1,4}"
_OPERAND = r"(?:['\"`]?[\w.@$~-]*['\"`]?|@{0,2}\w+[\s+]?\([^)]*\))"
_COMPARE = r"(?:[=<>]|!=|\b(?:like|rlike|regexp|between|is\s(?:not\s)?null|in[\s+]*\(|sounds\slike)(?:\W|$))"
_STATEMENT = (
    r"(?:select\b.|insert\s+into\b|update\s+\S+\s+set\b|delete\s+(?:\w+\s+)?from\b|drop\s+(?:table|database|user|schema|view)\b"
    r"|create\s+(?:table|user|database|or|function|procedure|login|view)\b|alter\s+(?:table|user|database|login)\b"
    r"|exec(?:ute)?\b[\s(+]|shutdown\b|declare\s+@|waitfor\b|truncate\s+table\b|merge\s+into\b|load\s+(?:data|xml)\b|grant\s+\w+\s+(?:on|to)\b"
    r"|desc(?:ribe)?\s+\w+\s*;|if\s*(?:\(|not\b|\d|exists)|begin\b|set\s+@|use\s+\w+\s*;|backup\s+database\b|call\s+\w+\()"
)
_FUNCTION = (
    r"(?:char|chr|nchar|concat|concat_ws|group_concat|substr|substring|mid|left|right|ascii|ord|hex|unhex|cast|convert"
    r"|ifnull|nullif|isnull|coalesce|count|md5|sha1|elt|make_set|json_keys|length|len|char_length|lower|upper|lcase"
    r"|conv|pi|rand|floor|version|user|database|db_name|user_name|system_user|session_user|current_user|schema|bin"
    r"|load_file|name_const|exp|if|iif|least|greatest|strcmp|locate|instr|position|row|cos|sin|binary|crypt_key|password"
    r"|encode|xmltype|nvl|to_char|dcount|abs|sqlid_to_sqlhash|inet_aton)"
)

SQL_INJECTION = (
    Rule(
        "union_select",
        5,
        5,
        r"\bunion\W+(?:(?:all|distinct|distinctrow)\W+)?select\W*"
        r"(?:\d|null|@|\*|char|concat|['\"`(]|\w+\s*[,(]|\w+ from)",
    ),
    Rule("union_select_bare", 5, 3, r"\bunion\W*(?:(?:all|distinct|distinctrow)\W*)?select\b"),
    Rule(
        "quote_then_condition",
        5,
        5,
        rf"{_CLOSING}[\s)+]*(?:\b(?:or|and|xor|having|where)\b|\|\||&&)[\s(+!~@-]*(?:not\s)?{_OPERAND}[\s)+]*[=<>]",
    ),
    Rule(
        "quote_then_condition_in_words",
        5,
        4,
        rf"{_CLOSING}[\s)+]*{_OR}[\s(+!~@-]*(?:not\s)?{_OPERAND}[\s)+]*{_COMPARE}",
    ),
    Rule(
        "quote_then_true",
        5,
        5,
        rf"{_CLOSING}[\s)+]*{_OR}[\s(+!~-]*(?:true|false|null|\d+)[\s)+]*(?:$|--|#|/\*|[=<>;)^*/%-]|\b(?:or|and|limit|union|group|order|like|is|into)\b)",
    ),
    Rule("quote_then_quoted", 5, 4, r"^[^'\"\s]*['\"][\s)+]*(?:or|and|xor|\|\||&&)[\s(+]*['\"][^'\"]*['\"]?$"),
    Rule(
        "number_condition",
        5,
        4,
        r"(?:\b(?:or|and|xor|having|where|not)\b|\|\||&&)[\s('\"`+!~-]*\.?\d[\d.]*[\s'\"`)+]*"
        r"(?:[=<>]|!=|\b(?:like|rlike|regexp|between|in[\s+]*\())[\s('\"`+~!=>-]*(?:[\d.]+|\w)",
    ),
    Rule(
        "same_letter_condition",
        5,
        0,
        r"^\W{0,8}(?:[\w.-]*\W{1,8})?(?:or|and|having|where)\b[\s('\"`+]+[a-z]['\"`]?\s?(?:=|like)\s?['\"`(]{0,2}[a-z]\b",
    ),
    Rule(
        "number_then_condition",
        5,
        4,
        r"^\W{0,4}-?\d+[\s'\"`)+]*(?:\b(?:or|and|xor)\b|\|\||&&)[\s('\"`+!~-]*[\w@.'\"]+[\s+)'\"]*(?:[=<>(!^*]|\b(?:like|between|is|in[\s+]*\(|or|and)\b|--|#)|^\W{0,4}-?\d+[\s)+]+or[\s+]+(?:1|true)$",
    ),
    Rule(
        "condition_on_function",
        5,
        5,
        rf"(?:\b(?:or|and|xor|having|where)\b|\|\||&&){_GAP}*{_FUNCTION}(?:\(|[\s+]+\([\s+]*(?:\d|@|'|\"|select|0x|database|version|user))",
    ),
    Rule(
        "condition_on_subquery",
        5,
        5,
        r"(?:\b(?:or|and|xor|having|where|not|exists|in|any|all)\b|[=<>|&,+/-])[\s+]*\([\s(+]*select\b",
    ),
    Rule("subquery", 3, 3, r"\([\s(+]*select[\s+(@'*\"]"),
    Rule("comment_after_quote", 5, 2, r"['\"`][\s)+;]*(?:--(?:[\s+]+-?\w{0,3})?|#+|/\*[\s\w*/]{0,8})\s?$"),
    Rule("comment_after_parenthesis", 5, 2, r"[\w)][\s+]*\)?[\s+]*(?:;[\s+]*--|\)[\s+]*(?:--|#|/\*))[\s+-]{0,3}$"),
    Rule("comment_at_end", 3, 1, r"(?:--[\s+-]{0,4}|#|/\*|--\s\w{0,4})$"),
    Rule("second_statement", 5, 4, rf";[\s+]*{_STATEMENT}"),
    Rule(
        "statement_after_quote",
        5,
        5,
        rf"{_CLOSING}[\s);+,]*(?:union|{_STATEMENT}|having\b|order\s+by\b|group\s+by\b|limit\s+\d|procedure[\s+]+analyse|into\s+\w+file|rlike\b|regexp\b)",
    ),
    Rule(
        "whole_select",
        5,
        4,
        r"^[\W\d]{0,12}select[\s+(]+[^.!?;]*[\s+)]from[\s+(]+[\w.\"\[\]`@{}]+"
        r"(?:[\s+]*(?:$|[;,)(=]|--|#|/\*)|[\s+]+(?:where|limit|order|group|having|union|join|left|inner|cross|natural|into|as|for|procedure|if)\b)",
    ),
    Rule("select_from", 2, 1, r"\bselect\b.+\bfrom\b"),
    Rule(
        "select_expression",
        5,
        4,
        r"^[\W\d]{0,12}select[\s+(]+(?:@@?\w+|\w+\s*\(|\d+[\s,+]|'|\*|[\w.]+\s*,\s*[\w.]+|current_user|user$)",
    ),
    Rule(
        "whole_statement",
        5,
        4,
        r"^\W{0,6}(?:insert\s+into\s+\S+|update\s+\S+\s+set\s+\S+\s*=|delete\s+from\s+\S+|drop\s+(?:table|database|user)\s+\S+$"
        r"|exec(?:ute)?\s+(?:master|xp_|sp_|\()|create\s+(?:table|user|database)\s+\S+|declare\s+@|shutdown\s+with|alter\s+(?:table|user|database|login|session|system)\s+\S+\s+\w+)",
    ),
    Rule(
        "wait",
        5,
        5,
        r"\bwaitfor[\s+]+(?:delay|time)\b[\s+]*['\"(]|\bbenchmark[\s+]*\([\s+]*\d{4,}[\s+]*,|\bpg_sleep[\s+]*\(\s*[\d_]|\bdbms_(?:pipe|lock)\.\w+",
    ),
    Rule(
        "wait_bare",
        5,
        3,
        r"(?:^|[^.\w])(?:(?:sleep|benchmark)\([\s+]*['\"(]?\w|sleep[\s+]\([\s+]*['\"]?\d)|\bwaitfor\s+delay\b",
    ),
    Rule(
        "wait_in_condition",
        5,
        5,
        r"(?:\b(?:or|and|select|if|then|union|by|where)\b|[|&,'\"=*/(])[\s(+'\"]{1,4}sleep[\s+]*\(",
    ),
    Rule(
        "catalogue",
        3,
        2,
        r"\b(?:information_schema|sysobjects|syscolumns|sysusers|sysdatabases|sys\.\w+|sysibm\.|pg_catalog|pg_user|pg_shadow|pg_tables"
        r"|pg_class|sqlite_master|mysql\.\w+|all_tables|user_tables|all_tab_columns|user_tab_columns|all_users|msysobjects|syscat\.\w+"
        r"|v\$version|domain\.\w+|from[\s+]+dual|master\.\.\w+|table_schema|table_name|column_name|tablenames)\b",
    ),
    Rule("server_variable", 4, 2, r"@@\w{3,}"),
    Rule(
        "procedure_of_server",
        5,
        4,
        r"\b(?:xp_(?:cmdshell|regread|regwrite|dirtree|enumdsn|enumgroups|loginconfig|makecab|ntsec_enumdomains|terminate_process|availablemedia"
        r"|\w{3,}\s)|sp_(?:executesql|oacreate|oamethod|makewebtask|password|addextendedproc|addlogin|configure|addsrvrolemember|who)|openrowset"
        r"|opendatasource|utl_(?:http|inaddr|file|smtp)|dbms_\w+\.|ctxsys\.|httpuritype|sysmaster:|procedure[\s+]+analyse)\b",
    ),
    Rule(
        "error_function",
        5,
        5,
        r"\b(?:extractvalue|updatexml|load_file|xmltype|name_const|json_keys|gtid_subset|st_latfromgeohash)[\s+]*\([\s+]*[^\s)]",
    ),
    Rule(
        "outfile",
        5,
        5,
        r"\binto[\s+]+(?:out|dump)file\b|\bload[\s+]+data[\s+]+(?:local[\s+]+)?infile[\s+]+['\"<(]|\bcopy[\s+]+\w+[\s+]+(?:from|to)[\s+]+(?:program|')",
    ),
    Rule("order_by_number", 5, 4, r"\b(?:order|group)[\s+]+by[\s+]+\(?\d+(?:[\s+,)-]|$|#|/\*)"),
    Rule("having_or_limit", 3, 0, r"\bhaving\b[\s+]+\S+|\blimit[\s+]+\d+|\border[\s+]+by\b"),
    Rule(
        "characters_by_number",
        5,
        5,
        r"\bn?cha?r[\s+]*\([\s+]*(?:\d{1,3}[\s+]*,|0x[0-9a-f]{2})|\bn?cha?r[\s+]*\([\s+]*\d{1,3}[\s+]*\)[\s+]*[+|,&)%-]|[+|,(=&%-][\s+]*n?cha?r[\s+]*\([\s+]*\d",
    ),
    Rule("hexadecimal_text", 3, 1, r"(?:^|[\s,(=+])0x(?:[0-9a-f]{2}){3,}\b"),
    Rule("sql_function", 3, 1, rf"(?:^|[\s,(=+*/|'\"-]){_FUNCTION}(?:\(|[\s+]+\([\s+]*(?:\d|@|'|\"|select|0x))"),
    Rule("joined_text", 5, 4, r"(?:^|[\w)%'\"])['\"][\s)+]*\|\|[\s(+]*['\"\w(]|[\w)]\|\|[\s(+]*['\"]"),
    Rule("arithmetic_on_quote", 5, 3, r"^[^'\"\s]*['\"][\s)+]*[-+*/^%&|=<>!~][\s(+=<>]*['\"][^'\"]*['\"]?$"),
    Rule(
        "quote_left_open",
        5,
        3,
        r"^[^'\"\s]{0,24}['\"].*(?:\b(?:or|and|xor|like|rlike|regexp|is|div|mod)|[=<>|^])[\s+(!~-]*['\"][\w.]*$",
    ),
    Rule(
        "quote_equals",
        5,
        4,
        rf"{_CLOSING}[\s)+]*(?:=|<>|!=|like\b)[\s(+]*['\"`]?[\w]*['\"`]?[\s)+]*(?:--|#|/\*|$|or\b|and\b|limit\b)",
    ),
    Rule("case_when", 5, 4, r"\bcase[\s+(]+when\b.+\bthen\b"),
)
