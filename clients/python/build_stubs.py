"""Makes the messages and stubs of `platepal_realtime.v1` out of the tier's `.proto` files, while the package is built.

Invariant: what is built from the repository and what is built from an sdist is the same. An sdist carries the `.proto` files
in `proto/`; a checkout has them at its top.

The modules live in our own package and not in `platepal.realtime.v1`, as protoc would have it: the application that uses
them is itself called `platepal`. Only Python's paths change; the names on the wire stay.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("platepal/realtime/v1")
TARGET = Path("platepal_realtime/v1")
HEAD = '"""Messages and stubs, generated from the tier\'s `.proto` files. Nothing here is written by hand."""\n'


class Stubs(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, object]) -> None:
        here = Path(self.root)
        protos = find(here)
        if self.target_name == "sdist":
            include = build_data.setdefault("force_include", {})
            for path in protos:
                include[str(path)] = str(Path("proto") / SOURCE / path.name)  # type: ignore[index]
            return
        generate(protos, here / "src")


def find(here: Path) -> list[Path]:
    for top in (here / "proto", here.parents[1] / "proto"):
        protos = sorted((top / SOURCE).glob("*.proto"))
        if protos:
            return protos
    raise SystemExit(f"no .proto files under {here}: build from a checkout of the repository, or from an sdist")


def generate(protos: list[Path], out: Path) -> None:
    from grpc_tools import protoc

    package = out / TARGET
    package.mkdir(parents=True, exist_ok=True)
    for old in package.glob("*.py*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        moved = Path(folder) / TARGET
        moved.mkdir(parents=True)
        for proto in protos:
            text = proto.read_text(encoding="utf-8")
            text = re.sub(rf'(?m)^import "{SOURCE.as_posix()}/', f'import "{TARGET.as_posix()}/', text)
            (moved / proto.name).write_text(text, encoding="utf-8")
        well_known = Path(protoc.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{folder}", f"-I{well_known}"]
        arguments += [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main(arguments + [str(moved / proto.name) for proto in protos]) != 0:
            raise SystemExit("protoc refused the .proto files; what it said is above")
    names = [proto.stem for proto in protos]
    lines = [HEAD, *(f"from .{name}_pb2 import *  # noqa: F403\n" for name in names)]
    (package / "__init__.py").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    # Without a build, e.g. after a change of a .proto: `python build_stubs.py`.
    root = Path(__file__).resolve().parent
    generate(find(root), root / "src")
    sys.stdout.write(f"written to {root / 'src' / TARGET}\n")
