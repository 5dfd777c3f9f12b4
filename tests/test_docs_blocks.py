"""Each command and each program that the documentation shows is run or checked by a test, or says why not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import attrs
import click
import pytest
from pages import PAGES, ROOT, blocks, is_program, name, shown_file, text

from trio_proxy.commands.cli import cli

RUN = ("python", "console", "toml", "sh", "shell")
_BLOCK = re.compile(
    r"(?:^<!-- not run: ([^\n]*) -->\n\n?)?^```([a-z]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_NEXT = re.compile(r" *(?:[;|&>])")
"""Where the next command begins, or a file is named for the output."""
BY_THE_TESTS_OF_A_PAGE = {
    "README.md": "tests/test_docs_reader.py",
    "SECURITY.md": "tests/compat/supply",
    "docs/how-to/capture.md": "tests/trio/captured/test_how_to.py",
    "docs/how-to/own-server-and-client.md": "tests/interop/test_interop_own_ends.py",
    "docs/how-to/recipes.md": "tests/interop/test_interop_recipes.py",
    "docs/how-to/scanners.md": "tests/interop/test_interop_recipes.py",
    "docs/tutorial/": "tests/test_docs_reader.py",
}
"""Pages, and folders, whose ``sh`` blocks all are run, and by which tests."""


@attrs.frozen
class Block:
    page: Path
    language: str
    body: str
    why_not: str
    """What the page says in ``<!-- not run: … -->`` before the block."""

    @property
    def checked_by(self) -> str:
        """The test that runs or checks it; empty if none does."""
        return str(getattr(self, f"_{self.language}")())

    def _python(self) -> str:
        if is_program(self.body):
            return "test_programs_print_what_the_page_says"
        told = shown_file(self.body)
        commands = "".join(blocks(self.page, "console"))
        return "test_commands_print_what_the_page_says" if f" {told}" in commands else ""

    def _console(self) -> str:
        return "test_commands_print_what_the_page_says"

    def _toml(self) -> str:
        return "test_settings_files_load"

    def _sh(self) -> str:
        for pages, test in BY_THE_TESTS_OF_A_PAGE.items():
            if name(self.page).startswith(pages):
                return test
        return self._shell()

    def _shell(self) -> str:
        ours = all(re.match(r"smtp-proxy( |$)", line) for line in command_lines(self.body))
        return "test_options_of_commands_exist" if ours else ""


def all_blocks() -> Iterator[Block]:
    for page in PAGES:
        for why_not, language, body in _BLOCK.findall(text(page)):
            if language in RUN:
                yield Block(page, language, body, why_not)


def command_lines(body: str) -> list[str]:
    return body.replace("\\\n", " ").splitlines()


def test_each_block_is_run_or_says_why_not() -> None:
    found = list(all_blocks())
    for block in found:
        where = f"{name(block.page)}:\n{block.body}"
        if block.checked_by:
            assert not block.why_not, f"{block.checked_by} runs this block of {where}"
        else:
            assert block.why_not, f"no test runs this block, and no '<!-- not run: … -->' says why: {where}"
    run = [block for block in found if block.checked_by]
    print(f"\nblocks {len(found)}, run {len(run)}")
    for block in found:
        if block.why_not:
            first = block.body.partition("\n")[0]
            print(f"  not run: {name(block.page)}: {first[:60]}: {block.why_not}")


def test_options_of_commands_exist() -> None:
    tried = 0
    for block in all_blocks():
        if block.language in ("sh", "shell"):
            for line in command_lines(block.body):
                if line.startswith("smtp-proxy "):
                    words = shlex.split(_NEXT.split(line)[0], comments=True)
                    parse(words[1:])
                    tried += 1
    assert tried > 10


def parse(arguments: list[str]) -> None:
    """Raises if the command line has no such option or command, or an option lacks its value."""
    context = click.Context(cli, info_name="smtp-proxy")
    _, rest, _ = cli.make_parser(context).parse_args(arguments)
    if rest:
        command = cli.commands[rest[0]]
        command.make_parser(click.Context(command, parent=context)).parse_args(rest[1:])


def test_a_wrong_option_and_a_wrong_command_are_found() -> None:
    with pytest.raises(click.NoSuchOption, match="--lisen"):
        parse(["--lisen", "127.0.0.1:2525"])
    with pytest.raises(click.NoSuchOption, match="--lisen"):
        parse(["check", "--lisen", "127.0.0.1:2525"])
    with pytest.raises(click.BadOptionUsage, match="requires an argument"):
        parse(["--listen"])
    with pytest.raises(KeyError, match="chek"):
        parse(["chek"])


def test_tests_that_run_blocks_exist() -> None:
    written = text(ROOT / "tests" / "test_docs.py") + text(ROOT / "tests" / "test_docs_rules.py")
    for test in {block.checked_by for block in all_blocks()}:
        here = test in globals() or f"def {test}(" in written or (ROOT / test).exists()
        assert here, test
