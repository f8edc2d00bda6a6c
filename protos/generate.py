"""Generate `protos/gen` from `protos/tickdeck/v1`, or with `--check` compare and lint it.

The generated code is checked in, so that a fresh clone type-checks without a generator.
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

PROTOS = Path(__file__).parent
GENERATED = PROTOS / "gen"
PACKAGE = Path("tickdeck/v1")


def main() -> int:
    """Regenerate, or report stale files and lint findings; the exit status says which."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--lint", action="store_true", help="run buf lint")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        includes = _googleapis(Path(scratch) / "include")
        if options.lint:
            return _lint(Path(scratch), includes)
        fresh = Path(scratch) / "gen"
        _generate(fresh, includes)
        if options.check:
            return _compare(fresh)
        shutil.rmtree(GENERATED, ignore_errors=True)
        shutil.copytree(fresh, GENERATED)
    return 0


def _googleapis(target: Path) -> Path:
    """Copy `google/longrunning` under its canonical name.

    googleapis-common-protos ships `operations_proto.proto`, while its descriptor is registered
    as `google/longrunning/operations.proto`: importing the file's name fails at run time.
    """
    spec = find_spec("google.longrunning.operations_pb2")
    if spec is None or spec.origin is None:
        raise SystemExit("googleapis-common-protos is missing: run `make install`")
    google = Path(spec.origin).parents[1]
    for folder in ("api", "rpc"):
        shutil.copytree(google / folder, target / "google" / folder)
    longrunning = target / "google/longrunning"
    longrunning.mkdir(parents=True)
    shutil.copy(google / "longrunning/operations_proto.proto", longrunning / "operations.proto")
    return target


def _protoc(includes: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{includes}"]
    for plugin in ("protoc-gen-mypy", "protoc-gen-mypy_grpc"):
        command.append(f"--plugin={plugin}={Path(sys.executable).with_name(plugin)}")
    subprocess.run([*command, *arguments], check=True)


def _files(pattern: str) -> list[str]:
    paths = sorted((PROTOS / PACKAGE).glob(pattern))
    return [path.relative_to(PROTOS).as_posix() for path in paths]


def _generate(out: Path, includes: Path) -> None:
    out.mkdir()
    _protoc(includes, f"--python_out={out}", f"--mypy_out=quiet:{out}", *_files("*.proto"))
    services = _files("*_service.proto")
    _protoc(includes, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services)
    for package in (out / "tickdeck", out / PACKAGE):
        (package / "__init__.py").write_text('"""Generated from protos/; do not edit."""\n')
    (out / "tickdeck/py.typed").touch()


def _compare(fresh: Path) -> int:
    """Print the names of stale files."""
    names = {path.relative_to(root) for root in (fresh, GENERATED) for path in _sources(root)}
    stale = [name for name in sorted(names) if not _same(fresh / name, GENERATED / name)]
    for name in stale:
        print(f"protos/gen/{name} is stale: run `make protos`", file=sys.stderr)
    return 1 if stale else 0


def _sources(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts]


def _same(left: Path, right: Path) -> bool:
    return left.is_file() and right.is_file() and filecmp.cmp(left, right, shallow=False)


def _lint(scratch: Path, includes: Path) -> int:
    """Run buf on a descriptor set, which needs no schema registry."""
    image = scratch / "image.binpb"
    arguments = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
    _protoc(includes, *arguments, *_files("*.proto"))
    buf = Path(sys.executable).with_name("buf")
    config = '{"version":"v2","lint":{"use":["STANDARD"],"ignore":["google"]}}'
    return subprocess.run([buf, "lint", str(image), "--config", config], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
