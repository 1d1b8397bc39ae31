#!/usr/bin/env python3
"""Lets schemathesis ask a server everything that its document describes, and says which answers are not as described.

usage: tests/openapi/run.py ADDRESS FIXTURE [more options of schemathesis]

ADDRESS is a server's, such as http://127.0.0.1:8000, on a database that `pregon seed` filled; FIXTURE is what that wrote. Ends with 1 if an
answer has a status, a type or a form that the document does not have, or is a server error.
"""

import fcntl
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
# They end the token that everything else is asked with.
ENDING = ["/api/auth/logout/", "/api/auth/change-password/"]


def tool():
    """schemathesis, in an environment that is made once in the build folder. Tests that need it at the same time wait for one of them."""
    folder = ROOT / "target" / "openapi"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"]
            subprocess.run([folder / "bin" / "python", *install], check=True)
            (folder / "complete").touch()
    return folder / "bin" / "st"


def asked(address, path, token, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, method="GET" if body is None else "POST")
    request.add_header("authorization", "Bearer " + token)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def known(address, fixture):
    """Values of the paths' parameters that there is something for: without them all would be 404."""
    token, room = fixture["users"][0]["token"], fixture["rooms"][0]
    chat = f"/api/messaging/chats/{room['id']}/"
    message = asked(address, chat + "send_message/", token, {"content": "hola"})
    post = asked(address, "/api/posts/", token, {"content": "hola"})
    comment = asked(address, f"/api/posts/{post['id']}/comments/", token, {"content": "bien"})
    return {
        "room": room["id"],
        "message": message["id"],
        "post": post["id"],
        "comment": comment["id"],
        "short_id": post["short_id"],
        "name": fixture["users"][1]["username"],
    }


def main():
    address, fixture, *options = sys.argv[1:]
    fixture = json.loads(pathlib.Path(fixture).read_text())
    token = fixture["users"][0]["token"]
    document = asked(address, "/api/schema/", token)
    values = known(address, fixture)
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                # Half of what is asked is about things that exist.
                if parameter["in"] == "path" and parameter["name"] in values:
                    value = values[parameter["name"]]
                    parameter["schema"] = {"anyOf": [{"type": "string", "enum": [value]}, parameter["schema"]]}
                    parameter["example"] = value
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        common = ["--url", address, "--checks", CHECKS, "--header", f"Authorization: Bearer {token}", "--no-color"]
        command = [tool(), "run", file.name, *common, "--suppress-health-check", "all", "--generation-database", "none", *options]
        first = subprocess.run([*command, *(f"--exclude-path={path}" for path in ENDING)], check=False).returncode
        then = subprocess.run([*command, *(f"--include-path={path}" for path in ENDING)], check=False).returncode
    return first or then


sys.exit(main())
