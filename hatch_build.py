"""Builds the library of `sansio_smtp/wire/_scan.c` where there is a compiler. Nothing needs it.

Without a compiler, without the headers of Python, or with the environment variable ``SANSIO_SMTP_PURE`` set,
the wheel is pure: what the compiler has to say is a warning. For an editable installation the library is put
beside its source.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "sansio_smtp/wire/_scan.c"
# One library for all versions of CPython from 3.11 on. A build without the GIL takes no such library.
STABLE = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")


class CustomBuildHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._scratch = Path(tempfile.mkdtemp())
        beside = Path(self.root, SOURCE).parent
        if version == "editable":
            for old in [*beside.glob("_scan*.so"), *beside.glob("_scan*.pyd")]:
                old.unlink()
        if os.environ.get("SANSIO_SMTP_PURE"):
            return
        try:
            library = build(Path(self.root), self._scratch)
        except Exception as error:
            self.app.display_warning(f"{SOURCE} is not built, and not needed: {error}")
            return
        if version == "editable":
            shutil.copy(library, beside)
            return
        build_data["force_include"][str(library)] = f"sansio_smtp/wire/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = tag()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._scratch)


def build(root: Path, scratch: Path) -> Path:
    """The path of the library. It raises whatever setuptools raises."""
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    # Without what debuggers want: it names the directory, and two builds would differ.
    options = [] if os.name == "nt" else ["-O3", "-g0"]
    extension = Extension(
        "_scan", [str(root / SOURCE)], py_limited_api=bool(STABLE), extra_compile_args=options
    )
    command = build_ext(Distribution({"name": "sansio-smtp", "ext_modules": [extension]}))
    command.build_lib = str(scratch)
    command.build_temp = str(scratch / "objects")
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(extension.name))


def tag() -> str:
    """That of the wheel: for which Python, and for which system."""
    from packaging.tags import sys_tags

    system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    own = next(sys_tags())
    return f"cp311-abi3-{system}" if STABLE else f"{own.interpreter}-{own.abi}-{system}"
