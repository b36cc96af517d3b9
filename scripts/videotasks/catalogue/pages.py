"""The specification inside a page of documentation: only the fenced block is taken, never the page's prose. Pure.

Mintlify hosts answer `<page>.md` with `````yaml <file> <METHOD> <path>`` and the operation's OpenAPI, Apidog hosts
with a whole document in a yaml fence, GitBook hosts with one in a json fence; `llms.txt` lists the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

_FENCE = re.compile(r"(`{3,})[ \t]*(yaml|yml|json)\b[^`]*\Z")
_IS_SPECIFICATION = re.compile(r"""[ \t]*\{?[ \t]*["']?(openapi|swagger)["']?[ \t]*:""")
_LINK = re.compile(r"https?://[^\s<>()\"'`]{1,500}")
MAX_BLOCKS = 8
MAX_LINES = 200_000  # a second's work
MAX_LINKS = 20_000


def specifications(page: str) -> Iterator[bytes]:
    """Fenced blocks that look like an OpenAPI document, in the order of the page. One pass: a page may be hostile."""
    found, fence, block, is_one = 0, "", list[str](), False
    for line in page.split("\n", MAX_LINES)[:MAX_LINES]:
        if not fence:
            opened = _FENCE.match(line[:200].rstrip("\r"))
            fence, block, is_one = (opened[1] if opened else ""), [], False
        elif line.rstrip() != fence:
            block.append(line)
            is_one = is_one or bool(_IS_SPECIFICATION.match(line[:200]))
        else:
            fence = ""
            if is_one and found < MAX_BLOCKS:
                found += 1
                yield ("\n".join(block) + "\n").encode("utf-8")


def page_addresses(index: str, model: str, most: int = 3) -> list[str]:
    """The addresses of an index that are likely pages of this model: by the words that both have, best first."""
    wanted = _words(model)
    scored: list[tuple[float, int, str]] = []
    for number, match in enumerate(islice(_LINK.finditer(index), MAX_LINKS)):
        address = match[0].rstrip(".,")
        have = _words(address.rpartition("/")[2].removesuffix(".md"))
        both = len(wanted & have)
        if both:
            scored.append((-both / len(wanted | have), number, address))
    return list(dict.fromkeys(address for _, _, address in sorted(scored)))[:most]


def _words(text: str) -> set[str]:
    """`kling-ai/kling-v2.6` -> kling, ai, v26: slugs drop the dots."""
    return {word for word in re.split(r"[^a-z0-9]+", text.casefold().replace(".", "")) if word}
