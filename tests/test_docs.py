"""Checks the documentation: its programs run and print the shown output, its tables match the code, its links
work."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Literal

import attrs
import click
import pytest
import trustme
from click.testing import CliRunner
from pages import DESIGN, FENCED, MANUAL, PAGES, ROOT, SUPPORTED, blocks, is_program, name, prose, table, text

from sansio_smtp import (
    BODY_LINE,
    CLIENT,
    HEADERS,
    MESSAGE,
    SERVER,
    Ask,
    BareNewline,
    ClientInfo,
    ClientTls,
    Config,
    Networks,
    Nul,
    Proxy,
    Question,
    Replace,
    SendToClient,
    TlsInfo,
)
from sansio_smtp.proxy.own_replies import FAULT
from sansio_smtp.testing import play
from sansio_smtp.testing import session as rules_session
from sansio_smtp.verbs import VERBS, Support
from trio_proxy.commands.cli import cli
from trio_proxy.driver import own_replies, server
from trio_proxy.limits.table import CONNECTIONS
from trio_proxy.settings.timeouts import Timeouts

LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
NOT_OURS = re.compile(r"^(?:curl|pytest|swaks|systemctl|buildah|podman) (?:.*\\\n)*.*", re.MULTILINE)


@pytest.fixture(scope="module")
def make_diagrams() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "docs"))  # it has a second file there
    spec = importlib.util.spec_from_file_location("make_diagrams", ROOT / "docs" / "make_diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "docs"))


# Programs


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in text(page) and page.parent.name != "tutorial"], ids=name
)
def test_programs_print_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if '"cert.pem"' in text(page):
        make_certificate(tmp_path)
        monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": page.stem}
    fences = FENCED.findall(text(page))
    for (language, body), (following, output) in zip(fences, [*fences[1:], ("", "")], strict=True):
        if language != "python" or not is_program(body):
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(body, name(page), "exec"), namespace)
        assert printed.getvalue() == (output if following == "text" else ""), body


def make_certificate(folder: Path) -> None:
    """As the command of openssl on the page makes it, with a library."""
    authority = trustme.CA()
    issued = authority.issue_cert("mx.example", "localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    for certificate in (*issued.cert_chain_pems, authority.cert_pem):
        certificate.write_to_path(str(folder / "cert.pem"), append=True)


@pytest.mark.parametrize("page", [page for page in PAGES if "```smtp" in text(page)], ids=name)
def test_dialogue_scripts_play(page: Path) -> None:
    for script in blocks(page, "smtp"):
        play(script)
        play(script, late=True)


# Texts from the code


@pytest.mark.usefixtures("configured_anew")
def test_generated_regions_are_up_to_date(make_diagrams: ModuleType) -> None:
    assert make_diagrams.stale() == [], "run python docs/make_diagrams.py"
    assert make_diagrams.used() == set(make_diagrams.REGIONS)


def test_a_stale_region_is_found(make_diagrams: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: framing -->\nold\n<!-- end of framing -->\n")
    assert make_diagrams.stale([page]) == [page]
    page.write_text(make_diagrams.render(page.read_text()))
    assert make_diagrams.stale([page]) == []


def test_pictures_are_up_to_date_and_shown(make_diagrams: ModuleType) -> None:
    assert make_diagrams.stale_pictures(make_diagrams.PICTURES) == [], "run python docs/make_diagrams.py"
    shown = {picture for page in PAGES for picture in re.findall(r"pictures/([\w-]+)\.svg", text(page))}
    made = {picture.stem for picture in (ROOT / "docs" / "pictures").iterdir()}
    assert made == shown == set(make_diagrams.PICTURES)


def test_a_stale_picture_is_found(make_diagrams: ModuleType, tmp_path: Path) -> None:
    source = make_diagrams.DRAWINGS["architecture"]
    shutil.copy(ROOT / "docs" / "pictures" / "architecture.svg", tmp_path)
    pictures = {"architecture": lambda: source().replace("client", "peer"), "new": source}
    assert make_diagrams.stale_pictures({"architecture": source}, tmp_path) == []
    assert make_diagrams.stale_pictures(pictures, tmp_path) == ["architecture", "new"]


def test_scaling_begins_with_figures_that_were_measured(make_diagrams: ModuleType) -> None:
    figure = importlib.import_module("scaling_tables").Figure
    measured = text(ROOT / "docs" / "explanation" / "performance.md").partition("CPU time for one message:")[
        2
    ]
    row = next(line for line in measured.splitlines() if line.startswith("| HAProxy "))
    assert row.split(" | ")[2].startswith(f"{figure('proxies', 'HAProxy', 'small, µs').value:,g} (")
    with pytest.raises(KeyError, match="nobody"):
        _ = figure("proxies", "nobody", "small, µs").value


def test_every_promise_is_documented_and_tested() -> None:
    tested = {
        int(number)
        for file in (ROOT / "tests" / "properties").glob("test_p*.py")
        for number in re.findall(r"_p(\d+)", f"_{file.stem.removeprefix('test_')}")
    }
    assert [int(row[0].split()[0][1:]) for row in table(DESIGN, "## The promises")] == [*range(1, 13)]
    assert tested == {*range(1, 13)}


def test_each_promise_says_how_it_is_checked() -> None:
    rows = table(ROOT / "docs" / "explanation" / "promises.md", "## The promises, and how each is checked")
    assert [int(row[0].split()[0][1:]) for row in rows] == [*range(1, 13)]
    for promise, _, checked in rows:
        number = promise.split()[0][1:]
        (test,) = re.findall(r"/properties/(test_[\w]+\.py)", checked)
        assert f"p{int(number):02}" in test, promise


def test_every_module_says_in_one_sentence_what_it_is_for() -> None:
    """The map in design.md consists of these sentences; another test checks that it is up to date."""
    for package in ("sansio_smtp", "trio_proxy"):
        for file in (ROOT / package).rglob("*.py"):
            about = ast.get_docstring(ast.parse(file.read_text())) or ""
            sentence = " ".join(about.partition("\n\n")[0].split()).partition(". ")[0]
            assert 10 < len(sentence) < 180, (file, sentence)


def test_every_known_verb_is_documented() -> None:
    documented = {verb for row in table(SUPPORTED, "## Verb by verb") for verb in row[0].split(", ")}
    forwarded = {name.decode() for name, verb in VERBS.items() if verb.support is Support.FORWARDED}
    assert documented == {*forwarded, "any other verb"}


def test_limits_are_those_of_the_core() -> None:
    rows = {row[3].strip("`"): row[1].replace(",", "") for row in table(SUPPORTED, "## Limits")}
    assert rows.pop("Server.max_connections") == str(
        attrs.fields_dict(server.Server)["max_connections"].default
    )
    assert rows.pop("max_message_size") == "the server's SIZE"
    defaults = {field.name: str(field.default) for field in attrs.fields(Config)}
    assert rows == {setting: defaults[setting] for setting in rows}


def test_timeouts_are_the_drivers() -> None:
    rows = table(ROOT / "docs" / "reference" / "operating.md", "## Timeouts")
    documented = {row[0].strip("`").replace("-", "_"): float(row[1]) for row in rows}
    assert documented == {field.name: field.default for field in attrs.fields(Timeouts)}


def test_exit_statuses_are_those_of_the_help() -> None:
    documented = {
        row[0].strip("`") for row in table(ROOT / "docs" / "reference" / "operating.md", "## Exit status")
    }
    (epilog,) = re.findall(r"Exit status: (.*?)\.", " ".join(help_text().split()))
    assert documented == {*re.findall(r"\b\d+\b", epilog), "1"}  # of the demo, and of the trial of rules


@pytest.mark.parametrize(
    "package",
    [
        "sansio_smtp",
        "sansio_smtp.rules",
        "sansio_smtp.testing",
        "sansio_smtp.testing.strategies",
        "trio_proxy.testing",
    ],
)
def test_every_public_name_is_in_the_api_pages(package: str) -> None:
    """If one is not: the module that defines it is missing in docs/api_tables.py."""
    shown: list[str] = []
    for page in (ROOT / "docs" / "reference" / "api").glob("*.md"):
        for directives in blocks(page, "{eval-rst}"):
            if directives.startswith(f".. currentmodule:: {package}\n"):
                shown += re.findall(r"^\.\. (?:auto\w+|py:data):: (\w+)$", directives, re.MULTILINE)
    assert sorted(shown) == sorted(importlib.import_module(package).__all__)


# Options and links


def help_text(*command: str) -> str:
    result = CliRunner().invoke(cli, [*command, "--help"], prog_name="smtp-proxy", terminal_width=200)
    assert result.exit_code == 0
    return result.output


def test_the_documented_options_are_those_of_the_program_in_its_order() -> None:
    page = ROOT / "docs" / "reference" / "options.md"
    documented = [OPTION.findall(row[0]) for row in table(page, "## Each option")]
    assert documented == [
        *([*option.opts[-1:], *option.secondary_opts] for option in cli.params if option.name != "version"),
        ["--version", "--help"],
    ]


def test_every_option_is_documented_and_every_documented_option_exists() -> None:
    assert isinstance(cli, click.Group)
    existing = set(OPTION.findall("".join(help_text(*command) for command in [(), *zip(cli.commands)])))
    documented = {option for page in MANUAL for option in OPTION.findall(NOT_OURS.sub("", text(page)))}
    assert documented == existing


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link}"
        assert target.is_relative_to(ROOT), f"{name(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name(page)}: {link}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Replies of the proxy to input that it does not pass on


GREETED = [(SERVER, b"220 mx.example\r\n")]
TO_DATA = [
    *GREETED,
    (CLIENT, b"MAIL FROM:<a@me.example>\r\n"),
    (SERVER, b"250 ok\r\n"),
    (CLIENT, b"RCPT TO:<b@mx.example>\r\n"),
    (SERVER, b"250 ok\r\n"),
    (CLIENT, b"DATA\r\n"),
]
CONTENT = [*TO_DATA, (SERVER, b"354 go ahead\r\n")]
AUTH = [*GREETED, (CLIENT, b"AUTH LOGIN\r\n"), (SERVER, b"334 VXNlcm5hbWU6\r\n")]
STRICT = Config(bare_newline=BareNewline.REJECT, nul=Nul.REFUSE)
LARGE = b"x" * 2000

PROVOKED: dict[str, tuple[Callable[[], Proxy], list[tuple[object, bytes]]]] = {
    "not a command": (Proxy, [*GREETED, (CLIENT, b"Subject: x\r\n")]),
    "NUL": (Proxy, [*GREETED, (CLIENT, b"NOOP \0\r\n")]),
    "framing verb": (Proxy, [*GREETED, (CLIENT, b"ETRN x\r\n")]),
    "own verb": (Proxy, [*GREETED, (CLIENT, b"STARTTLS\r\n")]),
    "stranger": (
        lambda: Proxy(Config(accept_xclient=Networks.parse(["192.0.2.1"]))),
        [*GREETED, (CLIENT, b"XCLIENT ADDR=192.0.2.1\r\n")],
    ),
    "TLS twice": (
        lambda: Proxy(client=ClientInfo(tls=TlsInfo(version="TLSv1.3"))),
        [*GREETED, (CLIENT, b"STARTTLS\r\n")],
    ),
    "octets after STARTTLS": (
        lambda: Proxy(Config(tls=ClientTls.MAY)),
        [*GREETED, (CLIENT, b"STARTTLS\r\nNOOP\r\n")],
    ),
    "AUTH in clear": (
        lambda: Proxy(Config(auth_without_tls=False)),
        [*GREETED, (CLIENT, b"AUTH LOGIN\r\n")],
    ),
    "TLS first": (
        lambda: Proxy(Config(tls=ClientTls.ENCRYPT)),
        [*GREETED, (CLIENT, b"MAIL FROM:<a@me.example>\r\n")],
    ),
    "BDAT": (Proxy, [*GREETED, (CLIENT, b"BDAT 3 LAST\r\nabc")]),
    "BDAT without a size": (Proxy, [*GREETED, (CLIENT, b"BDAT -1\r\n")]),
    "HTTP": (Proxy, [*GREETED, (CLIENT, b"GET / HTTP/1.1\r\n")]),
    "TLS": (Proxy, [*GREETED, (CLIENT, b"\x16\x03\x01\x02\x00")]),
    "line too long": (lambda: Proxy(Config(max_line=10)), [*GREETED, (CLIENT, LARGE)]),
    "bare LF in a command": (lambda: Proxy(STRICT), [*GREETED, (CLIENT, b"NOOP\n")]),
    "AUTH line": (Proxy, [*AUTH, (CLIENT, b"\0\r\n")]),
    "early content": (Proxy, [*TO_DATA, (CLIENT, b"Hello\r\n"), (SERVER, b"554 no\r\n")]),
    "bare LF": (lambda: Proxy(STRICT), [*CONTENT, (CLIENT, b"a\nb\r\n.\r\n")]),
    "bare CR": (lambda: Proxy(STRICT), [*CONTENT, (CLIENT, b"a\rb\r\n.\r\n")]),
    "NUL in content": (lambda: Proxy(STRICT), [*CONTENT, (CLIENT, b"\0\r\n.\r\n")]),
    "size": (lambda: Proxy(Config(max_message_size=1000)), [*CONTENT, (CLIENT, LARGE + b"\r\n.\r\n")]),
    "header section": (
        lambda: Proxy(Config(max_header_section=1000), {HEADERS}),
        [*CONTENT, (CLIENT, LARGE + b"\r\n.\r\n")],
    ),
    "held": (
        lambda: Proxy(Config(max_held=1000), {MESSAGE}),
        [*TO_DATA, (CLIENT, LARGE + b"\r\n.\r\n")],
    ),
    "edited": (
        lambda: Proxy(Config(max_message_size=1000), {BODY_LINE}),
        [*CONTENT, (CLIENT, b"small\r\n.\r\n")],
    ),
    "server": (Proxy, [(SERVER, b"hello\r\n")]),
}


def provoke(make: Callable[[], Proxy], steps: list[tuple[object, bytes]]) -> bytes:
    """The last reply that the client gets."""
    proxy, sent = make(), [b""]
    for side, octets in steps:
        assert side is CLIENT or side is SERVER
        events = proxy.receive_from(side, octets)
        for event in events:
            if isinstance(event, SendToClient):
                sent.append(event.data)
            elif isinstance(event, Ask) and not proxy.closed:
                question: Question[object] = event.question  # type: ignore[assignment]
                events += proxy.answer(question, Replace(LARGE))
    return sent[-1]


def test_replies_to_what_is_not_passed_on() -> None:
    documented = {cell.strip("`") for _, cell in table(SUPPORTED, "### By cause")}
    given = {provoke(*steps).decode().removesuffix("\r\n") for steps in PROVOKED.values()}
    given |= {
        str(reply)
        for reply in (
            CONNECTIONS.reply,
            own_replies.RULE_FAILED,
            own_replies.INTERNAL_ERROR,
            FAULT,
        )
    }
    assert documented == given | {failed("defer"), failed("reject")}


def failed(on_error: Literal["defer", "reject"]) -> str:
    """The reply to the client after a rule has failed."""

    def helo(conn: object, name: str) -> None:
        raise ValueError(name)

    reply = rules_session(helo, on_error=on_error).reply
    return re.sub(r"incident \w+", "incident 6e4a3b8c", str(reply))
