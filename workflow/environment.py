"""``environment.yml`` from ``requirements.lock``: ``python -m workflow.environment --write``.

The pins are repeated, because ``snakemake --sdm conda`` reads a copy of the file in another folder, where a
relative ``-r requirements.lock`` points nowhere.
"""

import argparse
from collections.abc import Sequence

import yaml

from pipeline.files import write_text
from pipeline.provenance import ROOT

HEADING = "# Generated from requirements.lock: python -m workflow.environment --write\n"


def pins() -> list[str]:
    """The pinned requirements, without comments."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in (line.partition("#")[0].strip() for line in lines) if line]


def environment() -> str:
    """What environment.yml has to say."""
    content = {
        "name": "typhon",
        "channels": ["conda-forge", "nodefaults"],
        "dependencies": ["python =3.11", "pip", {"pip": pins()}],
    }
    return HEADING + str(yaml.safe_dump(content, sort_keys=False))


def main(argv: Sequence[str] | None = None) -> None:
    """Print environment.yml, or write it."""
    parser = argparse.ArgumentParser(prog="python -m workflow.environment", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write environment.yml")
    if parser.parse_args(argv).write:
        write_text(ROOT / "environment.yml", environment())
    else:
        print(environment(), end="")


if __name__ == "__main__":
    main()
