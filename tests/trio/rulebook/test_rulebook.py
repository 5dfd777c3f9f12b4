"""The rules that are in force, and how others take their place."""

from __future__ import annotations

import gc
import os
import re
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from sansio_smtp.rules.lint.problems import Problem, RuleError
from sansio_smtp.rules.ruleset import Rule, RuleSet
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.rulebook.reload import RuleBook

Logs = list[MutableMapping[str, Any]]
KEPT = re.compile(r"rules and servers loaded at \d\d:\d\d:\d\d")
SECONDS = 5.0


@attrs.define(eq=False)
class Folder:
    """Rule files, each a rule for ``rcpt`` that answers with a text."""

    path: Path
    specs: list[str] = attrs.field(factory=lambda: ["my_rules.py"])
    loads: int = 0
    _writes: int = 0

    def write(self, answer: str, name: str = "my_rules.py") -> Path:
        return self.write_text(f"ANSWER = {answer!r}\ndef rcpt(tx, to): return ANSWER\n", name)

    def write_text(self, text: str, name: str = "my_rules.py") -> Path:
        file = self.path / name
        file.write_text(text)
        self.stamp(file)
        return file

    def stamp(self, file: Path) -> None:
        """As if time had passed: two writes may fall into one tick of the file system's clock."""
        self._writes += 1
        os.utime(file, ns=(0, self._writes * 10**9))

    def load(self) -> LoadedRules:
        self.loads += 1
        return load(self.specs)


def answer(rules: RuleSet) -> list[Any]:
    return [rule.function(None, None) for rule in rules.rules]


def texts(logs: Logs) -> list[str]:
    """What was logged, without fields."""
    return [f"{entry['log_level']}: {entry['event']}" for entry in logs]


@asynccontextmanager
async def serving(book: RuleBook, *, watch: bool = False) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(book.serve, watch=watch))
        yield nursery
        nursery.cancel_scope.cancel()


async def reloaded(book: RuleBook) -> None:
    book.reload()
    await wait_all_tasks_blocked()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return Folder(tmp_path)


# Reload


def test_the_first_rules_are_loaded_at_once(folder: Folder) -> None:
    folder.write("first")
    book = RuleBook(folder.load)
    assert answer(book.current) == ["first"]
    assert book.summary == "my_rules.py (rcpt)"
    folder.write_text("def rcpt(): ...\ndef data(): ...")
    with pytest.raises(RuleError) as caught:
        RuleBook(folder.load)
    assert len(caught.value.problems) == 2


async def test_connections_keep_the_rules_that_they_began_with(folder: Folder, logs: Logs) -> None:
    folder.write("first")
    book = RuleBook(folder.load)
    async with serving(book):
        with book.use() as first:
            folder.write("second")
            assert answer(book.current) == ["first"]
            await reloaded(book)
            with book.use() as second:
                assert (answer(first), answer(second)) == (["first"], ["second"])
        await reloaded(book)
    line = {"log_level": "warning", "event": "rules reloaded", "rules": "my_rules.py (rcpt)"}
    assert logs == [{**line, "changed": "my_rules.py"}, line]


async def test_a_reload_names_the_files_that_changed_since_the_last_good_one(
    folder: Folder, logs: Logs
) -> None:
    folder.write("first")
    book = RuleBook(folder.load)
    async with serving(book):
        folder.write_text("def rcpt(tx): ...")
        await reloaded(book)
        folder.write_text("TEXT = 'no'", "texts.py")
        folder.write_text("from texts import TEXT\ndef rcpt(tx, to): ...")
        await reloaded(book)
        folder.write_text("TEXT = 'not here'", "texts.py")
        await reloaded(book)
    assert [line.get("changed") for line in logs if line["event"] == "rules reloaded"] == [
        "my_rules.py, texts.py",
        "texts.py",
    ]


async def test_who_is_told_sees_the_rules_of_before(folder: Folder, logs: Logs) -> None:
    """What is told is part of the step: if it fails, the rules of before stay."""
    folder.write("first")
    book = RuleBook(folder.load)
    told: list[list[str]] = []

    def replaces(loaded: LoadedRules) -> None:
        told.append([*answer(book.current), *answer(loaded.ruleset)])
        if len(told) > 1:
            raise ValueError("too many")

    book.tell(replaces)
    async with serving(book):
        for name in ("second", "third"):
            folder.write(name)
            await reloaded(book)
        assert answer(book.current) == ["second"]
    assert told == [["first", "second"], ["second", "third"]]
    assert [line["event"] for line in logs] == ["rules reloaded", "reload refused"]


async def test_a_broken_file_leaves_the_old_rules_and_says_why(folder: Folder, logs: Logs) -> None:
    folder.write("first")
    book = RuleBook(folder.load)
    async with serving(book):
        folder.write_text("def rcpt(tx): ...\ndef maill(tx, sender): ...")
        await reloaded(book)
        assert answer(book.current) == ["first"]
        assert texts(logs) == [
            "error: my_rules.py:1: rcpt() takes 1 argument; write rcpt(tx, to)",
            'error: my_rules.py:2: maill() is no phase; did you mean "mail"? '
            "(if it is a helper, let its name begin with _)",
            "error: reload refused",
        ]
        assert logs[-1]["problem"] == "my_rules.py:1: rcpt() takes 1 argument; write rcpt(tx, to)"
        assert KEPT.fullmatch(logs[-1]["kept"])
        assert logs[-1]["restart"] == "would fail"
        assert [*book.readings()] == [(("done",), 0), (("refused",), 1)]
        folder.write("second")
        await reloaded(book)
        assert answer(book.current) == ["second"]
        assert [*book.readings()] == [(("done",), 1), (("refused",), 1)]


async def test_lines_of_a_worker_have_its_number(folder: Folder, logs: Logs) -> None:
    folder.write("first")
    book = RuleBook(folder.load, worker=2)
    async with serving(book):
        await reloaded(book)
        folder.write_text("def rcpt(tx): ...")
        await reloaded(book)
    assert [line["event"].partition(":")[0] for line in logs] == [
        "rules reloaded",
        "my_rules.py",
        "reload refused",
    ]
    assert [line["worker"] for line in logs] == [2, 2, 2]


async def test_a_mistake_of_ours_leaves_the_old_rules_too(logs: Logs) -> None:
    first = LoadedRules(RuleSet())
    results = [first]

    def load() -> LoadedRules:
        return results.pop(0)  # IndexError at the second time

    book = RuleBook(load)
    async with serving(book):
        await reloaded(book)
        assert book.current is first.ruleset
        results.append(LoadedRules(RuleSet()))
        await reloaded(book)
        assert book.current is not first.ruleset
    assert (logs[0]["event"], logs[0]["problem"]) == ("reload refused", "internal error")
    assert logs[0]["exc_info"]
    assert len(logs) == 2


async def test_wishes_at_the_same_time_are_one(folder: Folder) -> None:
    folder.write("first")
    book = RuleBook(folder.load)
    async with serving(book):
        book.reload()
        book.reload()
        await reloaded(book)
    assert folder.loads == 2


async def test_a_wish_from_before_it_serves_is_heard(folder: Folder) -> None:
    folder.write("first")
    book = RuleBook(folder.load)
    book.reload()
    async with serving(book):
        await wait_all_tasks_blocked()
    assert folder.loads == 2


async def test_who_asks_for_a_reload_is_told_how_it_ends(folder: Folder) -> None:
    folder.write("first")
    book = RuleBook(folder.load)
    async with serving(book):
        folder.write("second")
        assert await book.reloaded() == ""
        assert answer(book.current) == ["second"]
        folder.write_text("def rcpt(")
        assert "was never closed" in await book.reloaded()
        assert answer(book.current) == ["second"]


async def test_rules_that_nobody_uses_are_forgotten(folder: Folder) -> None:
    folder.write("first")
    book = RuleBook(folder.load)
    async with serving(book):
        with book.use() as rules:
            gone = weakref.ref(rules.rules[0].function)
            await reloaded(book)
            gc.collect()
            assert gone() is not None
        del rules
        gc.collect()
        assert gone() is None


# Watching. The clock jumps: half a minute passes at once.


@contextmanager
def looked_at(folder: Folder) -> Iterator[RuleBook]:
    """How often the rules are loaded, the first time not counted."""
    folder.write("before")  # as long as "second", so that the size tells nothing
    book = RuleBook(folder.load)
    folder.loads = 0
    yield book


async def test_a_file_that_is_written_is_loaded_once(folder: Folder, autojump_clock: MockClock) -> None:
    with looked_at(folder) as book:
        async with serving(book, watch=True):
            await trio.sleep(30)
            assert folder.loads == 0
            folder.write("second")
            await trio.sleep(2)
            assert answer(book.current) == ["second"]
            await trio.sleep(30)
            assert folder.loads == 1


async def test_without_watching_it_is_not(folder: Folder, autojump_clock: MockClock) -> None:
    with looked_at(folder) as book:
        async with serving(book):
            folder.write("second")
            await trio.sleep(30)
            assert folder.loads == 0


def by_rename(folder: Folder) -> None:
    folder.write("second", "my_rules.py~").rename("my_rules.py")


def in_place(folder: Folder) -> None:
    folder.write("second")


def of_the_same_age(folder: Folder) -> None:
    """As a deployment does that sets all times to one."""
    before = os.stat("my_rules.py")
    new = folder.write("second", "new.py")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace("my_rules.py")


def by_link(folder: Folder) -> None:
    """As a mounted directory is changed: the file itself is never touched."""
    folder.write("second", "new.py")
    Path("link").symlink_to("new.py")
    Path("link").rename("my_rules.py")


@pytest.mark.parametrize("change", [in_place, by_rename, of_the_same_age, by_link])
async def test_however_it_is_changed(
    change: Callable[[Folder], None], folder: Folder, autojump_clock: MockClock
) -> None:
    with looked_at(folder) as book:
        async with serving(book, watch=True):
            change(folder)
            await trio.sleep(2)
            assert answer(book.current) == ["second"]
            folder.write("third")
            await trio.sleep(2)
            assert answer(book.current) == ["third"]


async def test_a_file_that_goes_and_comes_back(folder: Folder, autojump_clock: MockClock, logs: Logs) -> None:
    with looked_at(folder) as book:
        async with serving(book, watch=True):
            os.unlink("my_rules.py")
            await trio.sleep(30)
            assert texts(logs) == [
                "error: my_rules.py: cannot be read: there is no such file: "
                f"{Path.cwd()}/my_rules.py; correct the path",
                "error: reload refused",
            ]
            assert answer(book.current) == ["before"]
            folder.write("second")
            await trio.sleep(2)
            assert answer(book.current) == ["second"]


async def test_a_file_that_is_gone_for_a_moment_is_not_missed(
    folder: Folder, autojump_clock: MockClock, logs: Logs
) -> None:
    with looked_at(folder) as book:
        async with serving(book, watch=True):
            os.unlink("my_rules.py")
            await trio.sleep(0.6)
            folder.write("second")
            await trio.sleep(2)
            assert answer(book.current) == ["second"]
    assert texts(logs) == ["warning: rules reloaded"]


async def test_a_file_is_not_loaded_as_long_as_it_is_written(
    folder: Folder, autojump_clock: MockClock
) -> None:
    with looked_at(folder) as book:
        async with serving(book, watch=True):
            for number in range(20):
                folder.write_text("# half a file" * number)
                await trio.sleep(0.4)
            assert folder.loads == 0
            folder.write("second")
            await trio.sleep(2)
            assert answer(book.current) == ["second"]
            assert folder.loads == 1


async def test_a_file_that_changes_while_it_is_loaded_is_loaded_again(
    folder: Folder, autojump_clock: MockClock
) -> None:
    with looked_at(folder) as book:
        async with serving(book, watch=True):
            folder.write_text(
                "ANSWER = 'second'\n"
                "def rcpt(tx, to): return ANSWER\n"
                "import os; os.utime('my_rules.py', (1, 1))"
            )
            await trio.sleep(0.6)
            await reloaded(book)
            assert answer(book.current) == ["second"]
            folder.loads = 0
            await trio.sleep(30)
            assert folder.loads == 1


async def test_what_was_broken_is_loaded_when_it_is_repaired(
    folder: Folder, autojump_clock: MockClock, logs: Logs
) -> None:
    """Also if it is a new file, which no rules came from yet."""
    with looked_at(folder) as book:
        folder.write_text("1 / 0", "new.py")
        folder.specs += ["new.py", "later.py"]
        async with serving(book, watch=True):
            await reloaded(book)
            await trio.sleep(30)
            assert folder.loads == 1
            assert len(logs) == 3
            folder.write("new", "new.py")
            await trio.sleep(2)
            assert folder.loads == 2
            folder.write("later", "later.py")
            await trio.sleep(2)
            assert answer(book.current) == ["before", "new", "later"]


async def test_what_rules_import_from_beside_them_is_looked_at(
    folder: Folder, autojump_clock: MockClock
) -> None:
    with looked_at(folder) as book:
        folder.write_text("from beside_watched import ANSWER\ndef rcpt(tx, to): return ANSWER\n")
        folder.write_text("ANSWER = 2", "beside_watched.py")
        async with serving(book, watch=True):
            await trio.sleep(2)
            assert answer(book.current) == [2]
            folder.write_text("ANSWER = 3", "beside_watched.py")
            await trio.sleep(2)
            assert answer(book.current) == [3]


async def test_other_files_can_be_looked_at_too(folder: Folder, autojump_clock: MockClock) -> None:
    """Such as that with the settings."""
    config = folder.write_text("one", "proxy.toml")
    folder.write("first")

    def load() -> LoadedRules:
        loaded = folder.load()
        if config.read_text() == "broken":
            raise RuleError([Problem("proxy.toml", 1, "no"), Problem("", 0, "not at all")])
        return attrs.evolve(loaded, files=(*loaded.files, config))

    book = RuleBook(load)
    async with serving(book, watch=True):
        for number, text in enumerate(["two", "broken", "three"], 2):
            folder.write_text(text, "proxy.toml")
            await trio.sleep(30)
            assert folder.loads == number
            folder.write_text("", f"another{number}.txt")
            await trio.sleep(30)
            assert folder.loads == number


async def test_a_mistake_of_ours_is_not_made_again_and_again(
    folder: Folder, autojump_clock: MockClock, logs: Logs
) -> None:
    file = folder.write("first")
    results = [LoadedRules(RuleSet(), files=(file,))]
    book = RuleBook(lambda: results.pop(0))
    async with serving(book, watch=True):
        folder.write("second")
        await trio.sleep(30)
    assert len(logs) == 1


# What rules hold open


@attrs.define(eq=False)
class Client:
    """A rule object that notes what becomes of it."""

    name: str
    notes: list[str]
    fails: bool = False
    slow_to_open: float = 0.0
    slow_to_close: float = 0.0
    breaks: trio.Event = attrs.field(factory=trio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await trio.sleep(self.slow_to_open)
        if self.fails:
            raise ConnectionError(f"{self.name} is\naway")
        self.notes.append(f"{self.name} open")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._break)
                yield
                nursery.cancel_scope.cancel()
        finally:
            await trio.sleep(self.slow_to_close)
            self.notes.append(f"{self.name} closed")

    async def _break(self) -> None:
        await self.breaks.wait()
        raise ConnectionError("broken")


@attrs.define(eq=False)
class Clients:
    """Loads the rules that are next."""

    generations: list[list[Client]]

    def __call__(self) -> LoadedRules:
        objects = tuple(self.generations.pop(0))
        rule = Rule(phase="rcpt", function=print, name=objects[0].name)
        return LoadedRules(RuleSet([rule]), objects=objects)


def in_force(book: RuleBook) -> str:
    return book.current.rules[0].name


async def test_what_rules_need_is_open_before_and_as_long_as_they_are_asked() -> None:
    notes: list[str] = []
    book = RuleBook(
        Clients([[Client("a", notes), Client("b", notes)], [Client("c", notes)], [Client("d", notes)]])
    )
    assert notes == []
    async with serving(book):
        assert notes == ["a open", "b open"]
        with book.use():
            pass
        await wait_all_tasks_blocked()
        assert notes[2:] == []
        with book.use():
            with book.use():
                await reloaded(book)
                assert notes[2:] == ["c open"]
                assert in_force(book) == "c"
            await wait_all_tasks_blocked()
            assert notes[3:] == []
        await wait_all_tasks_blocked()
        assert sorted(notes[3:]) == ["a closed", "b closed"]
        await reloaded(book)
        assert notes[5:] == ["d open", "c closed"]
    assert notes[7:] == ["d closed"]


@pytest.mark.parametrize("started", [True, False])
async def test_if_what_the_first_rules_need_cannot_be_had_nothing_starts(started: bool) -> None:
    notes: list[str] = []
    book = RuleBook(Clients([[Client("a", notes), Client("b", notes, fails=True)]]))
    with pytest.raises(RuleError) as caught:  # noqa: PT012
        if started:
            async with trio.open_nursery() as nursery:
                try:
                    await nursery.start(book.serve)
                except RuleError as error:
                    alone = error
            raise alone
        await book.serve()
    assert str(caught.value) == "Client: running() failed: ConnectionError: b is away"
    assert notes == ["a open", "a closed"]


async def test_if_what_new_rules_need_cannot_be_had_the_old_ones_stay(logs: Logs) -> None:
    notes: list[str] = []
    new = [Client("b", notes), Client("c", notes, fails=True), Client("d", notes)]
    book = RuleBook(Clients([[Client("a", notes)], new]))
    async with serving(book):
        await reloaded(book)
        assert in_force(book) == "a"
        assert notes == ["a open", "b open", "b closed"]
    assert texts(logs) == [
        "error: Client: running() failed: ConnectionError: c is away",
        "error: reload refused",
    ]


async def test_they_do_not_wait_for_it_for_ever(autojump_clock: MockClock, logs: Logs) -> None:
    notes: list[str] = []
    generations = [
        [Client("a", notes)],
        [Client("b", notes, slow_to_open=31)],
        [Client("c", notes, slow_to_open=29)],
    ]
    book = RuleBook(Clients(generations))
    async with serving(book):
        book.reload()
        await trio.sleep(29)
        assert logs == []
        await trio.sleep(2)
        assert texts(logs) == [
            "error: Client: running() failed: it was not there within 30 s",
            "error: reload refused",
        ]
        book.reload()
        await trio.sleep(30)
        assert in_force(book) == "c"


async def test_what_breaks_down_later_ends_nothing_else(logs: Logs) -> None:
    notes: list[str] = []
    first, second, third = (Client(name, notes) for name in "abc")
    book = RuleBook(Clients([[first, second], [third]]))
    async with serving(book):
        first.breaks.set()
        await wait_all_tasks_blocked()
        assert notes == ["a open", "b open", "a closed"]
        assert texts(logs) == ["error: what a rule needs has broken down; reload the rules"]
        assert logs[0]["rule"] == "Client"
        assert logs[0]["exc_info"]
        await reloaded(book)
        assert notes[3:] == ["c open", "b closed"]


async def test_at_the_end_all_is_closed_in_order(autojump_clock: MockClock) -> None:
    """Although the service is cancelled; also what connections still use that were cut off."""
    notes: list[str] = []
    generations = [[Client("a", notes, slow_to_close=4)], [Client("b", notes, slow_to_close=3)]]
    book = RuleBook(Clients(generations))
    with book.use():
        async with serving(book):
            await reloaded(book)
            before = trio.current_time()
        assert trio.current_time() - before == 4
    assert notes == ["a open", "b open", "b closed", "a closed"]


async def test_the_end_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    notes: list[str] = []
    book = RuleBook(Clients([[Client("a", notes, slow_to_close=1000), Client("b", notes, slow_to_close=1)]]))
    async with serving(book):
        before = trio.current_time()
    assert trio.current_time() - before == 5
    assert notes == ["a open", "b open", "b closed"]


async def test_a_service_that_is_stopped_while_rules_start_leaves_nothing_open(
    autojump_clock: MockClock,
) -> None:
    notes: list[str] = []
    book = RuleBook(Clients([[Client("a", notes), Client("b", notes, slow_to_open=20)]]))
    with trio.move_on_after(10) as scope:
        await book.serve()
    assert scope.cancelled_caught
    assert notes == ["a open", "a closed"]
