# Cancer classifiers trained on many small medical data sets in parallel.
#   data/raw/{dataset}/                       the downloads, never written to
#   data/{dataset}/index.parquet              every image file's header, read once
#   data/{dataset}/findings.csv               what is to be classified, and where it lies
#   data/{dataset}/skipped.csv                what was left out, and why
#   data/{dataset}/slices.h5                  the source slice of each finding
#   data/{dataset}/patches.h5                 the patch store: all views of each finding
#   data/{dataset}/splits/fold{fold}.csv      who trains, validates and tests
#   data/{dataset}/verify.html                whether all this can be trusted; results/checks.csv for all
#   data/{dataset}/cards/fold{fold}.json      how patches were cut, and the ranges of what is trained on
#   results/{method}/fold{fold}/seed{seed}/   one run
#     bootstrap/                              the network that training starts from, scores.csv of all candidates
#     (results/bootstrap/fold{fold}/seed{seed}/ where the methods of a comparison share it)
#     model.safetensors, predictions.csv      the last state and its scores
#     card.json                               what a prediction for a new case needs besides the model
#     best/                                   the same of the state best in validation
#     history.csv, run.json                   learning curves; device, seconds, samples seen
#     operating.json                          its calibration and thresholds, from validation findings
#   results/{method}_auc.json                 the result
#   results/calibration.…, operating.…, ranking.…  what scores are worth in use, of all methods
#   results/subgroups.…, robustness.…, external/…  by columns of the config; corrupted; of sets unseen before
#   results/comparison.…, differences.…       all methods beside each other, as csv, md and tex, and in pictures
#   results/{method}_challenge.csv, .json     predictions for the challenge's test findings, and their score
#   results/search/{method}/…                 candidates of a grid search, and best.yaml, to run from
#   results/curve/…, curve.csv, .html, .png   AUROC by the number of findings to learn from
#   results/leave_one_out/…, leave_one_out.…  pre-training on all tasks but the target, and what comes of it
#   results/tables/{table}.csv, .md, .tex     the tables of the papers, ours beside theirs; targeted_… on demand
#   results/effects/{effect}.json             what one key as published comes to, run in effects/{effect}/
#   published/{method}/history.csv            what was published of their runs, where the config names it
#   results/cite.…, reporting.…, front.html   what to cite; TRIPOD+AI and CLAIM; what the report opens on
#   results/{method}/…png, figures/…png       items of the report
#   logs/…, benchmarks/…, checkpoints/…       the same paths: a file per job; what a running training has so far
# The workflow on config/config.yaml: ./run. On synthetic data: ./run demo. Settings: config/README.md.

from pipeline.provenance import ROOT
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{ROOT}/config/config.yaml"


include: "rules/common.smk"
include: "rules/demo.smk"
include: "rules/download.smk"
include: "rules/labels.smk"
include: "rules/data.smk"
include: "rules/given.smk"
include: "rules/external.smk"
include: "rules/train.smk"
include: "rules/compare.smk"
include: "rules/baselines.smk"
include: "rules/challenge.smk"
include: "rules/assess.smk"
include: "rules/report.smk"
include: "rules/reporting.smk"
include: "rules/verify.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/search.smk"
include: "rules/curve.smk"
include: "rules/leave_one_out.smk"
include: "rules/targeted.smk"
include: "rules/effects.smk"
include: "rules/provenance.smk"


report: "workflow/report/workflow.rst"


rule all:
    """Every result and every item of the report."""
    default_target: True
    input:
        targets.results(config),
        targets.comparison(config),
        rules.figures.input,
        rules.tables.input,
        rules.tabulate_costs.output,
