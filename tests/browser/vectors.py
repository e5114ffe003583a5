"""Hostile HTML of our own: ways to run `ran()`, and places that parsers read in ways of their own."""

from __future__ import annotations

import html
import random

from unit.sanitizers.samples import MARKUP_PIECES

RUN_AS_THEY_ARE = (
    "<script>ran()</script>",
    "<SCRIPT>ran()</SCRIPT >",
    "<script/x>ran()</script>",
    "<script type=module>ran()</script>",
    "<img src=/none.png onerror=ran()>",
    "<img/src='/none.png'/onerror='ran()'>",
    "<img src=/none.png onload=1 onerror\n=\nran()>",
    '<img src="/none.png" title="`" onerror="&#114;an()">',
    "<image src=/none.png onerror=ran()>",
    "<svg onload=ran()>",
    "<svg><script>ran()</script></svg>",
    "<svg><g onclick=ran()><text>x</text></g></svg>",
    "<svg><animate onbegin=ran() attributeName=x dur=1s>",
    "<svg><a href='javascript:ran()'><text>x</text></a></svg>",
    "<iframe srcdoc='<script>parent.ran()</script>'></iframe>",
    "<iframe src='javascript:parent.ran()'></iframe>",
    "<iframe onload=ran()></iframe>",
    "<object data='javascript:ran()' onerror=ran()></object>",
    "<embed src=/none onerror=ran() onload=ran() onclick=ran()>",
    "<body onload=ran()>",
    "<body onclick=ran()>x",
    "<a href='javascript:ran()'>x</a>",
    "<a href='JaVaScRiPt:ran()'>x</a>",
    "<a href=' &#1; javascript:ran()'>x</a>",
    "<a href='java\nscript:ran()'>x</a>",
    "<a href='java&Tab;script:ran()'>x</a>",
    "<a href='javascript&colon;ran()'>x</a>",
    "<a href='&#x6a;avascript:ran()'>x</a>",
    "<a href='javascript://%0aran()'>x</a>",
    "<a onclick=ran()>x</a>",
    "<form action='javascript:ran()'><button>x</button></form>",
    "<form><button formaction='javascript:ran()'>x</button></form>",
    "<form><input type=submit formaction='javascript:ran()'></form>",
    "<input autofocus onfocus=ran()>",
    "<select autofocus onfocus=ran()></select>",
    "<details open ontoggle=ran()><summary>x</summary></details>",
    "<video><source onerror=ran()></video>",
    "<video src=/none onerror=ran()></video>",
    "<audio src=/none onerror=ran()></audio>",
    "<style onload=ran()></style>",
    "<link rel=stylesheet href=/none onerror=ran()>",
    "<marquee onclick=ran()>x</marquee>",
    "<p onmouseover=ran()>x</p>",
    "<p style='animation: a 1s' onanimationstart=ran()>x</p><style>@keyframes a {}</style>",
    "<b onpointerover=ran()>x</b>",
    "<custom-element onclick=ran()>x</custom-element>",
    "<math><mtext onclick=ran()>x</mtext></math>",
    "<map name=m><area href='javascript:ran()'></map>",
    "<template><b></b></template><img src=/none.png onerror=ran()>",
    "<base href='javascript:/a/'><a onclick=ran()>x</a>",
)
"""Each runs in Chromium when it is put on a page, or when something on the page is clicked or touched."""

ONLY_IF_MENDED = (
    "<noscript><p title='</noscript><img src=/none.png onerror=ran()>'>",
    "<svg></p><style><a id='</style><img src=/none.png onerror=ran()>'>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=/none.png onerror=ran()&gt;'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src=/none.png onerror=ran()>",
    "<svg><desc><table><thead><style></desc><desc></style></svg><img title='</style><img src=/none.png onerror=ran()>'>",
    "<select><template><style><!--</style><a title='--><img src=/none.png onerror=ran()>'></select>",
    "<textarea><p title='</textarea><img src=/none.png onerror=ran()>'></textarea>",
    "<title><a title='</title><img src=/none.png onerror=ran()>'>",
    "<xmp><p title='</xmp><img src=/none.png onerror=ran()>'>",
    "<iframe><p title='</iframe><img src=/none.png onerror=ran()>'>",
    "<noembed><p title='</noembed><script>ran()</script>'>",
    "<plaintext><script>ran()</script>",
    "<!--><img src=/none.png onerror=ran()>-->",
    "<!--!><img src=/none.png onerror=ran()>-->",
    "<!-- --!><img src=/none.png onerror=ran()>-->",
    "<![CDATA[<img src=/none.png onerror=ran()>]]>",
    "<svg><![CDATA[><img src=/none.png onerror=ran()>]]></svg>",
    "<?x ><img src=/none.png onerror=ran()>?>",
    "</ ><img src=/none.png onerror=ran()>",
    "<scr<script>ipt>ran()</scr</script>ipt>",
    "<<script>script>ran()<</script>/script>",
    "<b>\u0338 onclick=ran() x=</b>",
    "<b>\u0338<img src=/none.png onerror=ran()></b>",
    "<p title='>'\u0338 onclick=ran()>x",
    "<scr\u200bipt>ran()</scr\u200bipt>",
    "<img src=/none.png on\u200berror=ran()>",
    "<\0script>ran()</\0script>",
    "<s\ud800cript>ran()</s\ud800cript>",
    "\uff1cscript\uff1eran()\uff1c/script\uff1e",
    "&lt;script&gt;ran()&lt;/script&gt;",
    "&amp;lt;img src=/none.png onerror=ran()&amp;gt;",
    "<a href='data:text/html,<script>ran()</script>'>x</a>",
    "<a href='vbscript:ran()'>x</a>",
    "<a href='https://a.test/' href='javascript:ran()'>x</a>",
    "<a href='javascript\uff1aran()'>x</a>",
    "<a href='\u202ejavascript:ran()'>x</a>",
    "<meta http-equiv=refresh content='0;url=javascript:ran()'>",
    "<img srcset='javascript:ran()' src='javascript:ran()'>",
    "<pre>\n\n<script>\n\nran()</script></pre>",
    "<table background='javascript:ran()'><td background='javascript:ran()'>",
    "<p style='background:url(javascript:ran())'>x",
    "<blockquote cite='javascript:ran()'>x",
    "<isindex action='javascript:ran()' type=image>",
)

PLACES = (
    "{}",
    "<b><i>{}</b></i>",
    "<p>x{}<p>y",
    "<ul><li>{}",
    "<table><tr><td>{}</table>",
    "<table>{}</table>",
    "<select><option>{}</select>",
    "<svg>{}</svg>",
    "<svg><foreignObject>{}",
    "<math><mi>{}</math>",
    "<math><annotation-xml encoding='text/html'>{}",
    "<noscript>{}</noscript>",
    "<template>{}</template>",
    "<a title='{}'>x</a>",
    '"><p>{}',
    "<style>{}</style>",
    "<!-- {} -->",
    "<div>" * 60 + "{}",
    "<b>x</b>" * 60 + "{}",
)


def hostile_pages() -> list[str]:
    """A thousand pages and more: each vector in each place, and pieces thrown together, always the same ones."""
    vectors = (*RUN_AS_THEY_ARE, *ONLY_IF_MENDED, *(html.escape(vector) for vector in RUN_AS_THEY_ARE[:8]))
    pages = [place.format(vector) for place in PLACES for vector in vectors]
    chance = random.Random(6)
    pieces = [*MARKUP_PIECES, *RUN_AS_THEY_ARE, *ONLY_IF_MENDED]
    return pages + ["".join(chance.choices(pieces, k=chance.randrange(2, 40))) for _ in range(300)]
