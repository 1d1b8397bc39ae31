#!/usr/bin/env python3
"""Makes a Python environment in the build folder, once, and prints its folder.

usage: tests/support/python_environment.py NAME REQUIREMENTS

REQUIREMENTS is a file of pinned packages; other contents make another environment. Whoever needs one that is just being made waits
for it. What was begun and not finished is made anew.
"""

import fcntl
import hashlib
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def environment(name, requirements):
    """The folder of an environment with these packages."""
    text = pathlib.Path(requirements).read_bytes()
    folder = ROOT / "target" / "venv" / f"{name}-{hashlib.sha256(text).hexdigest()[:8]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, stdout=sys.stderr)
            install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
            subprocess.run([folder / "bin" / "python", *install], check=True, stdout=sys.stderr)
            (folder / "complete").touch()
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(environment(*sys.argv[1:]))
