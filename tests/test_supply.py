"""The lock files fit pyproject.toml, and the checks of CI for locked packages notice mistakes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from compat.supply import Failed, Unreachable, audited, billed, locked, requirements
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pages import ROOT

FOLDER = ROOT / "requirements"
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = SETTINGS["project"]

LOCK = """\
# Made by nobody.
Some.Thing==1.2 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via sansio-smtp (pyproject.toml)
other==3 ; python_full_version >= '3.11' \\
    --hash=sha256:02
elsewhere==4 ; sys_platform == 'nowhere' \\
    --hash=sha256:03
"""
PACKAGES = {"some-thing": "1.2", "other": "3"}
NOT_FOUND = "Dependency not found on PyPI and could not be audited: {0} ({1})"
NO_NAME = "Traceback:\n…\nrequests.exceptions.ConnectionError: HTTPSConnectionPool(host='a'): no such name\n"


def asked_for(extras: list[str]) -> Iterator[Requirement]:
    """The requirements of the package with these extras; an extra may include others."""
    of_extras = (PROJECT["optional-dependencies"][each] for each in extras)
    for line in chain(PROJECT["dependencies"], *of_extras):
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            yield from asked_for(sorted(requirement.extras))
        else:
            yield requirement


def out_of_range(lock: str, needed: list[Requirement]) -> list[str]:
    has = {canonicalize_name(each.name): each for each in requirements(lock)}
    assert all(len(each.specifier) == 1 and str(each.specifier).startswith("==") for each in has.values())
    versions = {name: str(each.specifier).removeprefix("==") for name, each in has.items()}
    return [
        str(each)
        for each in needed
        if not each.specifier.contains(versions.get(canonicalize_name(each.name), "0"), prereleases=True)
    ]


@pytest.mark.parametrize(
    ("name", "extras"), [("smtp-proxy.lock", ["proxy", "metrics"]), ("smtp-proxy-all.lock", ["all"])]
)
def test_a_lock_has_a_version_in_range_of_all_that_is_needed(name: str, extras: list[str]) -> None:
    needed = list(asked_for(extras))
    assert len(needed) > len(PROJECT["optional-dependencies"]["proxy"])
    assert out_of_range((FOLDER / name).read_text(), needed) == []


def test_what_builds_is_locked_too() -> None:
    needed = SETTINGS["build-system"]["requires"]
    assert list(map(str, requirements((FOLDER / "build.in").read_text()))) == needed
    assert out_of_range((FOLDER / "build.lock").read_text(), list(map(Requirement, needed))) == []


def test_what_is_missing_or_too_old_is_noticed() -> None:
    needed = list(map(Requirement, ["some-thing>=1.1", "other>=3.1", "third"]))
    assert out_of_range(LOCK, needed) == ["other>=3.1"]
    assert out_of_range(LOCK, list(map(Requirement, ["third>=0.1"]))) == ["third>=0.1"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.lock")), ids=lambda path: str(path.name))
def test_each_locked_file_has_a_hash_and_no_place(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert str(ROOT) not in text
    for block in text.split("\n    # via")[:-1]:
        assert "--hash=sha256:" in block.rpartition("==")[2]


def test_what_a_lock_installs_here() -> None:
    assert locked(LOCK) == PACKAGES


# The audit


def report(*left_out: str, **changes: Any) -> str:
    each = {name: {"name": name, "version": version, "vulns": []} for name, version in PACKAGES.items()}
    for name in left_out:
        del each[name]
    return json.dumps({"dependencies": list((each | changes).values()), "fixes": []})


def unknown(name: str, reason: str = NOT_FOUND) -> dict[str, str]:
    return {"name": name, "skip_reason": reason.format(name, 1)}


def test_no_known_weakness() -> None:
    audited(PACKAGES, report(), "")


@pytest.mark.parametrize(
    ("output", "errors", "said"),
    [
        (report(other={"name": "other", "version": "3", "vulns": [{"id": "X-1"}]}), "", "other 3: X-1"),
        (report("other"), "", "not in the report of pip-audit: other"),
        (report(other=unknown("other")), "", "could not be audited:\n.*: other"),
        ("", "pip_audit: error: no such option\n", "no report:\n.*no such option"),
        ("", "requests.exceptions.SSLError: the host has another name\n", "no report:\n.*SSLError"),
        ("[]", "", "no report"),
        (json.dumps({"dependencies": [unknown(name, "not valid") for name in PACKAGES]}), "", "not valid"),
    ],
    ids=["weak", "missing", "one-unknown", "no-report", "no-trust", "no-object", "another-reason"],
)
def test_what_is_wrong_fails(output: str, errors: str, said: str) -> None:
    with pytest.raises(Failed, match=f"(?s){said}"):
        audited(PACKAGES, output, errors)


@pytest.mark.parametrize(
    ("output", "errors"),
    [
        ("", NO_NAME),
        ("", "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed\nERROR: Tip\n"),
        (json.dumps({"dependencies": [unknown(name) for name in PACKAGES]}), ""),
    ],
    ids=["no-name", "no-route", "mirror"],
)
def test_a_service_that_is_not_there(output: str, errors: str) -> None:
    with pytest.raises(Unreachable):
        audited(PACKAGES, output, errors)


# The bill of materials


def bill(**versions: str) -> str:
    components = [{"name": name, "version": version} for name, version in versions.items()]
    return json.dumps({"bomFormat": "CycloneDX", "components": components})


def test_a_bill_that_names_all() -> None:
    billed(PACKAGES, bill(some_thing="1.2", other="3", pip="1"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (bill(other="3"), "some-thing 1.2: the bill says nothing"),
        (bill(**{"some-thing": "1.3", "other": "3"}), "some-thing 1.2: the bill says 1.3"),
        ("{", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"bomFormat": "other"}', "not of CycloneDX"),
    ],
)
def test_a_bill_that_is_wrong(text: str, said: str) -> None:
    with pytest.raises(Failed, match=said):
        billed(PACKAGES, text)
