"""Server text made inert: terminals, Markdown, links and secrets (checklist lines 2, 3, 5, 30, 31 and 33)."""

from __future__ import annotations

import base64
import json
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videotasks.core.redaction import REDACTED, redact
from videotasks.core.safe_text import LIMIT, cut_query, inert, markdown_fence, one_line, why_no_windows_name

KEY = "sk-CANARY-7f3a"
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

ANY_TEXT = st.text(st.characters(), max_size=60) | st.text(
    st.sampled_from("a \t\r\n\x00\x1b\x7f\x9b\u202e\u200b\u2028\ufeff\ud800\U000e0041`~#<[|-"), max_size=60
)


def visible(text: str, allowed: str = "") -> bool:
    """No character of `text` can move a cursor, hide, or fail to be written as UTF-8."""
    text.encode("utf-8")
    return not [c for c in text if unicodedata.category(c) in HIDDEN and c not in allowed]


# -- inert -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00fc \u6587 \U0001f3ac \u2764\ufe0f \ufffd", "plain \u00fc \u6587 \U0001f3ac \u2764\ufe0f \ufffd"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("error\rsuccess", r"error\rsuccess"),
        ("a\nb\tc", r"a\nb\tc"),
        ("a\x00\x7f\x0b\x0c\x08", r"a\x00\x7f\x0b\x0c\x08"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("gpj.\u202eexe.4pm\u202c\u2066\u061c", r"gpj.\u202eexe.4pm\u202c\u2066\u061c"),
        ("s\u200bu\u200dc\u2060c\ufeff\u00ad\u3164", r"s\u200bu\u200dc\u2060c\ufeff\xad\u3164"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\U000e0068\U000e0069", r"\U000e0068\U000e0069"),
        ("\ud83c", r"\ud83c"),
        ("\ufe01\U000e0101", r"\ufe01\U000e0101"),
        ("", ""),
    ],
)
def test_inert_shows_what_would_act(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_inert_multiline_keeps_lines_but_no_lone_carriage_return() -> None:
    assert inert("a\r\nb\n\tc\rd\x1b", multiline=True) == "a\nb\n\tc\\rd\\x1b"


def test_inert_cuts_and_says_how_much_there_was() -> None:
    shown = inert("A" * 100_000)
    assert len(shown) == LIMIT
    assert shown.startswith("AAAA")
    assert shown.endswith(" ... [cut, 100000 characters]")
    assert inert("A" * LIMIT) == "A" * LIMIT
    assert inert("A" * 50, limit=10) == "A" * 10


def test_inert_never_cuts_an_escape_in_two() -> None:
    for limit in range(1, 60):
        shown = inert("\x1b" * 50, limit)
        assert len(shown) <= limit
        assert re.fullmatch(r"(\\x1b)*( \.\.\. \[cut, 50 characters\])?", shown), shown


@given(ANY_TEXT, st.integers(1, 80), st.booleans())
def test_inert_is_visible_and_bounded(text: str, limit: int, multiline: bool) -> None:
    shown = inert(text, limit, multiline=multiline)
    assert len(shown) <= limit
    assert visible(shown, "\n\t" if multiline else "")


def test_every_character_is_judged() -> None:
    """Against Unicode's own categories, so that no format character is forgotten."""
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in HIDDEN:
            assert inert(character).startswith("\\"), hex(code)


# -- one_line ----------------------------------------------------------------------------------------------------


def test_one_line() -> None:
    assert one_line("  a \r\n\r\n b\tc\u2028d\x0be\x85 ") == "a b c d e"
    assert one_line("failed\r\x1b[1Asucceeded") == "failed \\x1b[1Asucceeded"
    assert one_line("\n \t") == ""
    assert one_line("word " * 1000, 40) == "word word wor ... [cut, 5000 characters]"
    assert one_line("a" + " " * 1_000_000 + "b", 40) == "a ... [cut, 1000002 characters]"
    assert one_line(" " * 1_000_000 + "b", 40) == "b"


@given(ANY_TEXT, st.integers(1, 80))
def test_one_line_is_one_visible_bounded_line(text: str, limit: int) -> None:
    shown = one_line(text, limit)
    assert len(shown) <= limit
    assert visible(shown)
    assert len(shown.splitlines()) <= 1


# -- Markdown ----------------------------------------------------------------------------------------------------

MARKDOWN = [
    "[see](javascript:alert(1)) ![x](https://evil.example/p?k=1)",
    "<script>alert(1)</script><https://evil.example/>",
    "```\n# Status: succeeded\n```",
    "~~~\n``````````\n# Done",
    "a cat\n\n# Result\n===\n---\ntitle: x\n---",
    "```text\r# Done\r```",
    "`",
    "[x]: https://evil.example 'y'",
    "    indented\n> quote\n- item\n| a |\n|---|",
]


@given(st.text(st.sampled_from("`~#-=<>[]()!:|* \n\r\t\u2028abc"), max_size=80))
def test_nothing_ends_the_fence_from_inside(text: str) -> None:
    first, *body, last = markdown_fence(text).split("\n")
    assert re.fullmatch("`{3,}text", first)
    assert last == first[: -len("text")]
    assert not any(last in line for line in body)
    assert all(len(line.splitlines()) <= 1 for line in body)


def test_fence_is_bounded() -> None:
    assert len(markdown_fence("`" * 100_000)) < 3 * LIMIT
    assert markdown_fence("") == "```text\n\n```"


@pytest.mark.parametrize("text", MARKDOWN)
def test_a_commonmark_parser_sees_code_only(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt("commonmark").parse(f"# Ours\n\n{markdown_fence(text)}\n\nOurs\n")
    assert [token.type for token in tokens] == [
        "heading_open",
        "inline",
        "heading_close",
        "fence",
        "paragraph_open",
        "inline",
        "paragraph_close",
    ]


# -- links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://cdn.example/v.mp4", "https://cdn.example/v.mp4"),
        ("https://cdn.example/v.mp4?X-Amz-Signature=abc&x=1#t=3", "https://cdn.example/v.mp4?..."),
        ("https://cdn.example/v.mp4#token=abc?x", "https://cdn.example/v.mp4"),
        ("https://user:secret@cdn.example:8443/@scope/v.mp4?a", "https://cdn.example:8443/@scope/v.mp4?..."),
        ("https://user:p@ss@cdn.example/v", "https://cdn.example/v"),
        ("//user:secret@cdn.example/v?x", "//cdn.example/v?..."),
        ("/v1/videos/t_1?key=abc", "/v1/videos/t_1?..."),
        ("http://[::1/broken?sig=abc", "http://[::1/broken?..."),
        ("data:video/mp4;base64,AAAA", "data:video/mp4,... (26 characters)"),
        (" https://a.example/\r\nb\x1b ", "https://a.example/ b\\x1b"),
        ("", ""),
    ],
)
def test_cut_query(url: str, shown: str) -> None:
    assert cut_query(url) == shown


@pytest.mark.parametrize("piece", ["://", "://a", "://@", "?", "?a", "@", "a?=", "%"])
def test_cutting_and_redacting_are_linear(piece: str) -> None:
    text = piece * 200_000  # a quadratic pattern would need hours here
    assert len(cut_query(text)) <= LIMIT
    assert redact(text, [KEY]) == text


# -- secrets -----------------------------------------------------------------------------------------------------


def test_redact_by_value() -> None:
    assert redact(f"Authorization: Bearer {KEY}\nX: {KEY}", [KEY]) == f"Authorization: Bearer {REDACTED}\nX: {REDACTED}"
    assert redact("nothing here", [KEY]) == "nothing here"
    assert redact("short words test", ["test", "word", "", "  "]) == "short words test"
    assert redact(f"{KEY}", [f" {KEY}\n"]) == REDACTED
    assert redact("abcdef123 abcdef", ["abcdef", "abcdef123"]) == f"{REDACTED} {REDACTED}"
    assert redact(KEY, []) == KEY


@pytest.mark.parametrize("prefix", ["", "a", "ab", "user:", "Bearer "])
@pytest.mark.parametrize("suffix", ["", "z", "zz", ":"])
@pytest.mark.parametrize("key", [KEY, "a+/b?c>d~\u00ff", "\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc"])
def test_redact_base64_at_every_alignment(prefix: str, suffix: str, key: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(f"{prefix}{key}{suffix}".encode()).decode()
        for text in (encoded, quote(encoded, safe=""), json.dumps(encoded), json.dumps(encoded).replace("/", "\\/")):
            shown = redact(text, [key])
            assert REDACTED in shown
            left = shown.strip('"').replace(REDACTED, "")
            # all that may stay are the characters that also depend on prefix or suffix
            assert len(left) <= len(base64.b64encode(prefix.encode())) + len(base64.b64encode(suffix.encode())) + 12


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=30)


@given(SECRETS, st.text(max_size=10), st.text(max_size=10))
def test_redact_every_usual_spelling(secret: str, before: str, after: str) -> None:
    spellings = [
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        quote(secret, safe="").lower() if secret.islower() else quote(secret, safe=""),
        "".join(f"%{byte:02x}" for byte in secret.encode()),
        json.dumps(secret)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        "".join(f"\\u{ord(c):04X}" for c in secret),
        repr(secret)[1:-1],
    ]
    for spelling in spellings:
        shown = redact(f"{before} {spelling} {after}", [secret])
        assert REDACTED in shown
        assert spelling not in shown.replace(REDACTED, "")


@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.swapcase])
def test_redact_in_any_case(spelled: Callable[[str], str]) -> None:
    # A redirect to https://<key>.files.example/ names the key in lower case, as every host name.
    assert redact(f"https://{spelled(KEY)}.files.example/", [KEY]) == f"https://{REDACTED}.files.example/"
    assert redact(quote(spelled(KEY), safe="").replace("-", "%2d"), [KEY]) == REDACTED


@given(SECRETS, st.sampled_from(["A", '{"a": ', "%", "\\", "\\/", "%2", "é"]))
def test_redact_finds_in_a_long_text_what_it_finds_in_a_short_one(secret: str, filler: str) -> None:
    filling = filler * (10_000 // len(filler) + 1)
    for spelling in (secret, secret.swapcase(), quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert REDACTED in redact(filling + " " + spelling + " " + filling, [secret])


@pytest.mark.parametrize("before", ["%", "%4", "\\", "\\x", "\\x4", "\\u00", "\\u004", "%%4"])
@pytest.mark.parametrize(
    "secret", ["41abcdef-0123-4567", "1abcdef-0123-4567", "u0041bcdef-0123-4567", "x41bcdef-0123-4567"]
)
def test_redact_where_an_escape_seems_to_begin_before_the_secret(before: str, secret: str) -> None:
    for spelling in (secret, quote(secret).replace("-", "%2d"), secret.upper().replace("-", "\\x2d")):
        assert redact(f"a=b{before}{spelling}&c", [secret]) == f"a=b{before}{REDACTED}&c"
    encoded = base64.b64encode(secret.encode()).decode()
    assert REDACTED in redact(f"{before}{encoded}", [secret])


def test_redact_in_letters_that_only_look_alike() -> None:
    # Kelvin, long s, dotless i: to a pattern that ignores case they are the same letters.
    assert redact("\u017fk-\u212aey-\u0131nside-0123", ["sk-key-inside-0123"]) == REDACTED


def test_redact_before_cutting_leaves_no_half_key() -> None:
    shown = inert(redact("x" * 45 + KEY, [KEY]), 50)
    assert "sk-" not in shown


# -- material from outside ---------------------------------------------------------------------------------------


def hostile(kind: str) -> list[Any]:
    folder = os.environ.get("VIDEO_TASKS_DATA", "")
    path = Path(folder) / "security" / "hostile.json"
    if not folder or not path.is_file():
        return [pytest.param("", marks=pytest.mark.skip(reason="VIDEO_TASKS_DATA is not set"))]
    return [pytest.param(text_of(item), id=item["name"]) for item in json.loads(path.read_text("utf-8"))[kind]]


def text_of(item: dict[str, Any]) -> str:
    if "repeat" in item:
        piece, times = item["repeat"]
        return str(piece * times)
    if "json_text" in item:
        return str(json.loads(item["json_text"]))
    return str(item["text"])


@pytest.mark.parametrize("text", hostile("terminal") + hostile("prompt_injection") + hostile("markdown"))
def test_hostile_text_is_inert(text: str) -> None:
    assert visible(inert(text))
    assert visible(one_line(text))
    assert visible(inert(text, multiline=True), "\n\t")
    assert max(len(inert(text)), len(one_line(text))) <= LIMIT
    assert json.loads(json.dumps(one_line(text), ensure_ascii=False)) == one_line(text)


@pytest.mark.parametrize("text", hostile("terminal") + hostile("prompt_injection") + hostile("markdown"))
def test_hostile_text_stays_in_its_fence(text: str) -> None:
    test_nothing_ends_the_fence_from_inside.hypothesis.inner_test(text)


@pytest.mark.parametrize("text", hostile("markdown"))
def test_hostile_markdown_is_code_only(text: str) -> None:
    test_a_commonmark_parser_sees_code_only(text)


# -- names on Windows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("CON", "device"), ("nul.mp4", "device"), ("Aux", "device"), ("com1.tar.gz", "device"), ("LPT9 .mp4", "device"),
        ("nul:x", "device"), ("COM\u00b9", "device"), ("video:1.mp4", "':'"), ("a?.mp4", "'?'"), ('"x"', "'\"'"),
        ("a|b", "'|'"), ("a\tb", "'\\t'"), ("boat.", "ends in"), ("boat ", "ends in"),
    ],
)  # fmt: skip
def test_windows_has_no_such_file(name: str, why: str) -> None:
    assert why in (why_no_windows_name(name) or "")


@pytest.mark.parametrize(
    "name",
    [
        "boat.mp4",
        "console",
        "con-1.mp4",
        "com10",
        "nulls.mp4",
        ".mp4",
        "..",
        "",
        "雨.mp4",
        "a b.mp4",
        "20261121-093000",
    ],
)
def test_windows_has_such_a_file(name: str) -> None:
    assert why_no_windows_name(name) is None
