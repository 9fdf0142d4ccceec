"""A step of so many processes; they are nearly always in the middle of sending a result."""

import sys

from pipeline.pool import parallel


def large(_: int) -> bytes:
    """A result that takes a while to send."""
    return bytes(100_000_000)


if __name__ == "__main__":
    for result in parallel(large, range(1000), processes=int(sys.argv[1]), label="large"):
        print(len(result), flush=True)
