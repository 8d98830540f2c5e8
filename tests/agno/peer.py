"""Runs Agno's own migration, the one of the release of this Python: what we compare with.

peer.py FILE_OR_URL up|down [VERSION] [--table TYPE=NAME]... [--schema NAME]
prints {"seconds": time of the migration alone, "log": [what Agno warned of]}; exits 1 when it raised.
"""

import asyncio
import inspect
import json
import logging
import os
import time

from judge import named, open_db, options, parsed, silence


def main():
    parser = options(__doc__)
    parser.add_argument("direction", choices=["up", "down"])
    parser.add_argument("version", nargs="?")
    args = parsed(parser)
    if args.direction == "down" and not args.version:
        parser.error("down wants a VERSION")

    out, log = silence(logging.WARNING)
    try:
        from agno.db.migrations.manager import MigrationManager
    except ImportError:
        raise SystemExit("this release has no MigrationManager")
    manager = MigrationManager(open_db(args.place, args.tables, args.schema))
    failed = None
    start = time.perf_counter()
    try:
        result = getattr(manager, args.direction)(args.version)
        if inspect.isawaitable(result):

            async def wait():
                await result

            asyncio.run(wait())
    except Exception as e:
        failed = named(e)
    seconds = time.perf_counter() - start
    answer = {"seconds": round(seconds, 4), "log": log.lines}
    if failed:
        answer["error"] = failed
    json.dump(answer, out)
    out.write("\n")
    out.close()
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main()
