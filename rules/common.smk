# What all rules share. What they read and are told is worked out in workflow/plan. Rules that lead to a result have
# priority 1: pictures, pages and tables wait until it is there.

import json
import sys
import time
from pathlib import Path

from snakemake.io import strip_wildcard_constraints

from model.baselines.methods import BASELINES, COVARIATES, MEASURED, STACKED
from papers.figures.registry import FIGURES
from model.training.methods import METHODS
from papers.targeted import POLICIES, STAGES
from papers import numbers
from pipeline.files import sha256
from pipeline.provenance import ROOT, code
from workflow import downloads, driver, failed, raw, shared, replaced, tracking, variants
from workflow.config import check_file, checked
from workflow.flags import flags
from workflow.plan import asked, baselines, challenge, curve, data, effects, external
from workflow.plan import leave_one_out, papers, reporting, search, start, targeted, targets, training
from workflow.plan.adaptor import asks, ending, memory, untracked

with ending():
    for file in workflow.configfiles:
        check_file(file)
    shared.check(checked(config))
    tracking.announce(config["log"])

planned, failures = asks(config), failed.listen()
folders = targets.folders(config)
# Rules run `python -m …` from any working directory, within or without a conda environment.
shell.prefix(f"set -euo pipefail; export PYTHONPATH='{ROOT}' PYTHONSAFEPATH=1; ")


pathvars:
    data=config["data"],


wildcard_constraints:
    dataset=r"[A-Za-z0-9][A-Za-z0-9_-]*",
    method="|".join([*variants.networks(config), *variants.names(config, BASELINES)]),
    fold=r"\d+",
    seed=r"\d+",


onstart:
    with ending():
        driver.record(Path.cwd(), sys.argv[1:], Path(workflow.workdir_init))
        driver.begun(Path.cwd())
        driver.stop_jobs_with_me(Path.cwd())
        shared.record(config)
        tracking.record(config)
        if not workflow.touch:
            replaced.set_aside(workflow.dag.needrun_jobs())


onsuccess:
    replaced.discard()


onerror:
    print(failed.block(failures, log), replaced.where(), sep="\n", file=sys.stderr)
