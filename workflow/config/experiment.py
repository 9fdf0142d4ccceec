"""All keys of a config file but those of methods and data sets, as typed models.

From them come the checks, the schema for editors and the table in ``config/README.md``. The text below a key
is its meaning, which the table shows and an error repeats.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.patches.ranges import MOST_RANGE
from workflow.config.collections import AnyCollection
from workflow.config.encoders import USUAL_ENCODERS, Encoders
from workflow.config.methods import Hyperparameters
from workflow.config.types import (
    AS_WRITTEN,
    Name,
    Natural,
    Pixels,
    Positive,
    Section,
    Share,
    Text,
    Views,
    in_unit,
)


class Download(Section):
    """How `download` fetches images."""

    source: Literal["idc", "nbia"] = "idc"
    """where images come from: the open buckets of the Imaging Data Commons (idc), or the REST interface of
    the National Biomedical Imaging Archive (nbia)"""
    series: Literal["needed", "all"] = "needed"
    """the series that the workflow reads (T2, ADC and highest b-value of PROSTATEx; every CT of LUNGx), or
    all images of the collection"""
    endpoint: (
        Annotated[str, Field(pattern="^https?://", examples=["https://s3.us-east-1.amazonaws.com"])] | None
    ) = None
    """address of a mirror of the source; null is the source itself"""
    index: Text | None = None
    """file of another release of the index of the Imaging Data Commons (`idc_index.parquet`); null is the one
    that is installed"""
    connections: Annotated[int, Field(ge=1, le=64)] = 8
    """number of series fetched at a time"""


class Split(Section):
    """How the groups (patients, or clusters of near-duplicates) of a data set are parted."""

    kind: Literal["holdout", "folds", "repeats", "paper", "all", "given", "sites", "official"] = "holdout"
    """how splits are made. holdout: one hold-out; folds: k folds with rotating test; repeats: n independent
    hold-outs; paper: one hold-out as published (each class apart, in the order of its patients, so that a
    patient may be in two splits); all: all findings for training, to predict a `challenge`; given: as a
    `column` of your table says; sites: each site of a `column` is the test once; official: by the lists that
    come with a collection"""
    column: Text | None = None
    """column of the target's table: with `given` the one that says train, validation or test, with `sites`
    the one of the site"""
    n: Annotated[int, Field(ge=1, le=1000)] = 1
    """number of folds (at least 3), repeats or sites (at least 2); 1 otherwise"""
    validation: Share = 0.2
    """share of the groups for validation. With `folds` it is the fold after the test; with `sites`, and with
    `given` and `official` if no validation is marked, it is a share of the training groups"""
    test: Share = 0.2
    """share of the groups for the test. With `folds` it is one fold; with `given`, `sites` and `official`
    it is for data sets without the column or lists"""
    evaluation: Literal["all", "balanced"] = "all"
    """which findings validation and test have: all of them; or, as Romero et al. have it, all of the smallest
    class and as many of each other class, drawn once for all methods, seeds and budgets (balanced). Data sets
    with several labels are not balanced"""
    seed: Natural = 0
    """seed of the splits, apart from the seeds of training; `paper` and `all` draw nothing"""


class Bootstrap(Section):
    """Random weight guessing, which picks the network that training starts from."""

    candidates: Positive = 200
    """number of random networks that are scored"""
    views: Views = 1
    """views per finding used for scoring"""
    rule: Literal["minimum", "paper"] = "minimum"
    """which candidate is chosen: the one with the highest minimum AUROC over the data sets (minimum), or the
    one by the published rule (paper)"""
    batch_norm: Literal["calibrated", "paper"] = "calibrated"
    """batch-norm statistics while scoring: from one pass over the data (calibrated), or the initial ones, as
    published (paper)"""
    data: Literal["validation", "paper"] = "validation"
    """findings on which candidates are scored: validation, or training and validation, as published
    (paper)"""
    search: Literal["exhaustive", "staged"] = "exhaustive"
    """score every candidate in full (exhaustive), or in stages that drop candidates which cannot win
    (staged). Stages usually make the same choice in a fraction of the time"""
    initialization: Literal["usual", "torch", "moments"] = "usual"
    """usual takes `weights` as they are, and random weights as published (Xavier); torch draws random
    weights as PyTorch does; moments replaces `weights` by random ones with the mean and standard deviation
    of each layer (Romero et al.)"""
    start: Literal["shared", "own"] = "shared"
    """with at least two methods that train, shared scores random networks once, on all data sets that any
    method trains on, and all methods start from the same one; with own, each method chooses one on the data
    sets of its first phase"""


class Comparison(Section):
    """What makes methods comparable, and how they are compared where there are at least two."""

    target_samples: Annotated[Positive, in_unit("samples")] | None = None
    """number of training views of the target that every method may see. Each phase then trains for its
    `share` of them, in epochs of one batch per data set, whatever its `epochs` and `batches` say. With
    null, each method has its own length"""
    batch_size: Annotated[int, Field(ge=2), in_unit("samples")] | None = 8
    """with `target_samples`, the batch size of every phase, so that methods also take as many steps; with
    null, each phase has its own"""
    reference: Text | None = None
    """method that the others are compared with, one of `methods`; null is classical if it is one of them,
    otherwise the first"""
    pairs: Literal["reference", "all"] = "reference"
    """differences to compute: of each method to the reference, or of every pair; p-values are adjusted for
    their number"""
    difference: Annotated[float, Field(gt=0, le=1), AS_WRITTEN] = 0.03
    """difference of AUROCs for which the table tells how many paired runs would detect it"""


class Training(Section):
    """How to train; `paper` is what the public code did."""

    loss: Literal["logits", "paper", "l1", "mse"] = "logits"
    """cross-entropy of the logits (logits), or of a softmax mistaken for logits, as published (paper); or the
    absolute (l1) or squared (mse) error of the softmax"""
    frozen: Literal["eval", "paper"] = "eval"
    """whether a frozen extractor does not change at all (eval), or its batch norm keeps moving and its
    dropout stays on, as in Typhon's public code (paper)"""
    handover: Literal["best", "paper"] = "best"
    """whether a phase that selects its best state hands on all of it (best), or the best extractor with the
    last heads, as in Hydra's public code (paper)"""
    zero_dropout: Literal["zero", "paper"] = "zero"
    """whether a dropout of 0 means no dropout (zero), or keeps the former value, as in Typhon's public code
    (paper)"""
    selection: Literal["auroc", "loss", "accuracy", "precision", "recall", "f1", "specificity", "paper"] = (
        "auroc"
    )
    """validation metric by which a state is the best; with paper, as published, a state is better if
    neither its AUROC nor its accuracy is lower"""


class Search(Section):
    """Grid search, which the target `search` runs."""

    method: Text | None = None
    """method whose settings are searched; with null there is no search"""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """values to try for keys below `hyperparameters/{method}`, such as `training.learning_rate: [1.0e-3,
    1.0e-4]`; every combination is a candidate"""
    skip: list[Natural] = []
    """candidates to leave out, by number, such as one whose training diverged; they keep their number and are
    in the table without a figure"""


class Subset(Section):
    """How the findings within a `budget` are chosen."""

    nested: bool = True
    """whether the findings of a smaller number are among those of a larger one; with false, the findings of
    each number are drawn independently, as published by Romero et al."""
    counts: Literal["learned", "training"] = "learned"
    """what a budget counts: training and validation findings, since methods learn from both (learned), or
    only training findings, beside all validation findings, as published by Romero et al. (training)"""
    classes: Literal["share", "equal"] = "share"
    """whether classes have the same share as in the split (share), or the same number of findings as long
    as there are enough, as published by Romero et al. (equal). Several labels are drawn without regard to
    them"""


class Curve(Section):
    """Learning curves, which the target `curve` draws: AUROC by the number of findings to learn from."""

    methods: list[str] = []
    """methods, or variants, to draw; each runs once for each number, and once with all findings"""
    whole: bool = True
    """whether there is a run with all findings"""
    findings: Annotated[list[Positive], Field(min_length=1)] = [25, 50, 100, 200]
    """training and validation findings of the target, as `budget` takes them; a number that some fold does
    not have is refused"""


class LeaveOneOut(Section):
    """Transfer to one task after the other from all others, which the target `leave_one_out` makes."""

    tasks: list[Name] = []
    """data sets that are each the target once, after pre-training on all other `datasets`; an empty list
    leaves the experiment out"""
    network: str = "efficientnet_lite0"
    """network of all sources, from docs/networks.md"""
    sources: dict[Name, Text] = {"random": "random", "imagenet": "imagenet"}
    """weights of this network to compare with, by a name of your own, written as in `weights`"""
    pretraining: list[str] = ["pretrain"]
    """methods, or variants, that train the network on the other data sets; each is a source under its name"""
    ways: Annotated[list[str], Field(min_length=1)] = ["probe_svm", "probe", "finetune"]
    """methods that use each source: `probe_svm`, `probe`, `probe_knn`, `finetune`, or variants of them"""
    views: Views = 16
    """number of views of each finding that probes see, if that many are stored"""


class Evaluation(Section):
    """How a trained model is evaluated."""

    batch_norm: Literal["recalibrated", "mixed", "per_set"] = "recalibrated"
    """batch-norm statistics for evaluation: recomputed on the training part of the evaluated data set
    (recalibrated), the running mixture, as published (mixed), or running statistics for each data set
    (per_set)"""
    every: Annotated[Positive, in_unit("epochs")] = 100
    """number of epochs between two validations"""
    state: Literal["last", "best"] = "last"
    """the state of a run that the result takes: the last, or the best in validation; both are reported"""
    gradients: list[
        Annotated[str, Field(pattern="^.+/[1-9][0-9]*/[1-9][0-9]*$", examples=["specialization/10/1"])]
    ] = ["*/1/6"]
    """training steps whose gradients are written into `gradients.csv` of each run, as `phase/epoch/batch`
    counted from 1. Phase `*` is every phase; in an epoch with fewer batches, the last one is taken"""
    follow: bool = True
    """whether each validation adds the target's test AUROC, and its AUROC with the head of the first phase,
    to the history, for curves; nothing is chosen by them"""


class Operating(Section):
    """Thresholds from which a finding is called positive, chosen on validation findings."""

    sensitivity: list[Share] = [0.9]
    """each gives the highest threshold with at least this sensitivity in validation, in addition to the
    threshold with the largest Youden index"""
    specificity: list[Share] = [0.9]
    """each gives the lowest threshold with at least this specificity in validation"""
    prevalence: Share | None = None
    """share of positives for predictive values, such as 0.01 for screening; null is that of the test
    findings"""
    coverage: list[Share] = [0.9]
    """share of new patients whose positive findings should all be in their conformal sets, and likewise for
    negative findings"""


class Subgroups(Section):
    """Parts of the test findings to tell figures of, in `results/subgroups.csv`."""

    columns: list[Text] = []
    """columns that make the subgroups, such as `[sex, age]`: columns of `table`, of the target's
    findings.csv, or of its index (`manufacturer`, `model`, `slice_thickness_mm`); without any there is no
    table of subgroups"""
    table: Text | None = None
    """CSV with `patient_id`, with `finding_id` if findings of a patient differ, and the columns"""
    names: dict[Literal["patient_id", "finding_id"], Text] = {}
    """its headers if they have other names, such as `patient_id: case`"""
    cuts: dict[Text, Annotated[list[float], Field(min_length=1)]] = {}
    """where to cut a column of numbers, such as `age: [50, 70]`; without cuts, a column of more than eight
    numbers is cut into thirds"""
    minimum: Positive = 10
    """number of positive, and of negative, test findings that a level needs to be scored"""


class Covariates(Section):
    """What the methods `covariates` and `probe_covariates` learn from besides images."""

    columns: list[Text] = []
    """columns such as `[age, sex]`, of `table`, of the target's findings.csv, or of its index; numbers are
    standardised, words become a number for each; a missing number counts as the median, with a mark that it
    is missing; a missing word counts as a word of its own"""
    table: Text | None = None
    """CSV with `patient_id`, with `finding_id` if findings of a patient differ, and the columns"""
    names: dict[Literal["patient_id", "finding_id"], Text] = {}
    """its headers if they have other names, such as `patient_id: case`"""


class Online(Section):
    """How far views may be from the stored patch with `augmentation: online`; each is drawn uniformly."""

    rotation: Annotated[float, Field(ge=0, le=MOST_RANGE["rotation"]), AS_WRITTEN, in_unit("degrees")] = 20
    """largest angle, to either side"""
    scale: Annotated[float, Field(ge=0, le=MOST_RANGE["scale"]), AS_WRITTEN, in_unit("fraction")] = 0.12
    """largest share by which a view shows more or less of the image"""
    shift: Annotated[float, Field(ge=0, le=MOST_RANGE["shift"]), AS_WRITTEN, in_unit("fraction")] = 0.04
    """largest shift in each of the four directions, as a share of the patch's side"""
    brightness: Annotated[float, Field(ge=0, le=MOST_RANGE["brightness"]), AS_WRITTEN] = 0.2
    """largest change of brightness, up or down, in standard deviations of the series; in training only"""


class Phantom(Section):
    """With this key the workflow itself writes synthetic raw data; only config/demo.yaml has it."""

    patients: Annotated[int, Field(ge=8, le=1000), in_unit("patients")] = 24
    """number of patients (or images) per data set"""
    seed: Natural = 0
    """seed of the synthetic data"""
    test: Annotated[int, Field(ge=0, le=1000), in_unit("patients")] = 0
    """number of additional patients, for the test of the PROSTATEx challenge, with their labels in
    `truth.csv`"""


class Config(Section):
    """What an experiment is: its data sets, their people, its methods, and how all that is compared."""

    data: Text = "data"
    """folder of indexes, patch stores and splits; may point into another run, so that experiments share
    them"""
    raw: dict[str, Text] = {}
    """folder with the downloads of a data set, if it is not `{data}/raw/{dataset}`; nothing is written
    there"""
    published: Text | None = None
    """folder with the public logs of Hydra (`hydra_…csv` and `standard_TL_…csv`), which then stand beside
    ours in tables and figures"""
    accept_download: bool = False
    """whether you accept the licences of the collections; until then, `download` only prints what it would
    fetch"""
    download: Download = Download()
    datasets: Annotated[list[Name], Field(min_length=1)]
    """the data sets that train together, in the order in which each epoch visits them; each has an entry in
    `collections`"""
    target: Name
    """the data set whose test AUROC is the result; one of `datasets`"""
    methods: Annotated[list[str], Field(min_length=1)] = ["typhon"]
    """methods to run and compare, of `model/training/methods.py` and `model/baselines/fit.py`"""
    seeds: Annotated[list[Annotated[int, Field(ge=0, le=4294967295)]], Field(min_length=1)] = [0, 1, 2, 3, 4]
    """random seeds; one run (bootstrap, training, evaluation) per seed and fold"""
    split: Split = Split()
    patch: Pixels = 65
    """width and height of a patch, in its own pixels; `extent` says how much of the image it shows"""
    views: Views = 246
    """views (rotated, shifted, flipped patches) stored per finding; view 0 is the un-augmented one"""
    view_seed: Natural = 0
    """seed of the order of the views"""
    augmentation: Literal["stored", "online"] = "stored"
    """stored cuts all views beforehand; online stores one patch of each finding with a margin, and training
    draws rotation (±20°), flip, scale (±12 %), shift (±4 %) and brightness for each sample, or what `online`
    says. `views` is then the largest number of views of a finding in a pass; views take no disk space"""
    online: Online = Online()
    majority_views: Views = 60
    """views per training finding of the larger class; the smaller class gets floor(this · n0/n1), at most
    `views`"""
    evaluation_views: Views = 11
    """views per validation or test finding whose scores are averaged (enhanced prediction)"""
    balance: Literal["views", "undersample"] = "views"
    """how training balances the classes: by the number of views per finding, as far as there are views
    (views), or by drawing as many of each class in every epoch (undersample)"""
    budget: dict[Name, Positive] = {}
    """number of training and validation findings to learn from, by data set; `subset` says which ones. The
    test does not change"""
    subset: Subset = Subset()
    collections: dict[Name, AnyCollection]
    """how each data set is read; one entry per data set, of one kind"""
    bootstrap: Bootstrap = Bootstrap()
    comparison: Comparison = Comparison()
    hyperparameters: Hyperparameters = Hyperparameters()
    training: Training = Training()
    variants: dict[Name, dict[str, Any]] = {}
    """methods with other settings, by a name of your own, such as `slow: {method: typhon, evaluation: {every:
    10}}`. The keys beside `method` override the config for this variant: `network`, `weights`, `bootstrap`,
    `hyperparameters`, `training`, `evaluation`, `budget` and `precision`. `methods` has to name the variant.
    With its own `target` (and `datasets`) it is a source from which others start, by `weights:
    results/NAME`"""
    search: Search = Search()
    curve: Curve = Curve()
    leave_one_out: LeaveOneOut = LeaveOneOut()
    evaluation: Evaluation = Evaluation()
    operating: Operating = Operating()
    subgroups: Subgroups = Subgroups()
    robustness: bool = False
    """whether the report shows what noise, blur, less contrast, rotation and JPEG do to the AUROC. This
    takes 16 evaluations of the test. You can ask for `results/robustness.csv` in any case"""
    covariates: Covariates = Covariates()
    precision: Literal["float32", "bfloat16"] = "float32"
    """arithmetic of training on CUDA; the CPU always uses float32"""
    network: str = "papers"
    """network to train, from docs/networks.md, such as `resnet18`, `folder:PATH` or `module:my.file:Net`;
    `papers` is the network of the papers"""
    weights: Text = "random"
    """weights from which the network starts: `random`, the best of random candidates; `imagenet`; `folder`,
    for a `folder:PATH`; a file of weights (.safetensors, .pth, .pt); or `results/METHOD`, the extractors of
    other runs, fold by fold and seed by seed. With all but `random`, heads start as probes of the training
    findings, and no random weights are guessed"""
    encoders: Encoders = USUAL_ENCODERS
    """fixed networks whose features methods such as `probe` use, by a name of your own; those of the default
    are there in any case, with the keys that you do not set"""
    challenge: Annotated[Name, Field(examples=["prostatex-test"])] | None = None
    """collection with `part: test` whose findings each method predicts, for
    `results/{method}_challenge.csv`. It is cut like the target, and read from the target's raw folder
    unless `raw` names another"""
    truth: Text | None = None
    """CSV with the labels of the challenge's findings (`ProxID, fid, ClinSig` or `proxid, clinsig`), for
    `results/{method}_challenge.json`"""
    external: list[Name] = []
    """collections that no step sees before the test, such as `[site_b]`: each run scores them, and
    `results/external/` has the results. They are cut like the target, and nobody in them may be in
    `datasets`"""
    log: Literal["mlflow", "wandb"] | None = None
    """service to which jobs also report settings, losses, validation and results: MLflow or Weights & Biases;
    no result depends on it"""
    phantom: Phantom | None = None
