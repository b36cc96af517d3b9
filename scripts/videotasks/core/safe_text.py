"""Server text as data: made inert, cut, fenced and rid of secrets before a person, a terminal or an agent sees it.

Pure. Order for text that may echo a key: `redact` first, then `inert`, `one_line` or `markdown_fence`
(cutting or escaping first could leave half a key, which no search by value finds).
"""

from __future__ import annotations

import re
from itertools import accumulate

LIMIT = 2000  # characters; enough for any honest message, little for a flood

# What must not reach a terminal or hide from a reader (CWE-150 and the "Trojan Source" set):
_HARMFUL = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"  # soft hyphen, joiners and fillers without a picture
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2"  # Arabic and Syriac marks that reach over what follows them
    "\u180b-\u180f"  # Mongolian selectors and vowel separator
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, separators, bidi, invisible operators
    "\u3164\uffa0"  # Hangul fillers
    "\ud800-\udfff"  # lone surrogates have no UTF-8
    "\ufe00-\ufe0e\U000e0100-\U000e01ef"  # variation selectors can carry hidden bytes; FE0F stays, emoji need it
    "\ufeff\ufff0-\uffff"  # BOM, interlinear annotation, noncharacters (\ufffd is let through below)
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # rarer format characters
    "\U000e0000-\U000e007f"  # tag characters: invisible ASCII
    "]"
)
_BLANKS = re.compile(r"\s+")
_USERINFO = re.compile(r"""(?<=://)[^\s/?#"'<>]*@""")


def inert(text: str, limit: int = LIMIT, *, multiline: bool = False) -> str:
    """`text` with every control, bidi, invisible or unencodable character shown as an escape such as `\\x1b`.

    At most `limit` characters; what was cut says so and how long the whole was. With `multiline`, tabs and line ends
    (CRLF becomes LF) are kept; a lone carriage return never is, for it overwrites a status line.
    """
    head = text[: limit + 1]
    if multiline:
        head = head.replace("\r\n", "\n")
    return _shown(head, limit, len(text), len(text) > limit, "\n\t" if multiline else "")


def json_inert(text: str) -> str:
    """JSON text that means the same, its strings showing nothing that acts on a terminal: each such character stands
    as an escape of JSON's own (json.dumps escapes C0 only)."""
    return _HARMFUL.sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    character = match.group()
    if character in "\n\r\t":  # between the values, where they are layout
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def one_line(text: str, limit: int = LIMIT) -> str:
    """`inert` text on a single line: every run of white space or line ends becomes one blank, none at the ends."""
    start = text.lstrip()[: 8 * limit]  # so that a flood of blanks costs no more than a flood of letters
    line = _BLANKS.sub(" ", start).rstrip()
    cut = len(line) > limit or bool(text.lstrip()[8 * limit :].strip())
    return _shown(line[: limit + 1], limit, len(text), cut)


def markdown_fence(text: str, limit: int = LIMIT, *, language: str = "text") -> str:
    """`text` as a fenced code block, to be placed at the start of a line; no newline after it.

    The fence is longer than any run of backticks inside, so the text can form no link, image, HTML, heading or fence.
    """
    body = inert(text, limit, multiline=True)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def cut_query(url: str, limit: int = LIMIT) -> str:
    """The link without userinfo, query and fragment, for people's text and logs (`?...` marks a cut query).

    A signed link is a bearer secret in its query. Data links keep their media type only. Works on broken links too.
    """
    url = url.strip()
    if url[:5].lower() == "data:":
        kind = re.split("[,;]", url[5:200], maxsplit=1)[0]
        return one_line(f"data:{kind},... ({len(url)} characters)", limit)
    base, *rest = re.split("([?#])", url, maxsplit=1)
    base = _USERINFO.sub("", base)
    if base.startswith("//"):
        base = "//" + re.sub("^[^/]*@", "", base[2:])
    if rest and rest[0] == "?":
        base += "?..."
    return one_line(base, limit)


def _shown(head: str, limit: int, whole: int, cut: bool, keep: str = "") -> str:
    """`head` with its harmful characters escaped, but those in `keep`; cut to `limit` if need be or if `cut`."""

    def shown(text: str) -> str:
        return _HARMFUL.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)

    keep += "\ufffd"
    if not cut and len(text := shown(head)) <= limit:
        return text
    note = f" ... [cut, {whole} characters]"
    note = note if len(note) < limit else ""
    ends = accumulate(len(shown(character)) for character in head)  # an escape is left whole or left out
    return shown(head[: sum(end <= limit - len(note) for end in ends)]) + note


def _escape(character: str) -> str:
    """As Python writes it: \n, \x1b, \u202e."""
    return character.encode("unicode_escape").decode("ascii")


# Windows takes these for devices, with any extension and whatever stands after a colon or blanks.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:[.:].*)?\Z", re.IGNORECASE
)


def why_no_windows_name(name: str) -> str | None:
    """Why Windows has no file of this name, or not the one that is meant (a colon writes into another file)."""
    if _DEVICE.match(name):
        return "is the name of a device"
    if found := re.search(r'[<>:"|?*\x00-\x1f]', name):
        return f"holds {found[0]!r}"
    return "ends in a dot or a blank" if name != name.rstrip(". ") and name.strip(".") else None
