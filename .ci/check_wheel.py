"""What a wheel must be: small, without test data, sources or paths of the build machine."""

import os
import sys
import zipfile

LIMIT = 2_130_000  # bytes: 5% over what it is


def main(path: str) -> None:
    wheel = zipfile.ZipFile(path)
    names = wheel.namelist()
    size = os.path.getsize(path)
    assert size < LIMIT, f"{path} has {size} bytes, more than {LIMIT}"
    extensions = [name for name in names if name.endswith((".so", ".pyd"))]
    assert extensions, f"{path} has no compiled core"
    sources = (".pyx", ".pxd", ".pxi", ".c")
    unwanted = [n for n in names if n.startswith("tests") or n.endswith(sources)]
    assert not unwanted, f"{path} holds {unwanted}"
    built_in = os.path.abspath(os.curdir).encode()
    for name in names:
        content = wheel.read(name)
        assert built_in not in content, f"{name} names the folder it was built in"
    print(f"{os.path.basename(path)}: {size / 1024:.0f} KiB, {len(extensions)} extension modules")


main(sys.argv[1])
