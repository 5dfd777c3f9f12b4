"""Rule files and ready rules, from their names to a set of rules."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import typing
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sansio_smtp.rules.lint.problems import RuleError
from sansio_smtp.rules.phases import PHASES
from trio_proxy.rulebook import load as rule_files
from trio_proxy.rulebook import modules as rule_modules
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.settings.tables import RuleTable

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file into the working directory. What is imported from there is forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    path, modules, beside = list(sys.path), dict(sys.modules), set(rule_modules._beside)

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    yield write
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    rule_modules._beside.intersection_update(beside)


def wrong(*specs: str, **settings: RuleTable) -> list[str]:
    with pytest.raises(RuleError) as caught:
        load(specs, settings)
    return [str(problem) for problem in caught.value.problems]


def names(loaded: LoadedRules) -> list[str]:
    return [f"{rule.phase} {rule.name}" for rule in loaded.ruleset.rules]


def answers(loaded: LoadedRules) -> list[Any]:
    """What each rule says."""
    return [rule.function(None, None) for rule in loaded.ruleset.rules]


def table(*, line: int = 5, **values: Any) -> RuleTable:
    keys = {key: line + number for number, key in enumerate(values, 1)}
    return RuleTable(values, {"": line, **keys}, "proxy.toml")


# Files


def test_files_in_their_order(write: Write) -> None:
    second = write("second.py", "def message(tx, msg): ...\ndef rcpt(tx, to): ...")
    first = write("folder/first.py", "async def rcpt(tx, to): ...")
    loaded = load(["second.py", "folder/first.py"])
    assert names(loaded) == ["message second.message", "rcpt second.rcpt", "rcpt first.rcpt"]
    assert [rule.where for rule in loaded.ruleset.rules] == [
        "second.py:1",
        "second.py:2",
        "folder/first.py:1",
    ]
    assert loaded.files == (second, first)
    assert [(part.spec, part.phases) for part in loaded.parts] == [
        ("second.py", ("rcpt", "message")),
        ("folder/first.py", ("rcpt",)),
    ]
    assert loaded.summary == "second.py (rcpt, message), folder/first.py (rcpt)"


def test_no_files_and_no_rules(write: Write) -> None:
    assert load([]).ruleset.rules == ()
    assert load([]).summary == ""
    write("my_rules.py", "")
    assert load(["my_rules.py"]).summary == "my_rules.py (no rules)"


def test_a_file_of_functions_none_of_which_is_a_rule(write: Write) -> None:
    write("a.py", "from os.path import join\ndef check(tx, to): ...\n")
    (text,) = wrong("a.py")
    assert text.startswith(
        "a.py: no rule in it: check is not the name of a phase. A rule is named after the phase"
    )
    assert text.endswith("; phases: " + ", ".join(PHASES))
    write("b.py", "from os.path import join\ndef _helper(): ...\nNAMES = {join}\n")
    assert load(["b.py"]).summary == "b.py (no rules)"


def test_rule_objects_with_a_getattr_of_their_own(write: Write) -> None:
    text = """
class Limits:
    def __getattr__(self, name): return self.__dict__[name]
    def rcpt(self, tx, to): ...
rules = [Limits]
"""
    write("a.py", text)
    loaded = load(["a.py"])
    assert names(loaded) == ["rcpt Limits.rcpt"]
    assert loaded.objects == ()
    assert not loaded.limit_recipients


def test_all_mistakes_of_all_files_at_once(write: Write) -> None:
    write("a.py", "def rcpt(tx): ...\ndef maill(tx, sender): ...")
    write("b.py", "def data(tx: ...")
    write("c.py", "\n1 / 0")
    write("d.py", "def data(): ...")
    assert wrong("c.py", "a.py", "missing.py", "b.py", "d.py") == [
        "c.py:2: ZeroDivisionError: division by zero",
        "a.py:1: rcpt() takes 1 argument; write rcpt(tx, to)",
        'a.py:2: maill() is no phase; did you mean "mail"? (if it is a helper, let its name begin with _)',
        f"missing.py: cannot be read: there is no such file: {Path.cwd()}/missing.py; correct the path",
        "b.py:1: syntax error: '(' was never closed",
        "d.py:1: data() takes 0 arguments; write data(tx)",
    ]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            "my_rule.py",
            'my_rule.py: cannot be read: there is no such file: HERE/my_rule.py; did you mean "my_rules.py"?',
        ),
        (
            "no/where.py",
            "no/where.py: cannot be read: there is no such file: HERE/no/where.py; correct the path",
        ),
        ("folder.py", "folder.py: cannot be read: Is a directory"),
        (
            "rules.txt",
            'rules.txt: is no Python file; rules are in files such as "my_rules.py", or "ready:NAME"',
        ),
    ],
)
def test_files_that_are_none(spec: str, text: str, write: Write, tmp_path: Path) -> None:
    write("my_rules.py", "")
    (tmp_path / "folder.py").mkdir()
    assert wrong(spec) == [text.replace("HERE", str(Path.cwd()))]


def test_a_file_is_named_once(write: Write, tmp_path: Path) -> None:
    file = write("my_rules.py", "def rcpt(tx, to): ...")
    assert wrong("my_rules.py", str(file)) == [f"{file}: is named twice: its rules would be asked twice"]
    assert wrong("ready:secret-scan", "ready:secret_scan") == [
        "ready:secret_scan: is named twice: its rules would be asked twice"
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"x = 1\nx = = 2", ":2: syntax error: invalid syntax"),
        (b"x = '\xe9'", ":1: syntax error: (unicode error) 'utf-8' codec can't decode byte 0xe9"),
        (b"\nimport nothing_of_this_name", ":2: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        (
            b"from sansio_smtp.rules import Rejct",
            ":1: ImportError: cannot import name 'Rejct' from 'sansio_smtp.rules' "
            '(/SOMEWHERE); did you mean "Reject"?',
        ),
        (b"from sansio_smtp.rules import Xyzzy", ":1: ImportError: cannot import name 'Xyzzy'"),
        (b"def f():\n  raise ValueError('a\\n  b')\n\nf()", ":2: ValueError: a b"),
        (b"import json\nx = 1\njson.loads(\n'{')", ":3: json.decoder.JSONDecodeError: Expecting"),
        (b"\nexec('x = = 1')", ":2: syntax error: invalid syntax"),
        (b"exit(3)", ":1: SystemExit: 3"),
        (
            b"from sansio_smtp.rules import on\n@on\ndef rcpt(tx, to): ...",
            ":2: LocalProtocolError: @on needs",
        ),
        (b"class X:\n  @property\n  def y(self): return nothing\nX().y", ":3: NameError: name 'nothing'"),
    ],
)
def test_files_that_fail(text: bytes, where: str, write: Write) -> None:
    file = write("my_rules.py", "")
    file.write_bytes(text)
    (found,) = wrong("my_rules.py")
    import sansio_smtp.rules

    found = found.replace(str(sansio_smtp.rules.__file__), "/SOMEWHERE").replace("json.decoder.", "")
    assert found.startswith("my_rules.py" + where.replace("json.decoder.", ""))


def test_a_nul_in_a_file(write: Write) -> None:
    write("my_rules.py", "x = '\0'")
    (found,) = wrong("my_rules.py")
    assert found.startswith("my_rules.py: ")
    assert "null bytes" in found


def test_the_encoding_of_a_file_is_its_own(write: Write) -> None:
    file = write("my_rules.py", "")
    file.write_bytes("# coding: latin-1\nNAME = 'é'\ndef rcpt(tx, to): return NAME".encode("latin-1"))
    assert answers(load(["my_rules.py"])) == ["é"]


# Modules


def test_a_file_is_a_module_as_long_as_its_rules_are_there(write: Write) -> None:
    file = write(
        "my_rules.py",
        "from __future__ import annotations\n"
        "import attrs\n"
        "@attrs.define\n"
        "class Rule:\n"
        "    after: Rule | None = None\n"
        "    def rcpt(self, tx, to): return list((__file__, __name__))\n"
        "rules = [Rule]\n",
    )
    loaded = load(["my_rules.py"])
    rule = loaded.ruleset.rules[0].function.__self__  # type: ignore[attr-defined]
    assert answers(loaded) == [[str(file), type(rule).__module__]]
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert typing.get_type_hints(type(rule))["after"] == type(rule) | None
    name = type(rule).__module__
    assert name.startswith("my_rules@")
    gone = weakref.ref(sys.modules[name])
    del rule, loaded
    gc.collect()
    assert name not in sys.modules
    assert gone() is None


def test_files_are_executed_anew_each_time(write: Write) -> None:
    file = write("my_rules.py", "def rcpt(tx, to): return int(1)")
    before = file.stat()
    first = load(["my_rules.py"])
    write("my_rules.py", "def rcpt(tx, to): return int(2)")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # within the same tick of the clock
    second = load(["my_rules.py"])
    assert answers(first) == [1]
    assert answers(second) == [2]


def test_what_fails_leaves_nothing_behind(write: Write) -> None:
    write("good.py", "import beside\ndef rcpt(tx, to): ...")
    write("beside.py", "")
    write("bad.py", "def rcpt(): ...")
    write("worse.py", "1 / 0")
    before = set(sys.modules)
    assert len(wrong("good.py", "bad.py", "worse.py")) == 2
    assert set(sys.modules) == before


def test_no_compiled_copies_are_written(write: Write, tmp_path: Path) -> None:
    write("my_rules.py", "import beside")
    write("beside.py", "")
    before = sys.dont_write_bytecode
    load(["my_rules.py"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside.py", "my_rules.py"]
    assert sys.dont_write_bytecode == before


def test_a_file_has_no_futures_but_its_own(write: Write) -> None:
    write("my_rules.py", "def rcpt(tx, to: int): return rcpt.__annotations__['to']")
    assert answers(load(["my_rules.py"])) == [int]


# Modules beside a rule file


def test_what_lies_beside_can_be_imported_and_is_imported_anew(write: Write) -> None:
    write("my_rules.py", "from beside import value\ndef rcpt(tx, to): return value")
    beside = write("beside.py", "value = 1")
    first = load(["my_rules.py"])
    assert first.files[1:] == (beside,)
    write("beside.py", "value = 2")
    second = load(["my_rules.py"])
    assert (answers(first), answers(second)) == ([1], [2])
    assert second.files[1:] == (beside,)


def test_two_files_share_what_lies_beside(write: Write) -> None:
    for name in "ab":
        write(f"{name}.py", "import beside\ndef rcpt(tx, to): return beside")
    write("beside.py", "")
    one, other = answers(load(["a.py", "b.py"]))
    assert one is other


def test_a_rule_may_import_it_when_it_is_asked(write: Write) -> None:
    write("folder/my_rules.py", "def rcpt(tx, to):\n    import beside_late\n    return beside_late.value")
    loaded = load(["folder/my_rules.py"])
    write("folder/beside_late.py", "value = 1")
    assert answers(loaded) == [1]


def test_a_load_that_fails_leaves_the_old_ones_importable(write: Write) -> None:
    write("my_rules.py", "import beside\ndef rcpt(tx, to):\n    import beside\n    return beside.value")
    write("beside.py", "value = 1")
    loaded = load(["my_rules.py"])
    write("beside.py", "value = 2\n1 / 0")
    assert wrong("my_rules.py") == ["beside.py:2: ZeroDivisionError: division by zero"]
    assert answers(loaded) == [1]
    write("beside.py", "value = 3")
    assert answers(load(["my_rules.py"])) == [3]


def test_mistakes_beside_a_file_are_shown_where_they_are(write: Write) -> None:
    write("folder/my_rules.py", "import beside_broken")
    write("folder/beside_broken.py", "x = 1\nx = = 2")
    assert wrong("folder/my_rules.py") == ["folder/beside_broken.py:2: syntax error: invalid syntax"]


def test_nothing_beside_a_file_takes_the_place_of_other_modules(write: Write) -> None:
    write("my_rules.py", "import colorsys\ndef rcpt(tx, to): return colorsys.__file__")
    mine = write("colorsys.py", "")
    sys.modules.pop("colorsys", None)
    assert answers(load(["my_rules.py"])) != [str(mine)]


def test_a_file_that_has_just_come_can_be_imported(write: Write, tmp_path: Path) -> None:
    write("my_rules.py", "import beside_just_now")
    assert len(wrong("my_rules.py")) == 1
    before = tmp_path.stat()
    write("beside_just_now.py", "")
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))  # within the same tick of the clock
    load(["my_rules.py"])


def test_packages_and_what_lies_elsewhere_stay_as_they_are(write: Write) -> None:
    write("my_rules.py", "import my_package.part, fractions\ndef rcpt(tx, to): return my_package.part")
    write("my_package/__init__.py", "")
    write("my_package/part.py", "")
    write("my_package/inner.py", "import my_package.part")
    first, second = (load(["my_rules.py", "my_package/inner.py"]) for _ in range(2))
    assert answers(first) == answers(second)
    assert len(first.files) == 2


# Settings

GREYLIST = """
import attrs

@attrs.define
class HTTPGreylist:
    delay: float
    names: list[str] = attrs.field(factory=list)
    def rcpt(self, tx, to): return list((self.delay, self.names))
"""


def test_a_class_is_made_from_its_settings(write: Write) -> None:
    write("my_rules.py", GREYLIST + "rules = [HTTPGreylist]")
    settings = {"http_greylist": table(delay=2.5, names=["a"])}
    assert answers(load(["my_rules.py"], settings)) == [[2.5, ["a"]]]


def test_settings_replace_the_fields_of_an_instance(write: Write) -> None:
    write("my_rules.py", GREYLIST + "rules = [HTTPGreylist(1.0, ['b'])]")
    assert answers(load(["my_rules.py"])) == [[1.0, ["b"]]]
    assert answers(load(["my_rules.py"], {"http_greylist": table(delay=2.5)})) == [[2.5, ["b"]]]


def test_an_instance_without_settings_stays_what_it_is(write: Write) -> None:
    text = "class Rule(HTTPGreylist):\n    def rcpt(self, tx, to): return list([self is one])\n"
    write("my_rules.py", f"{GREYLIST}{text}one = Rule(1.0)\nrules = [one]")
    assert answers(load(["my_rules.py"])) == [[True]]
    assert answers(load(["my_rules.py"], {"rule": table(delay=2.0)})) == [[False]]


def test_settings_that_are_wrong(write: Write) -> None:
    write("my_rules.py", GREYLIST + "rules = [\n  HTTPGreylist,\n  HTTPGreylist(1.0)]")
    assert wrong("my_rules.py") == [
        'my_rules.py:10: [rules.http_greylist] missing key "delay": expected a number; write it in the table '
        "[rules.http_greylist] of a settings file: --config FILE"
    ]
    assert "--config" not in wrong("my_rules.py", http_greylist=table())[0]  # there is one
    found = wrong("my_rules.py", http_greylist=table(delay="2", dely=2))
    assert found[0].startswith("proxy.toml:6: [rules.http_greylist] delay = ")
    assert found[1] == 'proxy.toml:7: [rules.http_greylist] unknown key "dely"; did you mean "delay"?'


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Greylist", "greylist"),
        ("RateLimit", "rate_limit"),
        ("DKIMSign", "dkim_sign"),
        ("AddX2Y", "add_x2_y"),
    ],
)
def test_a_table_is_named_after_the_class(name: str, snake: str, write: Write) -> None:
    text = f"import attrs\n@attrs.define\nclass {name}:\n    x: int\n    def data(self, tx): return self.x\n"
    write("my_rules.py", f"{text}rules = [{name}]")
    (rule,) = load(["my_rules.py"], {snake: table(x=1)}).ruleset.rules
    assert rule.function(None) == 1


def test_a_class_whose_table_is_misspelt_lacks_no_settings(write: Write) -> None:
    write("my_rules.py", GREYLIST + "rules = [HTTPGreylist]")
    assert wrong("my_rules.py", http_greylst=table(delay=1)) == [
        'proxy.toml:5: [rules.http_greylst] no rule class takes these settings; did you mean "http_greylist"?'
    ]
    assert wrong("ready:allow-list", allowlist=table(recipients=["*@a.example"])) == [
        'proxy.toml:5: [rules.allowlist] no rule class takes these settings; did you mean "allow_list"?'
    ]
    assert len(wrong("ready:allow-list", xyz=table())) == 2


def test_settings_that_no_class_takes(write: Write) -> None:
    write("my_rules.py", GREYLIST + "rules = [HTTPGreylist]")
    fits = table(delay=1)
    assert wrong(
        "my_rules.py",
        http_greylist=fits,
        http_greylst=fits,
        staging=fits,
        limits=fits,
        allowlist=fits,
        xyz=fits,
    ) == [
        f"proxy.toml:5: [rules.{name}] no rule class takes these settings{hint}"
        for name, hint in [
            ("http_greylst", '; did you mean "http_greylist"?'),
            ("staging", '; add "ready:staging" to files in [rules], or give --rules ready:staging'),
            ("limits", "; did you mean [limits]?"),
            (
                "allowlist",
                '; did you mean [rules.allow_list]? Then add "ready:allow_list" to files in [rules]',
            ),
            ("xyz", ""),
        ]
    ]


def test_of_a_file_that_cannot_be_executed_nobody_knows_the_classes(write: Write) -> None:
    write("my_rules.py", "1 / 0")
    assert len(wrong("my_rules.py", greylist=table())) == 1


def test_a_class_without_fields_takes_no_settings(write: Write) -> None:
    write("my_rules.py", "class Plain:\n    def rcpt(self, tx, to): return int(1)\nrules = [Plain]")
    assert answers(load(["my_rules.py"])) == [1]
    assert wrong("my_rules.py", plain=table()) == [
        "proxy.toml:5: [rules.plain] Plain takes no settings: it is no attrs class"
    ]


def test_objects_are_those_that_have_to_run(write: Write) -> None:
    text = """
from contextlib import asynccontextmanager
class Runs:
    @asynccontextmanager
    async def running(self): yield
    def rcpt(self, tx, to): ...
    def mail(self, tx, sender): ...
class Stands:
    def rcpt(self, tx, to): ...
rules = [Stands, Runs, Runs()]
"""
    write("my_rules.py", text)
    assert [type(each).__name__ for each in load(["my_rules.py"]).objects] == ["Runs", "Runs"]


# Ready rules


@pytest.fixture
def ready(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """Writes a module into a package of ready rules that takes the place of the real one."""
    monkeypatch.setattr(rule_files, "_PACKAGE", "my_ready")
    monkeypatch.syspath_prepend(tmp_path)
    write("my_ready/__init__.py", "")
    write("my_ready/_private.py", "")
    return lambda name, text: write(f"my_ready/{name}", text)


def test_ready_rules(ready: Write) -> None:
    ready("rate_limit.py", GREYLIST + "rules = [HTTPGreylist]")
    settings = {"http_greylist": table(delay=1.0)}
    for spec in ("ready:rate_limit", "ready:rate-limit"):
        loaded = load([spec], settings)
        assert answers(loaded) == [[1.0, []]]
        assert loaded.summary == f"{spec} (rcpt)"
        assert [rule.where for rule in loaded.ruleset.rules] == [f"{spec}:8"]
        assert loaded.files == ()


def test_ready_rules_that_are_not_there(ready: Write) -> None:
    ready("rate_limit.py", "")
    ready("staging.py", "")
    assert wrong("ready:stagin", "ready:xyz", "ready:_private") == [
        'ready:stagin: there is no such rule; did you mean "staging"?',
        "ready:xyz: there is no such rule; there are: rate_limit, staging",
        "ready:_private: there is no such rule; there are: rate_limit, staging",
    ]


def test_a_ready_rule_that_needs_an_extra(ready: Write) -> None:
    ready("shared.py", "'What it does.'\nimport nothing_of_this_name\n__extra__ = 'redis'")
    ready("broken.py", "import nothing_of_this_name")
    assert wrong("ready:shared", "ready:broken") == [
        "ready:shared: needs nothing_of_this_name: pip install 'sansio-smtp[redis]'",
        "ready:broken: No module named 'nothing_of_this_name'",
    ]


def ready_names() -> list[str]:
    return rule_files._ready_names()


@pytest.mark.parametrize("name", ready_names())
def test_each_ready_rule_is_there_and_right(name: str) -> None:
    """But for settings that it needs."""
    try:
        loaded = load([f"ready:{name}"])
    except RuleError as error:
        for problem in error.problems:
            assert problem.text.startswith(f"[rules.{name}] "), problem
    else:
        assert loaded.parts[0].rules


def test_names_that_are_no_python_file_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "rules.py").write_text("def rcpt(tx, to): pass\n")
    (tmp_path / "mine.py").write_text("def rcpt(tx, to): pass\n")
    (tmp_path / "empty").mkdir()
    for name, said in {
        "my": "; it is a directory: name a file in it, such as my/rules.py",
        "empty": "; it is a directory: name a file in it",
        "my.rules": '; did you mean "my/rules.py"?',
        "mine": '; did you mean "mine.py"?',
        "proxy.toml": "; a settings file is given with --config",
        "footer": '; did you mean "ready:footer"?',
        "dkim-sign": '; did you mean "ready:dkim-sign"?',
    }.items():
        with pytest.raises(RuleError) as caught:
            load([name])
        assert str(caught.value) == f"{name}: is no Python file{said}"


def test_wrong_imports_are_explained(write: Write) -> None:
    for text, said in {
        "from sansio_smtp import Reject": "; write from sansio_smtp.rules import Reject",
        "from smtp_proxy import Reject": "; write from sansio_smtp.rules import Reject",
        "import sansio_smpt": '; did you mean "sansio_smtp"?',
        "import nosuch": f"; it must be installed for the Python that runs smtp-proxy, {sys.executable}",
        "from sansio_smtp.rules import on\n@on(rcpt)\ndef x(tx, to): ...": (
            '; the name of a phase stands in quotes, as in @on("rcpt")'
        ),
    }.items():
        write("a.py", text)
        (problem,) = wrong("a.py")
        assert problem.endswith(said), problem
