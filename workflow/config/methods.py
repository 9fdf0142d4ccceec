"""The numbers of each method: those of its steps, or of its own where it has none."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Discriminator, Field, Tag, create_model, with_config
from typing_extensions import TypedDict

from model.training.methods import METHODS
from workflow.config.types import AS_WRITTEN, Name, Natural, Positive, Section, Text, in_unit

METHOD_STEPS = {
    "typhon": ["training", "specialization"],
    "parallel": ["training"],
    "hydra": ["first", "support_head", "support", "last_head", "last"],
    "transfer": ["first", "support", "last"],
    "classical": ["training"],
    "joint": ["training"],
    "multitask": ["training"],
    "pooled": ["training"],
}
"""By method, the steps of which ``model/training/methods.py`` makes its phases."""

Penalties = Annotated[list[Annotated[float, Field(gt=0), AS_WRITTEN]], Field(min_length=1)]
Settings = list[Annotated[float, Field(gt=0), AS_WRITTEN]]
Rate = Annotated[float, Field(gt=0, le=1), AS_WRITTEN]
Rates = Annotated[
    Annotated[Rate, Tag("(number)")]
    | Annotated[dict[str, Rate], Tag("(mapping)")]
    | Annotated[Literal["find"], Tag("(find)")],
    Discriminator(
        lambda value: "(mapping)" if isinstance(value, dict) else "(find)" if value == "find" else "(number)"
    ),
]


Share = Annotated[float, Field(ge=0, le=1), AS_WRITTEN]


@with_config(ConfigDict(extra="forbid", strict=True))
class Schedule(TypedDict):
    """How the learning rate changes; `model.training.phase.schedule_problems` knows what each kind has."""

    kind: Literal["plateau", "cosine", "one-cycle"]
    """plateau lowers the rate when validation no longer improves, and needs `factor` and `patience`; cosine
    lets it fall along half a cosine; one-cycle lets it rise and then fall"""
    factor: NotRequired[Share]
    """plateau: number by which the rate is multiplied"""
    patience: NotRequired[Natural]
    """plateau: the rate falls after more than this many validations in a row without progress"""
    watch: NotRequired[Literal["validation", "loss", "paper"]]
    """plateau: what has to improve. validation is the validation AUROC, the default; loss is the validation
    loss; paper is the AUROC of training, which has to fall, as in the public code"""
    until: NotRequired[Rate]
    """plateau: the step ends when the rate is below this number; by default it trains all its `epochs`"""
    rise: NotRequired[Share]
    """one-cycle: share of the steps in which the rate rises; 0.3 by default"""
    start: NotRequired[Share]
    """one-cycle: rate of the first step, as a share of `learning_rate`; 1/25 by default"""
    end: NotRequired[Share]
    """cosine and one-cycle: rate at the end, as a share of `learning_rate`; by default 0 and 1/25,000"""
    momentum: NotRequired[Annotated[list[Share], Field(min_length=2, max_length=2)]]
    """one-cycle: momentum at the lowest and at the highest rate; `[0.95, 0.85]` by default"""


@with_config(ConfigDict(extra="forbid", strict=True))
class Layers(TypedDict):
    """Which layers move, how fast and from when on; `model.training.layers` knows what each key means."""

    groups: NotRequired[Annotated[Positive, AS_WRITTEN] | None]
    """number of groups that consecutive layers form; by default, or with null, each layer is a group"""
    decay: NotRequired[Annotated[float, Field(gt=0, le=1), AS_WRITTEN]]
    """rate of a group as a share of the rate of the next group towards the head; 1 by default"""
    fixed: NotRequired[Share]
    """share of the groups, those nearest the image, that never move; 0 by default"""
    unfreeze: NotRequired[list[Annotated[float, Field(ge=0, lt=1), AS_WRITTEN]]]
    """shares of the steps at which the second-to-last group, the one before it and so on start to move;
    without it, all groups move from the first step"""


Weight = Annotated[float, Field(gt=0), AS_WRITTEN]
Weights = Annotated[
    Annotated[Weight, Tag("(number)")] | Annotated[dict[str, Weight], Tag("(mapping)")],
    Discriminator(lambda value: "(mapping)" if isinstance(value, dict) else "(number)"),
]
Dropout = Annotated[float, Field(ge=0, lt=1), AS_WRITTEN]
Dropouts = Annotated[
    Annotated[Dropout, Tag("(number)")] | Annotated[dict[str, Dropout], Tag("(mapping)")],
    Discriminator(lambda value: "(mapping)" if isinstance(value, dict) else "(number)"),
]


class Step(Section):
    """Settings of a step of a method, see below."""

    epochs: Annotated[int, Field(ge=0), in_unit("epochs")] = 300
    """epochs; 0 leaves the step out"""
    batches: Annotated[Positive, in_unit("batches")] | None = None
    """batches of each data set per epoch; null is a full pass"""
    batch_size: Annotated[int, Field(ge=2), in_unit("samples")] = 64
    """views per batch"""
    learning_rate: Rates = 0.0003
    """step size of the optimizer: one number, a mapping from data set to number, or `find`, which tries 200
    steps with a growing rate and takes the rate with the lowest loss"""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """method that turns gradients into steps"""
    weight_decay: Annotated[float, Field(ge=0), AS_WRITTEN] = 0
    """pull of weights towards 0: an L2 penalty with adam and sgd, decoupled with adamw"""
    momentum: Annotated[float, Field(ge=0, lt=1), AS_WRITTEN] = 0.9
    """momentum of sgd"""
    dropout: Annotated[Dropouts, in_unit("fraction")] = 0.3
    """share of activations dropped in training; one number, or a mapping from data set to number"""
    select: Literal["last", "best"] = "last"
    """the state that the step leaves behind: its last one, or the best in validation"""
    stop: Positive | None = None
    """with `select: best`, ends the step after this many validations in a row without a better state"""
    schedule: Schedule | None = None
    """how the rate changes, such as `{kind: plateau, factor: 0.01, patience: 2}` or `{kind: one-cycle}`; null
    keeps it"""
    layers: Layers | None = None
    """which layers move, how fast and from when on, such as `{decay: 0.85, fixed: 0.33}` or
    `{groups: 3, decay: 0.33, unfreeze: [0.1, 0.2]}`; null moves all layers at one rate"""
    batch_norm: Literal["train", "eval"] | None = None
    """what normalises a batch: its own mean and variance (train), or the statistics that the network came
    with (eval), which evaluation then uses as well; null is eval if `weights` are not random"""
    balance: Literal["views", "undersample"] | None = None
    """how this step balances classes; null follows `balance` of the config"""
    weight: Weights = 1.0
    """weight of a data set's loss in a joint step; one number, or a mapping from data set to number"""
    share: Annotated[float, Field(ge=0, le=1), AS_WRITTEN, in_unit("fraction")] = 1
    """with `comparison/target_samples`, the share of these samples that each data set of the step gives"""


class Tuning(Step):
    """The same with defaults for a network that knows something."""

    epochs: Annotated[int, Field(ge=0), in_unit("epochs")] = 120
    batches: Annotated[Positive, in_unit("batches")] | None = 1
    batch_size: Annotated[int, Field(ge=2), in_unit("samples")] = 16
    learning_rate: Rates = 0.0001
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0), AS_WRITTEN] = 0.01
    dropout: Annotated[Dropouts, in_unit("fraction")] = 0.0
    schedule: Schedule | None = Schedule(kind="one-cycle")
    layers: Layers | None = Layers(decay=0.85, fixed=0.33)
    balance: Literal["views", "undersample"] | None = "undersample"


class Pretraining(Tuning):
    """The same in larger batches, which all data sets share."""

    batch_size: Annotated[int, Field(ge=2), in_unit("samples")] = 32


class Finetune(Section):
    """A network that knows something, trained on the target; its head begins as a probe."""

    network: str = "efficientnet_lite0"
    """the network of this method, whatever `network` says"""
    weights: Text = "imagenet"
    """the weights that it starts from, whatever `weights` says"""
    head: Literal["probe", "new"] = "probe"
    """how its head starts: as a probe of the training findings (probe), or with random weights, as published
    by Romero et al. (new)"""
    training: Tuning = Tuning()
    """its only step"""


class Pretrain(Section):
    """Mixed batches of all data sets, a head for each, for a network that knows something."""

    network: str = "efficientnet_lite0"
    """the network of this method, whatever `network` says"""
    weights: Text = "imagenet"
    """the weights that it starts from, whatever `weights` says"""
    training: Pretraining = Pretraining()
    """its only step, with the settings of `finetune` except for batches of 32"""


class Rwg(Section):
    """The best of many random networks, not trained."""

    candidates: Positive = 1000
    """number of random networks, in place of `bootstrap/candidates`"""


class Logistic(Section):
    """L2-regularised logistic regression on intensity features of the target's patches; no network."""

    penalties: Penalties = [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100]
    """divisors of the penalty (C of scikit-learn), of which inner folds of the training findings choose
    one"""
    folds: Annotated[int, Field(ge=2)] = 5
    """number of inner folds"""


class Probe(Section):
    """L2-regularised logistic regression on what a fixed network sees in the target's patches."""

    encoder: str = "lite0"
    """an entry of `encoders`"""
    penalties: Penalties = [1e-5, 1e-4, 1e-3, 1e-2]
    """divisors of the penalty (C of scikit-learn), of which inner folds choose one"""
    folds: Annotated[int, Field(ge=2)] = 5
    """number of inner folds"""


class CovariatesAlone(Section):
    """L2-regularised logistic regression on columns of a table, see `covariates`; no image."""

    penalties: Penalties = [0.01, 0.1, 1, 10]
    """divisors of the penalty (C of scikit-learn), of which inner folds choose one"""
    folds: Annotated[int, Field(ge=2)] = 5
    """number of inner folds"""


class ProbeCovariates(Section):
    """The regression of `covariates` on the log odds of a probe as well; the probe scores on inner folds."""

    encoder: str = "lite0"
    """an entry of `encoders`"""
    penalties: Penalties = [1e-5, 1e-4, 1e-3, 1e-2]
    """penalties of the probe; the regression has those of `covariates`"""
    folds: Annotated[int, Field(ge=2)] = 5
    """number of inner folds"""


class ProbeSvm(Section):
    """A linear support vector machine on what a fixed network sees in the target's patches."""

    encoder: str = "lite0"
    """an entry of `encoders`"""
    penalties: Penalties = [0.01]
    """divisors of the penalty (C of scikit-learn), of which inner folds choose one"""
    folds: Annotated[int, Field(ge=2)] = 5
    """number of inner folds"""


class ProbeKnn(Section):
    """The nearest training findings, by what a fixed network sees in the target's patches."""

    encoder: str = "lite0"
    """an entry of `encoders`"""
    neighbours: Annotated[list[Positive], Field(min_length=1)] = [5, 10, 20, 50]
    """numbers of neighbours, of which inner folds choose one"""
    folds: Annotated[int, Field(ge=2)] = 5
    """number of inner folds"""


class Radiomics(Section):
    """Classifiers of 79 radiomic features of the target's patches; no network. Inner folds choose one."""

    l2: Settings = [0.001, 0.01, 0.1, 1]
    """divisors of the penalty (C of scikit-learn) of regressions with an L2 penalty"""
    l1: Settings = [0.01, 0.1, 1]
    """the same with an L1 penalty"""
    elastic_net: Settings = [0.01, 0.1]
    """the same with a penalty that is half L1, half L2"""
    forest: list[Positive] = [5]
    """smallest number of samples in the leaves of random forests"""
    folds: Annotated[int, Field(ge=2)] = 5
    """number of inner folds"""


class Auto(Section):
    """Candidates that train no network, chosen and stacked on inner folds of the target's findings."""

    candidates: Annotated[list[str], Field(min_length=1)] = [
        "lite0-layers", "lite0-96", "radiomics", "intensity"
    ]  # fmt: skip
    """entries of `encoders`, each for a `probe` with its penalties, and `radiomics` and `intensity`, with the
    classifiers of `radiomics` and the penalties of `logistic`"""
    folds: Annotated[int, Field(ge=2)] = 5
    """number of inner folds"""


class Adc(Section):
    """One feature, the 10th percentile of the ADC around the finding; no network."""

    collection: Name | None = None
    """collection of the target's findings that has the channel adc; null is the target itself"""
    radius: Annotated[float, Field(gt=0), AS_WRITTEN, in_unit("mm")] = 5
    """radius of the disc around the finding; a tumour of half a millilitre has a radius of 5 mm"""


def _sections() -> dict[str, Any]:
    """By method, a section with its steps."""
    step: Any = (Step, Step())
    models = {
        name: create_model(
            name.title(), __base__=Section, __doc__=METHODS[name].__doc__, **dict.fromkeys(steps, step)
        )
        for name, steps in METHOD_STEPS.items()
    } | {
        "finetune": Finetune, "pretrain": Pretrain, "rwg": Rwg, "logistic": Logistic, "probe": Probe,
        "adc": Adc, "covariates": CovariatesAlone, "probe_covariates": ProbeCovariates,
        "probe_svm": ProbeSvm, "probe_knn": ProbeKnn, "radiomics": Radiomics, "auto": Auto,
    }  # fmt: skip
    return {name: (model, model()) for name, model in models.items()}


if TYPE_CHECKING:
    Hyperparameters = Section
else:
    Hyperparameters = create_model(
        "Hyperparameters",
        __base__=Section,
        __doc__="The numbers of each method's phases; `model/training/methods.py` has the rest.",
        **_sections(),
    )
