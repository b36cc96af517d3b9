"""The specification inside a page of documentation: only the fenced block is taken, never the page's prose. Pure.

Mintlify hosts answer `<page>.md` with `````yaml <file> <METHOD> <path>`` and the operation's OpenAPI, Apidog hosts
with a whole document in a yaml fence, GitBook hosts with one in a json fence; `llms.txt` lists the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_FENCE = re.compile(r"^(`{3,})(yaml|yml|json)\b([^\n`]*)\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"https?://[^\s<>()\"'`]{1,500}")
MAX_BLOCKS = 8


def specifications(page: str) -> Iterator[bytes]:
    """Fenced blocks that look like an OpenAPI document, in the order of the page."""
    found = 0
    for fence in _FENCE.finditer(page):
        text = fence[4]
        if re.search(r"""^\s*\{?\s*["']?(openapi|swagger)["']?\s*:""", text, re.MULTILINE) and found < MAX_BLOCKS:
            found += 1
            yield text.encode("utf-8")


def page_addresses(index: str, model: str, most: int = 3) -> list[str]:
    """The addresses of an index that are likely pages of this model: by the words that both have, best first."""
    wanted = _words(model)
    scored: list[tuple[float, int, str]] = []
    for number, match in enumerate(_LINK.finditer(index)):
        address = match[0].rstrip(".,")
        have = _words(address.rpartition("/")[2].removesuffix(".md"))
        both = len(wanted & have)
        if both:
            scored.append((-both / len(wanted | have), number, address))
    return list(dict.fromkeys(address for _, _, address in sorted(scored)))[:most]


def _words(text: str) -> set[str]:
    """`kling-ai/kling-v2.6` -> kling, ai, v26: slugs drop the dots."""
    return {word for word in re.split(r"[^a-z0-9]+", text.casefold().replace(".", "")) if word}
