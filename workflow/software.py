"""What the results were made with: commit, Python, kind of machine, packages as locked and as installed."""

import argparse
import json
import platform
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from model.evaluation.score import commit
from pipeline.cli import run_cli
from pipeline.files import write_text
from pipeline.provenance import ROOT
from pipeline.report import page

LOCK = ROOT / "requirements.lock"


def locked(text: str) -> dict[str, str]:
    r"""Package and version of each pin of a lock.

    >>> locked("# why\nnumpy==2.4.6\ntorch==2.13.0  # any build\n")
    {'numpy': '2.4.6', 'torch': '2.13.0'}
    """
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", text, flags=re.MULTILINE))


def installed(package: str) -> str:
    """The version of a package in this environment; empty where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def packages(pins: dict[str, str]) -> list[dict[str, str]]:
    """Rows of package, locked version, installed version, and a remark where they differ.

    The build after ``+``, such as cpu or cu128, is the machine's business.
    """
    rows = []
    for name, pin in sorted(pins.items(), key=lambda pair: pair[0].lower()):
        found = installed(name)
        remark = "" if found.split("+")[0] == pin else "not installed" if not found else "not as locked"
        rows.append({"package": name, "locked": pin, "installed": found, "remark": remark})
    return rows


def surroundings(results: Sequence[Path]) -> list[dict[str, str]]:
    """Rows of what is no package; the commit and the devices are those that the results name."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in results]
    commits = {each["provenance"]["commit"] for each in found} or {commit()}
    devices = sorted({each["device"] for each in found})
    known = {
        "code": ", ".join(sorted(name or "not from a git checkout" for name in commits)),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} on {platform.machine()}",
        **({"device of the networks": ", ".join(devices)} if devices else {}),
    }
    return [{"what": what, "version": version} for what, version in known.items()]


def software(results: Sequence[Path]) -> str:
    """The page."""
    rows = packages(locked(LOCK.read_text(encoding="utf-8")))
    differ = sum(bool(row["remark"]) for row in rows)
    verdict = f"{differ} of them are installed otherwise" if differ else "all are installed as locked"
    return page.page(
        "Software",
        [
            page.table(["what", "version"], surroundings(results)),
            page.section(
                "Packages",
                page.paragraph(f"{len(rows)} packages are locked; {verdict}."),
                page.table(["package", "locked", "installed", "remark"], rows),
            ),
        ],
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Write down the software as one page of HTML."""
    parser = argparse.ArgumentParser(prog="python -m workflow.software", description=main.__doc__)
    parser.add_argument(
        "--results", nargs="*", type=Path, default=[], metavar="JSON", help="results/…_auc.json"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="HTML")
    args = parser.parse_args(argv)
    write_text(args.out, software(args.results))


if __name__ == "__main__":
    run_cli(main)
