#!/usr/bin/env python3
"""Runs the whole Autobahn suite against pregon on each of its back ends, and writes what came of it into a document.

usage: tests/autobahn/run.py PREGON DOCUMENT [--include CASE]... [--exclude CASE]...

PREGON is the server's binary. It is started on loopback with PREGON_ECHO, which gives it a socket that sends back what comes.
Ends with 1 if a case fails or is not strict. With --include or --exclude the document is not written.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Nothing but the build folder is written to.
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "support"))
from python_environment import environment  # noqa: E402
# How each row of the document is served: its name, what is set for it, and whether by TLS.
WAYS = [
    ("epoll", {"PREGON_IO": "epoll"}, False),
    ("io_uring", {"PREGON_IO": "uring"}, False),
    ("TLS", {}, True),
]
SECTIONS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing",
    "9": "limits and speed",
    "10": "many fragments",
    "12": "permessage-deflate: sizes",
    "13": "permessage-deflate: parameters",
}
OUTCOMES = ["ok", "informational", "non-strict", "failed", "unimplemented"]


def python():
    """The Python of an environment with the suite, which is made once in the build folder."""
    return environment("autobahn", HERE / "requirements.txt") / "bin" / "python"


class Server:
    """A server with the socket of conformance suites."""

    def __init__(self, binary, settings, is_encrypted):
        self.folder = tempfile.TemporaryDirectory(prefix="pregon-autobahn-")
        if is_encrypted:
            certificate, key = self.certificate()
            settings = settings | {"PREGON_TLS_CERT": certificate, "PREGON_TLS_KEY": key}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREGON_")}
        environment |= {
            "PREGON_LISTEN": "127.0.0.1:0",
            "PREGON_DATABASE_URL": f"sqlite://{self.folder.name}/pregon.db",
            "PREGON_ECHO": "on",
            "PREGON_SHARDS": "2",
            "PREGON_LOG_LEVEL": "warn",
        } | settings
        self.process = subprocess.Popen([binary, "serve"], env=environment, stdout=subprocess.PIPE, text=True, cwd=self.folder.name)
        line = self.process.stdout.readline()
        scheme = "https://" if is_encrypted else "http://"
        if scheme not in line:
            raise SystemExit(f"the server does not start: it said {line!r}")
        self.host, self.tunnel = line.split(scheme)[1].split("/")[0], None
        if is_encrypted:
            command = [python(), HERE / "tunnel.py", self.host, certificate]
            self.tunnel = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.host = self.tunnel.stdout.readline().strip()

    def certificate(self):
        """A certificate for this machine, and its key."""
        certificate, key = (f"{self.folder.name}/{name}.pem" for name in ("certificate", "key"))
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return certificate, key

    def stop(self):
        if self.tunnel:
            self.tunnel.stdin.close()
            self.tunnel.wait()
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def cases(address, options):
    """The verdicts of all cases, in their order."""
    command = [python(), HERE / "cases.py", address]
    for name in ("include", "exclude"):
        for case in getattr(options, name) or []:
            command += [f"--{name}", case]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def summary(results):
    """Informational cases count as passed, too: the suite has no right answer for them."""
    count = collections.Counter(result["outcome"] for result in results)
    passed = count["ok"] + count["informational"]
    line = f"{passed} passed, {count['failed']} failed, {count['non-strict']} non-strict, {count['informational']} informational"
    return line + (f", {count['unimplemented']} unimplemented" if count["unimplemented"] else "")


def document(ways):
    """The text of docs/conformance.md."""
    text = "# Conformance\n\n"
    text += "What the [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) says about pregon, case by case, run by\n"
    text += "[kosoku](https://pypi.org/project/kosoku/). `make conformance` runs it and writes this page. The server is the one that is shipped;\n"
    text += "a switch for such suites gives it a socket that sends back what comes, on loopback alone. It has the upgrade, the codec and\n"
    text += "the way out of all other sockets, and takes messages of up to 16 MiB. The suite has no TLS: `tests/autobahn/tunnel.py` has it.\n\n"
    for name, (results, _) in ways.items():
        text += f"- {name}: `{summary(results)}`\n"
    release = ".".join(platform.release().split(".")[:2])
    text += f"\nOn {time.strftime('%Y-%m-%d', time.gmtime())}, {platform.system()} {release}.\n\n"
    header = " | ".join(f"{name}" for name in ways)
    text += f"| section | cases | {header} |\n| --- | --- |{' --- |' * len(ways)}\n"
    first = next(iter(ways.values()))[0]
    sections = list(dict.fromkeys(result["case"].split(".")[0] for result in first))
    for section in sections:
        row, cases_of = [], 0
        for results, _ in ways.values():
            of_section = [result for result in results if result["case"].split(".")[0] == section]
            cases_of = len(of_section)
            count = collections.Counter(result["outcome"] for result in of_section)
            row.append(", ".join(f"{count[outcome]} {outcome}" for outcome in OUTCOMES if count[outcome]))
        text += f"| {section}: {SECTIONS.get(section, '')} | {cases_of} | {' | '.join(row)} |\n"
    text += "\nInformational cases have no right answer: the suite notes what a server does.\n"
    if any(result["outcome"] == "unimplemented" for results, _ in ways.values() for result in results):
        text += "Unimplemented are cases of an extension that the server does not agree to.\n"
    wrong = [
        f"| {name} | {result['case']} | {result['outcome']} | {result['said']} | {result['closed']} |\n"
        for name, (results, _) in ways.items()
        for result in results
        if result["outcome"] in ("failed", "non-strict")
    ]
    if wrong:
        text += "\n| | case | | said | closed |\n| --- | --- | --- | --- | --- |\n" + "".join(wrong)
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pregon", type=pathlib.Path)
    parser.add_argument("document", type=pathlib.Path)
    parser.add_argument("--include", action="append")
    parser.add_argument("--exclude", action="append")
    options = parser.parse_args()
    ways, is_wrong = {}, False
    for name, settings, is_encrypted in WAYS:
        server = Server(options.pregon.resolve(), settings, is_encrypted)
        began = time.monotonic()
        try:
            results = cases(f"ws://{server.host}/ws/echo/", options)
        finally:
            server.stop()
        ways[name] = (results, time.monotonic() - began)
        print(f"{name}: {summary(results)} ({ways[name][1]:.0f} s)", flush=True)
        for result in results:
            if result["outcome"] in ("failed", "non-strict"):
                is_wrong = True
                print(f"  {result['case']}: {result['outcome']}: {result['said']}; {result['closed']}", flush=True)
    if not options.include and not options.exclude:
        options.document.write_text(document(ways))
    return 1 if is_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
