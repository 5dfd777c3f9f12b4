"""What the locked packages are held to: no known weakness, and a bill of materials that names all of them.

``supply.py audit LOCK…`` and ``supply.py bill FILE LOCK``; `tests/compat/supply` runs both.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["Failed", "Unreachable", "audited", "billed", "locked", "requirements"]

SERVICES = ("pypi", "osv")
"""Those of pip-audit: the second is asked if the first cannot be reached."""
COMMAND = (sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner=off")
_NO_CONNECTION = re.compile(
    r"^requests\.exceptions\.ConnectionError: .*|^.*Could not connect to .* vulnerability feed$", re.MULTILINE
)
_UNKNOWN = "Dependency not found on PyPI"


class Failed(Exception):
    """The locked packages are not as they should be, or nobody can tell."""


class Unreachable(Exception):
    """There is no vulnerability service at the other end, so nothing was looked for."""


def requirements(text: str) -> Iterator[Requirement]:
    """Those of a lock file or of another file of requirements, without hashes and comments."""
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            yield Requirement(line.removesuffix("\\"))


def locked(text: str) -> dict[str, str]:
    """Name and version of each package that a lock file installs here."""
    return {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in requirements(text)
        if each.marker is None or each.marker.evaluate()
    }


def audited(packages: Mapping[str, str], output: str, errors: str) -> None:
    """Judges what pip-audit said. Raises `Failed` or `Unreachable`.

    pip-audit says "no known vulnerabilities" also of packages that it could not ask about: an index without
    the interface for vulnerabilities, as mirrors are, answers that it knows none of them.
    """
    try:
        reported: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if found := _NO_CONNECTION.search(errors):
            raise Unreachable(found[0]) from None
        raise Failed(f"pip-audit gave no report:\n{errors}") from None
    if weak := [
        f"{each['name']} {each['version']}: {', '.join(known['id'] for known in each['vulns'])}"
        for each in reported
        if each.get("vulns")
    ]:
        raise Failed("known weaknesses:\n" + "\n".join(weak))
    if missing := packages.keys() - {canonicalize_name(each["name"]) for each in reported}:
        raise Failed(f"not in the report of pip-audit: {', '.join(sorted(missing))}")
    unknown = [each["skip_reason"] for each in reported if "skip_reason" in each]
    if not unknown:
        return
    if len(unknown) == len(reported) and all(reason.startswith(_UNKNOWN) for reason in unknown):
        raise Unreachable("the index knows none of the packages: it is a mirror without this service")
    raise Failed("could not be audited:\n" + "\n".join(unknown))


def billed(packages: Mapping[str, str], bill: str) -> None:
    """Compares a bill of materials (CycloneDX, JSON) with the locked packages. Raises `Failed`."""
    try:
        read = json.loads(bill)
        if read["bomFormat"] != "CycloneDX":
            raise Failed("the bill of materials is not of CycloneDX")
        there: dict[str, object] = {
            canonicalize_name(each["name"]): each["version"] for each in read["components"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"the bill of materials cannot be read: {error!r}") from None
    if wrong := [
        f"{name} {version}: the bill says {there.get(name, 'nothing')}"
        for name, version in packages.items()
        if there.get(name) != version
    ]:
        raise Failed("not as locked:\n" + "\n".join(wrong))


def _audit(lock: Path) -> None:
    packages = locked(lock.read_text())
    reasons = []
    for service in SERVICES:
        command = [*COMMAND, "--format=json", f"--vulnerability-service={service}", f"--requirement={lock}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        try:
            audited(packages, done.stdout, done.stderr)
        except Unreachable as reason:
            reasons.append(f"{service}: {reason}")
        else:
            print(f"{lock.name}: no known weakness in {len(packages)} packages, says {service}")
            return
    raise Unreachable("\n".join(reasons))


def main(arguments: Sequence[str]) -> None:
    """See above. Ends with 0 also if no vulnerability service can be reached, and says so."""
    try:
        match arguments:
            case ["audit", *locks] if locks:
                for lock in locks:
                    _audit(Path(lock))
            case ["bill", file, lock]:
                packages = locked(Path(lock).read_text())
                billed(packages, Path(file).read_text())
                print(f"{file}: names all {len(packages)} packages of {lock}")
            case _:
                sys.exit(__doc__)
    except Failed as error:
        sys.exit(str(error))
    except Unreachable as error:
        print("NOT AUDITED: no vulnerability service can be reached from here, nothing was looked for.")
        print(error)


if __name__ == "__main__":
    main(sys.argv[1:])
