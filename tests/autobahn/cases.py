"""Runs Autobahn's cases against a server that sends back what comes, and prints a line of JSON for each.

usage: python cases.py ADDRESS [--include CASE]... [--exclude CASE]... [--parallel N]

CASE is a case's number or a pattern such as 6.4.*. The environment has `kosoku` (requirements.txt).
"""

import argparse
import asyncio
import json
import sys

import kosoku
from kosoku.cases import CASES


def with_bytes(on_message):
    """kosoku hands over what came uncompressed as text, and these cases take hashes of bytes."""

    def heard(self, message, binary):
        if isinstance(message, str):
            message = message.encode("latin-1" if binary else "utf-8")
        on_message(self, message, binary)

    return heard


for number, case in CASES.items():
    if number.startswith(("12.", "13.")):
        case.onMessage = with_bytes(case.onMessage)


def outcome(result):
    """A case's verdict in one word: the worse of what was said and how it was closed."""
    said, closed = result.behavior.value, result.behavior_close.value
    if said == "UNIMPLEMENTED":
        return "unimplemented"
    if said not in ("OK", "NON-STRICT", "INFORMATIONAL") or closed not in ("OK", "INFORMATIONAL"):
        return "failed"
    if said == "NON-STRICT":
        return "non-strict"
    return "informational" if "INFORMATIONAL" in (said, closed) else "ok"


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--include", action="append")
    parser.add_argument("--exclude", action="append")
    parser.add_argument("--parallel", type=int, default=1)
    options = parser.parse_args()
    try:
        results = await kosoku.run_fuzzingclient(
            options.address, options.include, options.exclude, concurrency=options.parallel
        )
    except kosoku.FailureError as failure:
        results = failure.results
    for result in results:
        print(
            json.dumps(
                {
                    "case": result.case_id,
                    "outcome": outcome(result),
                    "said": f"{result.behavior.value}: {result.result}",
                    "closed": f"{result.behavior_close.value}: {result.result_close}",
                    "milliseconds": result.duration,
                }
            )
        )
    sys.stdout.flush()


asyncio.run(main())
