"""``./run``: a few words of its own; everything else goes to Snakemake, in an order that it understands."""

import contextlib
import errno
import functools
import os
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakemake.cli import get_argument_parser
from snakemake.cli import main as snakemake

from pipeline.errors import ConfigError, InputError
from pipeline.provenance import ROOT
from pipeline.system import INTERRUPTED, of_system, room
from workflow import arguments, config, driver, warm
from workflow.plan import asked
from workflow.summary import summary

READ_ONLY = {
    "dryrun", "lint", "list_rules", "list_target_rules", "summary", "detailed_summary", "dag", "rulegraph",
    "filegraph", "d3dag", "list_changes", "list_input_changes", "list_params_changes", "list_untracked",
    "report", "unlock", "version", "help", "print_compilation", "bash_completion", "archive", "containerize",
}  # fmt: skip
"""Options, by ``dest``, that run no job: they need no lock and no driver."""
LARGEST_PAGE = 50 << 20
"""Bytes of a report in one page. Chromium opened 50 MiB in 2 s, 100 in 5, 200 in 16 and 400 in 64."""
LEAST_ROOM = 1 << 20
"""Bytes that Snakemake may write before the first job."""
REMEMBERED = ("directory", "configfile", "config")
"""Options that a report has from its run."""
STYLE = ROOT / "workflow" / "report" / "report.css"


@functools.cache
def _parser() -> ArgumentParser:
    """Snakemake's own parser; to make one takes longer than to parse with it."""
    return get_argument_parser()


def prepare(argv: Sequence[str], *, gpu: bool) -> arguments.Words:
    """The words for Snakemake, completed by what follows from this machine.

    Where there is no NVIDIA device (``gpu``), ``gpu=0`` lets runs go side by side on the CPU.
    """
    line = arguments.parse(argv, _parser())
    named, elsewhere = _named(line), _elsewhere(line)
    if "snakefile" not in named:  # else Snakemake takes that of the folder, and its profile
        line.options.append(("snakefile", ["--snakefile", str(ROOT / "Snakefile")]))
        if "workflow_profile" not in named:
            line.options.append(("workflow_profile", ["--workflow-profile", str(ROOT / "profiles/default")]))
    if not elsewhere and not named & {"cores", "jobs"}:
        line.options.append(("cores", ["--cores", "all"]))
    limits = line.values("resources") or []
    if not gpu and not elsewhere and not any(limit.startswith("gpu=") for limit in limits):
        line.options.append(("resources", ["--resources", *limits, "gpu=0"]))
    return line


def _elsewhere(line: arguments.Words) -> bool:
    """Whether jobs may run on other machines: whether this one has a GPU then says nothing."""
    profiles = [
        line.values("profile") or [os.environ.get("SNAKEMAKE_PROFILE", "none")],
        line.values("workflow_profile") or ["none"],
    ]
    return "executor" in _named(line) or any(names not in (["none"], [""]) for names in profiles)


def _named(line: arguments.Words) -> set[str]:
    return {name for name, _ in line.options}


def _ignores_snakefile(line: arguments.Words) -> bool:
    here, ours = Path("Snakefile"), ROOT / "Snakefile"
    return here.exists() and not here.samefile(ours) and line.values("snakefile") == [str(ours)]


def check_profiles(names: Sequence[str]) -> None:
    """Raise ConfigError for a workflow profile that Snakemake would not find: it goes on without a word."""
    places = [Path(), Path("profiles"), ROOT / "profiles"]
    for name in names:
        if name != "none" and not any(Path(place, name).is_dir() for place in places):
            ours = ", ".join(sorted(folder.name for folder in places[-1].iterdir()))
            raise ConfigError(repr(name), file="--workflow-profile", expected=f"a folder, or one of {ours}")


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA device."""
    return any(map(os.path.exists, ("/dev/nvidia0", "/proc/driver/nvidia"))) or bool(
        shutil.which("nvidia-smi")
    )


def find_cache(folder: Path) -> None:
    """Have Snakemake and Matplotlib cache below ``folder`` where the home cannot be written."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        (home / "snakemake").mkdir(parents=True, exist_ok=True)
        if os.access(home / "snakemake", os.W_OK):
            return
    except (OSError, RuntimeError):  # read-only, or none at all
        pass
    cache = folder.resolve() / ".snakemake" / "cache"
    os.environ["XDG_CACHE_HOME"] = str(cache)
    os.environ.setdefault("MPLCONFIGDIR", str(cache / "matplotlib"))


def check_folder(folder: Path) -> None:
    """Raise OSError where Snakemake could not write, which it tells with a traceback."""
    (folder / ".snakemake" / "locks").mkdir(parents=True, exist_ok=True)
    if room(folder) < LEAST_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / ".snakemake"))


def without_records(folder: Path) -> str:
    """What to say where there are results and no records of how they were made; else empty."""
    if not any(folder.glob("results/*")) or any(folder.glob(".snakemake/metadata/*")):
        return ""
    return (
        f"{folder.resolve()} has results and no records of them (.snakemake/metadata): they count as up to "
        "date, whatever settings and code made them. If in doubt, make them again: --forceall"
    )


def run(argv: Sequence[str]) -> int:
    """Start Snakemake in this process, after clearing what a dead driver left."""
    line = prepare(argv, gpu=has_gpu())
    named = _named(line)
    for file in line.values("configfile") or []:
        config.check_file(file)
    check_profiles(line.values("workflow_profile") or [])
    if os.environ.get("SNAKEMAKE_PROFILE") == "":
        del os.environ["SNAKEMAKE_PROFILE"]  # to Snakemake a profile without a name, which it does not find
    if _ignores_snakefile(line):
        print("The Snakefile of this folder is not used; to run it: --snakefile Snakefile", file=sys.stderr)
    folder = Path((line.values("directory") or ["."])[0])
    find_cache(folder)
    if not named & {"help", "version"}:
        check_folder(folder)
        if warning := without_records(folder):
            print(warning, file=sys.stderr)
    if not named & READ_ONLY:
        if done := driver.clear(folder):
            print(done, file=sys.stderr)
        driver.record(folder, argv, Path.cwd())
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    asked.TARGETS[:] = line.targets
    try:
        with contextlib.nullcontext() if named & READ_ONLY else warm.beside():
            snakemake(line.line())
    except SystemExit as leave:
        if isinstance(leave.code, str):  # a message of ours from the Snakefile
            print(leave.code, file=sys.stderr)
        if leave.code:
            return leave.code if isinstance(leave.code, int) else 1
    if not named & READ_ONLY:
        driver.begun(folder)  # where there was nothing to do, too
    return 0


def experiment(argv: Sequence[str]) -> int:
    """Start Snakemake, and show the results that it brings."""
    began, status = time.time(), run(argv)
    folder = Path((arguments.parse(argv, _parser()).values("directory") or ["."])[0])
    if any(file.stat().st_mtime >= began for file in folder.glob("results/*_auc.json")):
        print(f"\n{summary(folder)}", flush=True)
    return status


def demo(argv: Sequence[str]) -> int:
    """The workflow on synthetic data below ``demo/``; ``all`` does so for every method."""
    folder, names = Path("demo"), ["demo", "demo-all"] if "all" in argv else ["demo"]
    files = [str(ROOT / "config" / f"{name}.yaml") for name in names]
    words = (word for word in argv if word != "all")
    line = ["--directory", str(folder), "--configfile", *files, *words]
    if status := run(line):
        return status
    if (
        not Path(folder, "results").exists()
        or {name for name, _ in prepare(line, gpu=True).options} & READ_ONLY
    ):
        return 0
    print(summary(folder), flush=True)
    return make_report([*line, "--quiet"])


def report(argv: Sequence[str]) -> int:
    """The report of the last run in this folder or one below it, or in that of ``--directory``."""
    words = arguments.parse(argv, _parser())
    named = words.values("directory")
    folders = [Path(named[0])] if named else [Path(), *Path().glob("*/")]
    # What trained nothing, for want of downloads say, or listed citations alone, has nothing to report.
    trained = [folder for folder in folders if any(Path(folder, "results").glob("*/fold*"))]
    # A run from before there was a record of its beginning has the other one only.
    names = {folder: driver.BEGUN if (folder / driver.BEGUN).is_file() else driver.FILE for folder in trained}
    ages = {
        folder: (folder / name).stat().st_mtime for folder, name in names.items() if (folder / name).is_file()
    }
    newest = max(ages, key=lambda folder: ages[folder], default=None)
    last = driver.read(newest, names[newest]) if newest is not None else None
    if last is None:
        raise InputError("none", expected="a run to report on", remedy="run the workflow first: ./run demo")
    _check_reported(words, last)
    os.chdir(last["started_in"])
    others = [word for name, option in words.options if name not in REMEMBERED for word in option]
    return make_report(last["argv"], [*others, *words.targets])


def _check_reported(words: arguments.Words, last: Mapping[str, Any]) -> None:
    """Refuse to report on a run with other config files than those that are named."""
    ran = arguments.parse(last["argv"], _parser())
    named, known = (
        [Path(folder, file).resolve() for file in line.values("configfile") or ()]
        for folder, line in (("", words), (last["started_in"], ran))
    )
    if named and named != known:
        found, expected = (" ".join(map(str, files)) or "none" for files in (named, known))
        raise InputError(
            f"--configfile {found}", expected=f"that of the last run here, {expected}",
            remedy="run it with that file first, name its --directory, or leave the option out",
        )  # fmt: skip


def make_report(line: Sequence[str], names: Sequence[str] = ()) -> int:
    """Report on the run with the words ``line``, beside its results, and say where.

    One page, unless it is larger than LARGEST_PAGE: then a zip of the page and its items. ``names`` are
    words of the user for Snakemake's ``--report``, such as another file, and count as they are.
    """
    folder = Path((prepare(line, gpu=True).values("directory") or ["."])[0]).resolve()
    call = [sys.executable, "-m", "workflow.run", *line, "--report-stylesheet", str(STYLE), "--report"]
    if names:
        return subprocess.call([*call, *names])
    page, archive = folder / "report.html", folder / "report.zip"
    archive.unlink(missing_ok=True)
    if status := subprocess.call([*call, page.name]):
        remedy = "let it come to its end, with the same command, and report then"
        error = InputError("what is said above", file=folder, expected="a finished run", remedy=remedy)
        print(error, file=sys.stderr)
        return status
    if (size := page.stat().st_size) <= LARGEST_PAGE:
        print(f"Report: {page}")
        return 0
    page.unlink()
    if status := subprocess.call([*call, archive.name]):
        return status
    print(f"Report: {archive}: as one page it has {size >> 20} MiB, more than a browser opens with ease. "
          "Unpack it and open report/report.html")  # fmt: skip
    return 0


def test(argv: Sequence[str]) -> int:
    """The test suite, from the project's folder: all of it on all cores, file by file."""
    os.chdir(ROOT)
    workers = (os.cpu_count() or 1) + 2  # tests of whole runs often wait
    words = argv or ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *words])


def lint(argv: Sequence[str]) -> int:
    """Every check of form; all of them run, whatever the first ones say."""
    rules = ["Snakefile", *map(str, sorted((ROOT / "rules").glob("*.smk")))]
    checks = [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["snakefmt", "--check", *rules],
        ["snakemake", "--lint"],
    ]
    failed = []
    for check in checks:
        print(f"$ {' '.join(check[:3])}", flush=True)
        if subprocess.call([str(Path(sys.executable).with_name(check[0])), *check[1:], *argv], cwd=ROOT):
            failed.append(" ".join(check[:2]))
    print(f"failed: {', '.join(failed)}" if failed else "all clean")
    return int(bool(failed))


def check(argv: Sequence[str]) -> int:
    """What there is of each data set, what is wrong with it, and what it would take; starts nothing."""
    from workflow.check import check, config_of  # reads pixels, which no other word does

    line = prepare(argv, gpu=True)
    settings = config_of(line.values("configfile") or [], line.values("config") or [])
    folder = Path((line.values("directory") or ["."])[0])
    folder.mkdir(parents=True, exist_ok=True)  # as Snakemake does: raw folders may be relative to it
    os.chdir(folder)
    text, well = check(settings)
    print(text)
    return 0 if well else 1


def draft(argv: Sequence[str]) -> int:
    """A first table of a folder of images, to complete."""
    os.execv(sys.executable, [sys.executable, "-m", "pipeline.datasets.draft", *argv])


def bench(argv: Sequence[str]) -> int:
    """Speed against a plain reference."""
    os.execv(sys.executable, [sys.executable, "-m", "workflow.bench", *argv])


def fuzz(argv: Sequence[str]) -> int:
    """A search for inputs that break a reader."""
    os.execv(sys.executable, [sys.executable, "-m", "workflow.fuzz", *argv])


OWN: dict[str, Callable[[Sequence[str]], int]] = {
    "demo": demo, "test": test, "lint": lint, "bench": bench, "report": report, "check": check,
    "draft": draft, "fuzz": fuzz,
}  # fmt: skip


def own_word(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The own word that is called, empty for none, and the other words; it may stand behind options."""
    if argv and argv[0] in OWN:
        return argv[0], [*argv[1:]]
    words = arguments.parse(argv, _parser())
    if words.targets and words.targets[0] in OWN:
        return words.targets[0], replace(words, targets=words.targets[1:]).line()
    return "", [*argv]


def main(argv: Sequence[str] | None = None) -> int:
    """Run an own word, or Snakemake."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        word, others = own_word(argv)
        return OWN[word](others) if word else experiment(argv)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if (told := of_system(error)) is None:
            raise
        print(told, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
