"""The library in C: it is built where there is a compiler, says what Python says, and is never needed.

Wheels are built as a user would, from a source distribution, and installed. Where there is no compiler, or
where there are no headers of Python, they are pure.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from zipfile import ZipFile

import pytest

from sansio_smtp.wire.scan import SAMPLES, Scan, scan_in_python

pytestmark = [pytest.mark.interop, pytest.mark.any_io]

ROOT = Path(__file__).resolve().parents[2]
ASK = "from sansio_smtp.wire.scan import accelerated; print(accelerated)"
NO_HEADERS = """#!/bin/sh
# A compiler that does not find the headers of Python.
for each; do
    shift
    case $each in -I*) ;; *) set -- "$@" "$each" ;; esac
done
exec cc "$@"
"""


class Builder:
    """A virtual environment that has what building needs, and a copy of the source."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.source = place / "source"
        ignored = shutil.ignore_patterns(".git", ".*cache", ".venv", "__pycache__", "*.so", "dist")
        shutil.copytree(ROOT, self.source, ignore=ignored)
        (place / "no-headers").write_text(NO_HEADERS)
        (place / "no-headers").chmod(0o755)
        needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
        self._run(sys.executable, "-m", "venv", place / "venv")
        self.run("-m", "pip", "install", "-q", "build", *needed)

    def _run(self, *command: str | Path, **environment: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.place,
            env=os.environ | environment,
            check=False,
            text=True,
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, *arguments: str | Path, **environment: str) -> str:
        return self._run(self.place / "venv/bin/python", *arguments, **environment)

    def wheel(self, name: str, **environment: str) -> Path:
        """Made from a source distribution that was made from the source."""
        out = self.place / name
        said = self.run("-m", "build", "--no-isolation", "--outdir", out, self.source, **environment)
        assert "Traceback" not in said
        (wheel,) = out.glob("*.whl")
        return wheel

    def ask(self, *path: Path, **environment: str) -> str:
        return self.run("-c", ASK, PYTHONPATH=":".join(map(str, path)), **environment).strip()


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    if shutil.which("cc") is None:
        pytest.fail("cc is missing: install Debian's gcc", pytrace=False)
    place = tmp_path_factory.mktemp("compiler")
    yield Builder(place)
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def compiled(builder: Builder) -> Path:
    return builder.wheel("compiled")


@pytest.fixture(scope="module")
def scan_in_c(builder: Builder, compiled: Path) -> Scan:
    with ZipFile(compiled) as wheel:
        (name,) = (each for each in wheel.namelist() if each.endswith(".so"))
        spec = spec_from_file_location("_scan", wheel.extract(name, builder.place / "library"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    scan: Scan = module.scan
    return scan


def test_with_a_compiler_the_wheel_is_of_one_system(builder: Builder, compiled: Path) -> None:
    assert "-cp311-abi3-" in compiled.name
    target = builder.place / "target"
    builder.run("-m", "pip", "install", "-q", "--no-deps", "--target", target, compiled)
    builder.run("-m", "pip", "install", "-q", "attrs")
    assert builder.ask(target) == "True"
    assert builder.ask(target, SANSIO_SMTP_PURE="1") == "False"


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("no-compiler", {"CC": "/nonexistent/cc"}),
        ("failing", {"CC": "/bin/false"}),
        ("no-headers", {"CC": "{place}/no-headers"}),
        ("pure", {"SANSIO_SMTP_PURE": "1"}),
    ],
)
def test_without_one_the_wheel_is_pure(builder: Builder, name: str, environment: dict[str, str]) -> None:
    place = {key: value.format(place=builder.place) for key, value in environment.items()}
    wheel = builder.wheel(f"wheel-{name}", **place)
    assert wheel.name.endswith("-py3-none-any.whl")
    names = ZipFile(wheel).namelist()
    assert "sansio_smtp/wire/scan.py" in names
    assert not [each for each in names if each.endswith((".so", ".c", ".o"))]
    target = builder.place / f"target-{name}"
    builder.run("-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel)
    builder.run("-m", "pip", "install", "-q", "attrs")
    assert builder.ask(target) == "False"


def test_an_editable_installation_has_it_beside_its_source(builder: Builder) -> None:
    install = ("-m", "pip", "install", "-q", "-e", builder.source)
    builder.run(*install)
    assert builder.ask() == "True"
    builder.run(*install, CC="/bin/false")
    assert builder.ask() == "False"  # the one that was built from other source is gone


def test_c_says_what_python_says(scan_in_c: Scan) -> None:
    random_ = random.Random(12)
    tokens = [
        b"\r\n",
        b"\r\n",
        b"\r\n.",
        b"\r\n..",
        b"\r\n.\r\n",
        b"\r",
        b"\n",
        b"\0",
        b".",
        b"a" * 78,
        b"b" * 509,
    ]
    for octets in SAMPLES:
        assert scan_in_c(octets) == scan_in_python(octets)
    for _ in range(50_000):
        some = random_.sample(tokens, random_.randrange(1, 5))
        octets = b"".join(random_.choices(some, k=random_.randrange(40)))
        assert scan_in_c(octets) == scan_in_python(octets), octets


def test_c_reads_nothing_outside_of_the_octets(scan_in_c: Scan) -> None:
    """Whatever lies in memory around them."""
    for length in (0, 1, 4, 507, 508, 509, 511, 512, 513, 516, 517, 1024, 1028):
        for inside in (
            b"a" * length,
            (b"a\r\n" * length)[-length:] if length else b"",
            b"\r\n.." * (length // 4),
        ):
            for around in (b"\r\n.\r\n", b"\n", b".\r\n", b"\0"):
                memory = memoryview(around + inside + around)[len(around) : len(around) + len(inside)]
                assert scan_in_c(memory) == scan_in_python(inside)  # type: ignore[arg-type]


def test_c_takes_only_octets(scan_in_c: Scan) -> None:
    for wrong in ("text", 1, None):
        with pytest.raises(TypeError):
            scan_in_c(wrong)  # type: ignore[arg-type]
