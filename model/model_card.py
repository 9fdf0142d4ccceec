"""A model card in the form of Hugging Face: a YAML head that hubs read, and sections for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from model.report.tabular import as_markdown, marked, text
from pipeline.card import MEASURES

FILE = "README.md"
USE = """```sh
python -m model.predict CASE --model {folders}
```

`CASE` is a DICOM folder, a picture, a volume, or a CSV of cases. An exported file needs onnxruntime and numpy
alone; `export.json` beside it says how patches are cut."""
NOT_FOR = (
    "Any decision about a patient. It was tested on the findings below and on nothing else.",
    "Images unlike those of training (see the ranges below): they are scored and marked, but nobody knows how"
    " well.",
    "Findings that nobody has marked: it scores what it is pointed at and finds nothing by itself.",
)


def written(card: Mapping[str, Any], name: str) -> str:
    """The card of exported runs, from what ``model.export.card`` says of them."""
    parts = [
        "---\n" + yaml.safe_dump(head(card, name), sort_keys=False, allow_unicode=True) + "---",
        f"# {name}",
        f"**{card['disclaimer']}**",
        *(f"## {title}\n\n{body}" for title, body in sections(card) if body),
    ]
    return "\n\n".join(parts) + "\n"


def head(card: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The YAML head; results are those of the target's test."""
    found = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"name": result["target"], "type": "private"},
            "metrics": [
                {"type": "roc_auc", "value": round(result["auroc"], 4), "name": f"AUROC, {result['method']}"}
            ],
        }
        for result in card["results"]
        if result["auroc"] is not None
    ]
    return {
        "license": "other",
        "license_name": "see-data-and-licences",
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["medical-imaging", "research-only", "not-for-diagnosis", card["dataset"]],
        "metrics": ["roc_auc"],
        **({"model-index": [{"name": name, "results": found}]} if found else {}),
    }


def sections(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Title and text of each section; an empty one is left out."""
    how, models = card["preprocessing"], card["models"]
    names = marked(", ".join(card["classes"]))
    folders = " ".join(f"results/{one['method']}/fold{one['fold']}/seed{one['seed']}" for one in models)
    counts = "one model" if len(models) == 1 else f"{len(models)} models, whose mean is the score"
    yield "What it does", f"Scores a finding of {card['dataset']}: {names}. It is {counts}."
    yield "What it is not for", _listed(NOT_FOR)
    yield "How to use it", USE.format(folders=folders)
    yield "How a patch is cut", _table(("key", "value"), [(key, _cell(how[key])) for key in how])
    yield "Training", _table(("run", "data set", "findings", "groups", "of which"), list(_training(models)))
    yield "Results", _results(card["results"])
    yield "Probabilities and thresholds", _operating(models)
    yield "What training looked like", _fingerprint(models[0]["fingerprint"])
    yield "Data and licences", _terms(card)
    yield "Software", ", ".join(f"{name} {version}" for name, version in card["versions"].items())


def _training(models: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for one in models:
        for dataset, of in one["training"].items():
            each = of.get("positives_by") or {"positive": of.get("positives", "")}
            told = ", ".join(f"{count} {name}" for name, count in each.items())
            run = f"{one['method']} fold{one['fold']} seed{one['seed']}"
            yield run, dataset, str(of.get("findings", "")), str(of.get("groups", "")), told


def _results(results: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (one["method"], one["target"], text(one["auroc"], ".3f"), text(one["ci95"], ".3f"), str(one["runs"]),
         str(one["findings"]), str(one.get("positives", one.get("positives_by", ""))))
        for one in results
    ]  # fmt: skip
    if not rows:
        return "None came with it: it was not tested, or the table of its method was not beside it."
    columns = ("method", "target", "test AUROC", "95 % interval", "runs", "findings", "positive")
    return _table(columns, rows) + "\n\nThe interval is for other patients of the same kind, by group."


def _operating(models: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for one in models:
        about = one.get("operating", {})
        for name, of in ({"": about} if "points" in about else about).items():
            run = f"{one['method']} fold{one['fold']} seed{one['seed']}"
            for point in of["points"]:
                rates = [f"{text(point.get(rate), '.3f')} {text(point.get(f'{rate}95'), '.3f')}".strip()
                         for rate in ("sensitivity", "specificity")]  # fmt: skip
                rows.append((run, name, point["point"], text(point["threshold"], ".3f"), *rates))
    if not rows:
        return "None: a score is no probability, since training balances the classes."
    columns = (
        "run",
        "class",
        "threshold by validation",
        "score above",
        "sensitivity, test",
        "specificity, test",
    )
    return _table(columns, rows) + (
        "\n\nA score is no probability until it is calibrated: `model.predict` does so, for the share of"
        " positives in training and, with `--prevalence`, for another."
    )


def _fingerprint(fingerprint: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for channel, known in fingerprint.items():
        for name, value in known.items():
            title, unit = MEASURES.get(name, (name, ""))
            if value is not None:
                shown = " to ".join(f"{end:.4g}" for end in value) if name in MEASURES else ", ".join(value)
                rows.append((channel, title.rstrip(","), f"{shown} {unit}".strip()))
    return _table(("channel", "what", "in training"), rows)


def _terms(card: Mapping[str, Any]) -> str:
    rows = [(name, _joined(of)) for name, of in card["collections"].items()]
    rows += [
        ("pretrained weights", _joined(of)) for one in card["models"] for of in one.get("pretrained", ())
    ]
    return _table(("what", "terms"), list(dict.fromkeys(rows)))


def _joined(terms: Mapping[str, str]) -> str:
    return "; ".join(str(value) for value in terms.values()) or "unknown: ask whoever gave you the data"


def _cell(value: Any) -> str:
    return (
        ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
    )


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    made = as_markdown(columns, rows, [False] * len(columns), "", ())
    return made.partition("\n\n")[2].strip()
