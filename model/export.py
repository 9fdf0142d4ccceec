"""Export runs as ONNX: one file for each, and cards that say how to use them and what to expect of them.

The graph is torch's own export of whatever network it is, with nothing in it of the machine that wrote it.
"""

import argparse
import json
import logging
import platform
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import onnx
import torch
from torch import Tensor, nn

from model import model_card
from model.baselines.logistic import Model
from model.baselines.mixture import Mixture, of_run
from model.device import set_up, told
from model.evaluation.results import read
from model.files import weights
from model.files.runs import DISCLAIMER, MIXTURE, Run, RunError, agree, find
from model.inference import batch_norm, in_use
from model.network import Network
from pipeline.classes import UNNAMED, Classes
from pipeline.cli import run_cli
from pipeline.files import atomic, sha256, write_text

log = logging.getLogger("typhon")

SCHEMA = 1
CARD = "export.json"
"""Of another name than the cards of runs, so that an export may lie among them."""
OPSET, IR_VERSION = 18, 8
"""Of ONNX 1.13, the oldest that torch writes, so that an older runtime may do."""
INPUT, OUTPUT = "patches", "probability"
VERSIONS = ("numpy", "onnx", "torch")
FIGURES = ("auroc", "ci95", "ci95_kind", "corrected95", "runs", "findings", "positives")
BY = ("auroc_by", "ci95_by", "positives_by")
"""What a card has of a line of ``…_auc.json``; BY of several classes or labels."""


class _Probability(nn.Module):
    """A network and one of its decision makers, ending in the probabilities of its classes or labels."""

    def __init__(self, network: Network, dataset: str, table: Tensor, classes: Classes) -> None:
        super().__init__()
        self.kind = classes.kind
        batch_norm.attach(network, table)
        self.extractor, self.maker = network.extractor, network.maker(dataset)

    def forward(self, patches: Tensor) -> Tensor:
        """Probabilities (n,) of class 1 of two, else (n, outputs), of patches (n, channels, side, side)."""
        logits: Tensor = self.maker(self.extractor(patches))
        if self.kind == "classes":
            return logits.softmax(dim=1)
        if self.kind == "labels":
            return logits.sigmoid()
        # Softmax of two logits is the sigmoid of their difference.
        return torch.sigmoid(logits[:, 1] - logits[:, 0])


class Stacked(nn.Module):
    """A mixture whose members are networks with a linear classifier, ending in probabilities."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.problems, self.shares = mixture.problems, mixture.shares
        seen = {member.name: member.extractor for member in mixture.members if member.extractor is not None}
        self.extractors = nn.ModuleList(seen.values())
        self.members = []
        for number, member in enumerate(mixture.members):
            fitted = member.fitted
            assert isinstance(fitted, Model)
            for name in ("mean", "sd", "coefficients"):
                self.register_buffer(f"{name}{number}", torch.from_numpy(vars(fitted)[name]).float())
            self.members.append(
                (list(seen).index(member.name), member.problem, member.weight, float(fitted.intercept))
            )

    def forward(self, patches: Tensor) -> Tensor:
        """Probabilities (n,) of class 1 of two, else (n, problems), of patches (n, channels, side, side)."""
        features = [extractor(patches) for extractor in self.extractors]
        sums: list[Any] = [0.0] * self.problems
        for number, (place, problem, weight, intercept) in enumerate(self.members):
            mean, sd, slopes = (getattr(self, f"{name}{number}") for name in ("mean", "sd", "coefficients"))
            logits = ((features[place] - mean) / sd) @ slopes + intercept
            sums[problem] = sums[problem] + weight * torch.sigmoid(logits)
        if self.problems == 1:
            return cast(Tensor, sums[0])
        found = torch.stack(sums, dim=1)
        return found / found.sum(1, keepdim=True) if self.shares else found


def graph(network: Network, dataset: str, table: Tensor, classes: Classes = UNNAMED) -> onnx.ModelProto:
    """The network as an ONNX model of float32: ``patches`` (n, channels, side, side) to ``probability`` (n,).

    The probability is that of class 1; with more classes, or labels, of each of them (n, outputs). The same
    network gives the same bytes on any machine.
    """
    about = network.description
    return _graph(_Probability(network, dataset, table, classes), about.channels, about.side)


def graph_of_mixture(mixture: Mixture, path: Path) -> onnx.ModelProto:
    """The same of the mixture in a file; raises RunError where a member of it is no function of a network."""
    odd = [
        f"{member.name} ({type(member.fitted).__name__.lower()})"
        for member in mixture.members
        if member.extractor is None or not isinstance(member.fitted, Model)
    ]
    if odd:
        raise RunError(
            ", ".join(dict.fromkeys(odd)), file=path,
            expected="nothing but linear classifiers of networks, which ONNX can hold",
            remedy="predict with it, python -m model.predict, or leave these out of its candidates",
        )  # fmt: skip
    return _graph(Stacked(mixture), mixture.channels, mixture.side)


def _graph(module: nn.Module, channels: int, side: int) -> onnx.ModelProto:
    example = torch.zeros(2, channels, side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        logging.disable(
            logging.WARNING
        )  # of torch and onnxscript: what they optimize, and what else they could
        try:
            program = torch.onnx.export(
                module.eval(), (example,), input_names=[INPUT], output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("n")},), opset_version=OPSET, verbose=False,
            )  # fmt: skip
        finally:
            logging.disable(logging.NOTSET)
    assert program is not None
    model = program.model_proto
    model.ir_version = IR_VERSION
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, *model.graph.input,
                 *model.graph.output, model.graph, model):  # fmt: skip
        # Where in whose folders each layer was defined.
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    return model


def results(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """What the methods and states of the runs came to, by the ``…_auc.json`` beside each method's folder."""
    found = {
        (folder.with_name(f"{folder.name}_auc.json"), *(run.card["run"][key] for key in ("method", "state")))
        for run in runs
        for folder in run.model.resolve().parents[:-1]
    }
    for path, method, state in sorted(found):
        if not path.is_file():
            continue
        figures = read(path)
        for line in figures["summary"]:
            if (line["dataset"], line["split"], line["state"]) == (figures["target"], "test", state):
                kept = {key: line[key] for key in (*FIGURES, *BY) if key in line}
                yield {"method": method, "target": figures["target"], "state": state, **kept}


def card(runs: Sequence[Run], dataset: str, files: Mapping[str, Path]) -> dict[str, Any]:
    """All that a user of the exported files needs to know; docs/predict.md says what each key is."""
    how, classes = runs[0].preprocessing(dataset), runs[0].classes(dataset)
    of: Any = classes.names[1] if classes.two else list(classes.names)
    shape = ["n"] if classes.two else ["n", classes.outputs]
    about = runs[0].card["datasets"]
    return {
        "schema": SCHEMA,
        "disclaimer": DISCLAIMER,
        "dataset": dataset,
        "input": {"name": INPUT, "shape": ["n", len(how.channels), how.side, how.side], "type": "float32"},
        "output": {"name": OUTPUT, "shape": shape, "type": "float32", "of": of},
        "classes": about[dataset]["classes"],
        **({"multilabel": True} if classes.multilabel else {}),
        "preprocessing": about[dataset]["preprocessing"],
        "models": [
            {"file": name, "sha256": sha256(path), **run.card["run"],
             **({"pretrained": run.card["weights"]} if "weights" in run.card else {}),
             "training": {other: of["training"] for other, of in run.card["datasets"].items()},
             "fingerprint": run.card["datasets"][dataset]["fingerprint"], **_in_use(run, dataset)}
            for run, (name, path) in zip(runs, files.items(), strict=True)
        ],
        "results": list(results(runs)),
        "collections": {name: of["collection"] for run in runs for name, of in run.card["datasets"].items()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
    }  # fmt: skip


def _in_use(run: Run, dataset: str) -> dict[str, Any]:
    """Its calibration and thresholds, by class or label where there are several; empty where it has none."""
    known = in_use.read([run], dataset).runs
    each = {name: asdict(about) for found in known for name, about in found.items()}
    return {"operating": each.get("", each)} if each else {}


def export(runs: Sequence[Run], dataset: str, out: Path) -> Path:
    """Write the ONNX file of each run and their card to a folder; the path of the card."""
    agree(runs, dataset)
    files = {f"{run.name.replace(' ', '-').replace('/', '-')}.onnx": run for run in runs}
    if len(files) < len(runs):
        names = Counter(run.name for run in runs)
        raise RunError(
            f"{names.most_common(1)[0][0]} twice", expected="runs of different names",
            remedy="export them to folders of their own",
        )  # fmt: skip
    contents = {}
    for name, run in files.items():
        try:
            if MIXTURE in weights.read_about(run.model):
                model = graph_of_mixture(of_run(run, dataset), run.model)
            else:
                network, tables = run.read()
                model = graph(network, dataset, tables[dataset], run.classes(dataset))
        except torch.onnx.OnnxExporterError as error:  # of a network of others, or of one's own
            told = next(filter(None, str(error.__cause__ or error).splitlines()), type(error).__name__)
            raise RunError(
                told, file=run.model, expected="a network that torch can write as ONNX",
                remedy="predict with it, python -m model.predict",
            ) from error  # fmt: skip
        contents[name] = model.SerializeToString(deterministic=True)
    for name, content in contents.items():  # when all could be read
        with atomic(out / name) as beside:
            beside.write_bytes(content)
    about = card(list(files.values()), dataset, {name: out / name for name in files})
    write_text(out / CARD, json.dumps(about, indent=2, allow_nan=False) + "\n")
    write_text(out / model_card.FILE, model_card.written(about, called(runs, dataset)))
    return out / CARD


def write_model_card(runs: Sequence[Run], dataset: str, out: Path) -> Path:
    """Write the model card of runs alone, whether or not ONNX can hold them; its path."""
    agree(runs, dataset)
    about = card(runs, dataset, {run.name: run.model for run in runs})
    write_text(out / model_card.FILE, model_card.written(about, called(runs, dataset)))
    return out / model_card.FILE


def called(runs: Sequence[Run], dataset: str) -> str:
    """What people call models together: their methods, and the data set."""
    return f"{', '.join(dict.fromkeys(run.card['run']['method'] for run in runs))} for {dataset}"


@told()
def main(argv: Sequence[str] | None = None) -> None:
    """Export runs as ONNX files with a card."""
    parser = argparse.ArgumentParser(prog="python -m model.export", description=main.__doc__)
    parser.add_argument(
        "model", type=Path, nargs="+", metavar="RUN",
        help="folders of runs, such as results/typhon/fold0/seed0, or results/typhon for all of its runs",
    )  # fmt: skip
    parser.add_argument(
        "--dataset", help="the data set whose head is exported; default: the target of the run"
    )
    parser.add_argument(
        "--card-only", action="store_true",
        help="write the model card, README.md, of any runs, also of those that ONNX cannot hold",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    options = parser.parse_args(argv)
    set_up(0)
    runs = find(options.model)
    write = write_model_card if options.card_only else export
    path = write(runs, options.dataset or runs[0].card["target"], options.out)
    print(f"{path}: {len(runs)} model{'s' * (len(runs) > 1)}\n{DISCLAIMER}")


if __name__ == "__main__":
    run_cli(main)
