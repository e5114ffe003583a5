"""Cross-site scripting: text that would run in the browser of who sees it."""

from __future__ import annotations

from spanguard.validation.threats.rule import Rule

_HANDLER = r"on[a-z]{3,}"
_CALL = r"(?:alert|confirm|prompt|eval|settimeout|setinterval|setimmediate|fetch|execscript|importscripts|atob|kcf)"
_CODE_SCHEME = r"(?:j\W{0,6}a\W{0,6}v\W{0,6}a|v\W{0,6}b|live)\W{0,6}s\W{0,6}c\W{0,6}r\W{0,6}i\W{0,6}p\W{0,6}t\W{0,6}:"

XSS = (
    Rule("script_tag", 5, 3, r"<[\s/\\]{0,4}(?:\w{1,12}:)?script(?:[\s/>\\<+\"'=;:x]|$)"),
    Rule("script_tag_with_code", 5, 5, r"<[\s/\\]{0,4}(?:\w{1,12}:)?script[^>]*(?:\bsrc[\s+]*=|>[^<]*[(=`])"),
    Rule(
        "script_breakout",
        5,
        5,
        r"</(?:script|style|title|textarea|noscript|xmp|iframe|template|select)[^>]*>?[^<]*<[a-z!/]",
    ),
    Rule("handler_in_tag", 5, 5, rf"<[a-z!?/][^>]*[\s/'\"`+;,]{_HANDLER}[\s+/]*=[\s+]*[^\s=]"),
    Rule(
        "handler_after_anything", 5, 4, rf"(?:^|[\s'\"`/+;>]){_HANDLER}[\s+/]*=[\s+]*['\"`]?[^\s=>]*[\w\])]?[(`=\[:.]"
    ),
    Rule("handler_after_quote", 5, 5, rf"['\"`][\s/+;>]*(?:[a-z]+[\s/+]+)?{_HANDLER}[\s+/]*=[\s+]*[^\s=]"),
    Rule("script_address", 5, 3, rf"{_CODE_SCHEME}(?:[\s+]*\w+[\s+]*[(`]|(?:[^\s,]\S*)?[(`=;'\"\[/%&<]|$)"),
    Rule(
        "script_address_in_attribute",
        5,
        5,
        rf"(?:=[\s+]*['\"`(]?|url\([\s+]*['\"]?|content[\s+]*=[^>]*url=|^['\"]?){_CODE_SCHEME}[^\s]*[(`=]",
    ),
    Rule(
        "data_address",
        5,
        4,
        r"\bdata:(?:text/(?:html|xml|javascript)|image/svg|application/(?:x-|xml|xhtml)|[\w/;+-]*base64,|,)[^\s]*",
    ),
    Rule(
        "active_tag",
        5,
        2,
        r"<[\s/]{0,3}(?:iframe|frame|frameset|embed|applet|svg|math|isindex|layer|ilayer|bgsound|xml|xss|import|vmlframe"
        r"|portal|noembed|noscript|noframes|plaintext|keygen|animate|handler|listener|video|audio|source|track"
        r"|details|dialog|marquee|event-source|xmp)(?:[\s/>\"'+]|$)"
        r"|<(?:body|html|object|comment|template|title|button|form|style)[\s/+]+\S"
        r"|<(?:base|meta|link|input|textarea|set)[\s/+][^>]*=",
    ),
    Rule(
        "active_tag_with_address",
        5,
        5,
        r"<(?:iframe|frame|object|embed|applet|base|meta|link|import|portal)[\s/+][^>]*(?:src|data|href|code|srcdoc|http-equiv|content)[\s+]*=",
    ),
    Rule(
        "image_tag",
        3,
        1,
        r"<(?:img|image|input|video|audio|source|body|table|td|div|a|bgsound|b|p|x|br|font)[\s/+]+[^>]*=",
    ),
    Rule(
        "attribute_that_runs",
        5,
        4,
        r"\b(?:srcdoc|formaction|xlink:href|attributename|fscommand|seeksegmenttime|dynsrc|lowsrc)[\s+]*=[\s+]*\S|\bbackground[\s+]*=[\s+]*['\"`]?(?:\w+:|//)",
    ),
    Rule(
        "style_that_runs",
        5,
        4,
        r":[\s+/\\]*e\W{0,4}x\W{0,4}p\W{0,4}r\W{0,4}e\W{0,4}s\W{0,4}s\W{0,4}i\W{0,4}o\W{0,4}n\W{0,4}[(\\]|-moz-binding|\bbehavior[\s+]*:[\s+]*(?:url|expr|#)|@import[\s+]*['\"u(]|:[\s+]*url[\s+]*\([\s+]*['\"]?(?:java|data|vb)",
    ),
    Rule("call", 3, 1, rf"(?:^|[^\w.]){_CALL}(?:\.(?:call|apply|bind))?[\s)+]*[(`]"),
    Rule(
        "call_after_break",
        5,
        2,
        rf"(?:['\";)}}>*/+\-,&|^%?:=!~\[\\](?:[\s+]|void|new|typeof|in)*){_CALL}[\s)+]*[(`][^)`]*[)`]|^\W*{_CALL}(?:\.(?:call|apply))?\)?[(`][^)`\s]",
    ),
    Rule(
        "call_by_name",
        5,
        4,
        rf"[\[(=][\s+]*['\"`/](?:alert|confirm|prompt|eval)['\"`/]|\b(?:top|self|window|parent|frames|this|globalthis|document)\[[\s+]*(?:['\"`/+!(~\\]|\w+[\s+]*\+)|=[\s+]*{_CALL}\b[\s+]*[,;(]",
    ),
    Rule(
        "document_property",
        4,
        3,
        r"\b(?:document|window|top|self|parent|location|this)[\s+]*(?:\.|\[['\"])[\s+]*(?:cookie|domain|write\w*|location|body|referrer|name|onerror|defaultview|getelement\w+|hash|href|alert|eval|opener)\b",
    ),
    Rule("document_call", 5, 5, r"\bdocument[\s+]*\.[\s+]*(?:cookie|write(?:ln)?[\s+]*\(|location[\s+]*=)"),
    Rule(
        "location_set",
        5,
        2,
        r"(?:^|[;'\"\s(,+.])location(?:\.href)?[\s+]*=[\s+]*"
        r"(?:['\"`/(\[]|name\b|\w+[(\[]|(?:this|self|top|window|document|parent|location|opener)\.|(?:java|vb)script|data:)",
    ),
    Rule("text_by_number", 5, 5, r"string[\s+]*\.[\s+]*fromc(?:harcode|odepoint)|\bunescape[\s+]*\(|\batob[\s+]*\("),
    Rule(
        "constructor_chain",
        5,
        5,
        r"constructor[\s+]*(?:\.|\[['\"])?constructor|\[['\"]constructor['\"]\]|\.constructor[\s+]*\(|\$eval|\$on\.|__proto__[.\[]",
    ),
    Rule("code_of_brackets", 5, 4, r"\[\][\s+]*(?:\[[\s+]*[(!+\[]|\+)|\(!\[\]|!\+?\[\]|\[\+\[\]\]|\$=~\[\]"),
    Rule("entity_or_stylesheet", 5, 5, r"<!entity|<!doctype[^>]*\[|<\?xml-stylesheet|<\?import|<!attlist|<!\[cdata\["),
    Rule("conditional_comment", 5, 3, r"<!--\[if|<!\[if|<%[\s=]|<\?(?:php|=|[\s'\"`])|<!--#\w"),
    Rule("other_alphabet", 5, 5, r"\+adw-|\xbcscript|1/4script|1\xe2\x81\x84\x34script"),
    Rule("tag_after_quote", 5, 3, r"^[^<]*['\"`]\)?[\s+]*/?>[\s+]*<[\s/]*[a-z!?%]"),
    Rule("comment_breakout", 3, 1, r"--!?>[\s+]*<|\*/[\s+]*[<\w]"),
)
