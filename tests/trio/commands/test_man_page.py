"""The manual page is that of the program, and one that ``man`` can read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest

from trio_proxy.commands.cli import cli
from trio_proxy.commands.man_page import man_page

PAGE = Path(__file__).parents[3] / "deploy" / "man" / "smtp-proxy.1"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == man_page(cli), (
        "run python -m trio_proxy.commands.man_page > deploy/man/smtp-proxy.1"
    )


def test_it_has_every_command_and_option() -> None:
    page = man_page(cli).replace("\\-", "-")
    for name, command in cli.commands.items():
        assert f"\n.SS {name}\n" in page
        for param in command.params:
            if isinstance(param, click.Option) and not param.hidden:
                assert param.opts[-1] in page
    assert "\n69 " not in page
    assert "69 cannot listen there" in page


def test_text_stands_for_itself() -> None:
    @click.group(
        help="One.\n\nIt's -a \\ and \u2026\n\n.TH is no request.\n\n\b\n.two\n lines",
        epilog="Exit status: 0 ok.",
    )
    def group() -> None: ...

    @group.command(help="Does it.")
    @click.option("--much", help="'More' of it.")
    def do(much: str) -> None: ...

    page = man_page(group)
    assert "\nsmtp-proxy \\- One\n" in page
    assert "\n.PP\nIt\\(aqs \\-a \\e and ...\n" in page
    assert "\n.PP\n\\&.TH is no request.\n" in page
    assert "\n.PP\n.nf\n\\&.two\nlines\n.fi\n" in page
    assert "\n.SS do\n.PP\nDoes it.\n.TP\n.B \\-\\-much TEXT\n\\&\\(aqMore\\(aq of it.\n" in page
    assert "\n.SH EXIT STATUS\n0 ok.\n" in page


@pytest.mark.interop
@pytest.mark.any_io
def test_man_reads_it_without_a_warning() -> None:
    result = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(PAGE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stderr == ""
    assert "\nEXIT STATUS\n" in result.stdout
