"""`python -m kcs_signaling.records.verify_audit URL`: does the audit log hold?

Exits with 0 and prints the number of rows and the last hash, which is worth keeping elsewhere;
with 1 it names the first row that does not hold.
"""

import argparse
import asyncio
import sys

from kcs_signaling.errors import SignalingError
from kcs_signaling.records.audit import Audit
from kcs_signaling.records.database import open_database


async def verify(url: str) -> int:
    """The command's exit code, after it has printed what it found."""
    async with open_database(url) as database:
        verdict = await Audit(database).verify()
    if verdict.broken is not None:
        print(f"row {verdict.broken} of the audit log is broken: {verdict.reason}")
        return 1
    print(f"the audit log holds: {verdict.rows} rows, the last hash is {verdict.hash}")
    return 0


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="verify_audit", description=__doc__)
    parser.add_argument("url", help="SQLAlchemy URL of the database (KCS_SQL__URL)")
    try:
        code = asyncio.run(verify(parser.parse_args().url))
    except SignalingError as error:
        print(error, file=sys.stderr)
        code = 2
    raise SystemExit(code)


if __name__ == "__main__":
    main()
