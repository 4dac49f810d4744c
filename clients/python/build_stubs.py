"""Makes `platepal_realtime.v1` out of the tier's `.proto` files, while the package is built: messages, stubs, and the types of clients.

Invariant: what is built from the repository and what is built from an sdist is the same. An sdist carries the `.proto` files
in `proto/`; a checkout has them at its top.

The modules live in our own package and not in `platepal.realtime.v1`, as protoc would have it: the application that uses
them is itself called `platepal`. Only Python's paths change; the names on the wire stay.
"""

from __future__ import annotations

import ast
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("platepal/realtime/v1")
TARGET = Path("platepal_realtime/v1")
#: The services of a client: `chat` is the `ChatService` of `chat.proto`. Another one is another word here.
SERVICES = ("events", "sessions", "orders", "tracking", "chat", "notifications", "menus")
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
        described = Path(folder) / "described"
        arguments = ["protoc", f"-I{folder}", f"-I{well_known}", f"--descriptor_set_out={described}"]
        arguments += [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main(arguments + [str(moved / proto.name) for proto in protos]) != 0:
            raise SystemExit("protoc refused the .proto files; what it said is above")
        services = typed_services(package, described.read_bytes())
    names = [proto.stem for proto in protos]
    lines = [HEAD, *(f"from .{name}_pb2 import *  # noqa: F403\n" for name in names)]
    (package / "__init__.py").write_text("".join(lines), encoding="utf-8")
    (package / "services.py").write_text(services, encoding="utf-8")


def typed_services(package: Path, described: bytes) -> str:
    """The module `services`: which services a client has, and what their methods take and give.

    What a message is made of stands in the stubs that protoc has just written; a method takes the same by name.
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    imports: set[str] = set()
    fields: dict[str, str] = {}
    for stub in sorted(package.glob("*_pb2.pyi")):
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imports.add(ast.unparse(node))
            elif isinstance(node, ast.ClassDef):
                for made in node.body:
                    if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                        fields[node.name] = "".join(f", {ast.unparse(field)} = ..." for field in made.args.args[1:])
                        # Fields whose names are Python's own words, as `from`.
                        fields[node.name] += ", **others: Any" if made.args.kwarg else ""
    found = {service.name: service for file in FileDescriptorSet.FromString(described).file for service in file.service}
    names = {attribute: f"{attribute.title()}Service" for attribute in SERVICES}
    lines = [
        '"""The services of a client, as type checkers see them, generated from the tier\'s `.proto` files."""',
        "from __future__ import annotations",
        *sorted(imports),
        "from collections.abc import AsyncGenerator, Coroutine",
        "from typing import TYPE_CHECKING, Any, Optional, Protocol, overload",
        "from . import *  # noqa: F403",
        *(f"from . import {attribute}_pb2" for attribute in SERVICES),
        "if TYPE_CHECKING:",
        "    from ..calls import Stream",
        "#: By their names as attributes of a client: the module that describes it, and its name there.",
        "SERVICES = {" + ", ".join(f'"{attribute}": ({attribute}_pb2, "{name}")' for attribute, name in names.items()) + "}",
    ]
    for prefix, answer, stream in (("", "{}", "Stream[{}]"), ("Async", "Coroutine[Any, Any, {}]", "AsyncGenerator[{}, None]")):
        for name in names.values():
            lines.append(f"class {prefix}{name}(Protocol):")
            for method in found[name].method:
                lines += signatures(method, stream if method.server_streaming else answer, fields)
        lines.append(f"class {prefix}Services:")
        lines += [f"    {attribute}: {prefix}{name}" for attribute, name in names.items()]
    return "\n".join(lines) + "\n"


def signatures(method: Any, answer: str, fields: dict[str, str]) -> list[str]:
    """A method takes a request, or its fields by name; where it takes a stream of requests, that."""
    request, response = (type.rsplit(".", 1)[1] for type in (method.input_type, method.output_type))
    end = f") -> {answer.format(response)}: ..."
    start, timeout = f"    def {method.name}(self, ", "*, timeout: Optional[float] = None"
    if method.client_streaming:
        return [f"{start}requests: _Iterable[{request}], /, {timeout}{end}"]
    return ["    @overload", f"{start}request: {request}, /, {timeout}{end}", "    @overload", f"{start}{timeout}{fields[request]}{end}"]


if __name__ == "__main__":
    # Without a build, e.g. after a change of a .proto: `python build_stubs.py`.
    root = Path(__file__).resolve().parent
    generate(find(root), root / "src")
    sys.stdout.write(f"written to {root / 'src' / TARGET}\n")
