"""All config keys as a table, ``config/README.md``, and for editors: ``python -m workflow.table --write``."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.files import write_text
from pipeline.provenance import ROOT
from workflow import plain
from workflow.config import schema
from workflow.config.collections import KINDS, Collection
from workflow.config.methods import Pretraining

HEADING = """\
<!-- Generated from workflow/config/: python -m workflow.table --write -->
# Configuration

`config/config.yaml` is the papers' experiment with learning rates that move the weights. Another file
overrides it key by key: `./run --configfile config/paper.yaml`. Lists replace, mappings merge, and
`--config 'seeds=[0, 1]'` sets single keys. An unknown key is refused; the error names the nearest known one.

| file | content |
|---|---|
| [config.yaml](config.yaml) | PROSTATEx with LUNGx and brain MRI, 10,000 epochs, five seeds |
| [paper.yaml](paper.yaml) | the same exactly as published, including oddities |
| [thesis.yaml](thesis.yaml) | the first part of the thesis: three channels, PROSTATEx alone, the challenge |
| [demo.yaml](demo.yaml) | synthetic data, minutes on two cores: `./run demo` |
| [three-sets.yaml](three-sets.yaml) | brain MRI, breast ultrasound and chest X-rays, no DICOM needed |
| [targeted-transfer.yaml](targeted-transfer.yaml) | Romero et al. on chest X-rays: `./run targeted` |
| [demo-chest.yaml](demo-chest.yaml) | the same on synthetic data, in minutes |
| [study.yaml](study.yaml), [study.csv](study.csv) | the [study](../docs/study.md), and its runs |
| [datasets.csv](datasets.csv) | where to get each collection: DOI, licence, size, citation |
| [schema.json](schema.json) | all keys, for editors: `# yaml-language-server: $schema=schema.json` |
| [labels.csv](labels.csv) | label files of the collections: SHA-256, and the address or how to get them |
| [publications.csv](publications.csv) | papers of methods and data sets, for `./run cite` |

If the published way differs from the right one, a key takes the value `paper`; the default is right.
"""


STEP_SECTIONS = ("/Step", "/Tuning", "/Pretraining")
"""How references to the settings of a step end."""


def rows(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key below ``properties`` with its path and its part of the schema, but for steps of methods."""
    for name, child in properties.items():
        part, path = schema.resolve(child), f"{prefix}{name}"
        if "properties" in part and not child.get("$ref", "").endswith(STEP_SECTIONS):
            if schema.NULL in child.get("anyOf", ()):
                yield path, {**part, "properties": {}}
            for below, inner in rows(part["properties"], f"{path}/"):
                absent = below.removeprefix(f"{path}/") not in part.get("required", ())
                yield below, {**inner, "absent": absent}
        else:
            yield path, part


def table(properties: Mapping[str, Any]) -> str:
    """The keys below ``properties`` as a table in Markdown."""
    lines = ["| key | type and range | unit | default | meaning |", "|---|---|---|---|---|"]
    for path, part in rows(properties):
        default = "see below" if part.get("properties") else f"`{plain.spell(part.get('default'))}`"
        needed = "may be left out" if part.get("absent") else "required"
        cells = [
            f"`{path}`",
            schema.describe(part),
            part.get("unit", ""),
            default if "default" in part or part.get("properties") else needed,
            part.get("description", ""),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def readme() -> str:
    """What config/README.md has to say."""
    whole, defs = schema.load(), schema.load()["$defs"]
    common = {name: defs[min(KINDS)]["properties"][name] for name in Collection.model_fields}
    common.pop("extent")  # whose default is of each kind
    steps = "The defaults of a step; `config/config.yaml` sets others for most steps."
    parts = [HEADING, "## Keys", "", table(whole["properties"])]
    parts += ["", "## `hyperparameters/{method}/{step}`", "", steps, "", table(defs["Step"]["properties"])]
    usual, tuned = (defs[name]["properties"] for name in ("Step", "Tuning"))
    others = [
        f"`{key}: {plain.spell(part['default'])}`" for key, part in tuned.items()
        if part["default"] != usual[key]["default"]
    ]  # fmt: skip
    parts += ["", f"`finetune/training` has other defaults: {', '.join(others)}."]
    parts[-1] += f" `pretrain/training` has the same, with `batch_size: {Pretraining().batch_size}`."
    parts += ["", "## `collections/{dataset}`", "", "Keys of every kind of data set.", "", table(common)]
    for kind in KINDS:
        keys, text = defs[kind]["properties"], defs[kind]["description"]
        own = {name: part for name, part in keys.items() if name not in {"kind", *common}}
        parts += ["", f"## `collections/{{dataset}}` of `kind: {kind}`", ""]
        parts += [f"{text[:1].upper()}{text[1:]}.", "", table(own)]
    return "\n".join(parts) + "\n"


def json_schema() -> str:
    """What config/schema.json has to say: of files that are laid over another, so that no key is required."""
    return json.dumps(_partial(schema.load()), indent=1, ensure_ascii=False) + "\n"


def _partial(part: Any) -> Any:
    if isinstance(part, list):
        return [_partial(child) for child in part]
    if not isinstance(part, dict):
        return part
    names = {"oneOf": "anyOf"}  # several kinds of data sets fit an entry that does not say its kind
    return {names.get(name, name): _partial(child) for name, child in part.items() if name != "required"}


def main(argv: Sequence[str] | None = None) -> None:
    """Print config/README.md, or write it and the JSON schema beside it."""
    parser = argparse.ArgumentParser(prog="python -m workflow.table", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write config/README.md and schema.json")
    if parser.parse_args(argv).write:
        write_text(ROOT / "config" / "README.md", readme())
        write_text(ROOT / "config" / "schema.json", json_schema())
    else:
        print(readme(), end="")


if __name__ == "__main__":
    main()
