"""Candidates chosen and stacked as a run: its files, its model file, a prediction, a challenge, a table."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from model import export, predict
from model.baselines import auto, embeddings, measure, mixture, nearest, radiomics, unlabelled
from model.evaluation import score
from model.evaluation.predictions import COLUMNS
from model.files import runs, weights
from model.report import candidates, saliency
from pipeline import card as data_card
from pipeline.card import Preprocessing
from pipeline.errors import ConfigError, InputError, StoreError
from pipeline.files import read_csv
from pipeline.store import read_embeddings, read_patches
from tests.stores import make_store

SIDE = 65
LEARNERS = {
    "small": [("l2", 1e-3), ("l2", 0.01)],
    "smaller": [("neighbours", 5)],
    "radiomics": [("l1", 0.1), ("forest", 1)],
    "intensity": [("l2", 0.01)],
}


def features(store: Path, folder: Path) -> list[Path]:
    """The features of each candidate, the network's with random weights: it takes no time."""
    for name, side, kind in (("small", "65", "layers"), ("smaller", "48", "last")):
        embeddings.main(["--store", str(store), "--encoder", name, "--network", "papers", "--weights", "random", "--side", side,
                         "--features", kind, "--views", "2", "--checkpoint", str(folder / "checkpoint"), "--out", str(folder / f"{name}.h5")])  # fmt: skip
    for name in ("radiomics", "intensity"):
        measure.main(["--store", str(store), "--features", name, "--out", str(folder / f"{name}.h5")])
    return [folder / f"{name}.h5" for name in LEARNERS]


def run(
    folder: Path,
    store: Path,
    split: Path,
    paths: list[Path],
    names: list[str],
    method: str = "auto",
    *more: str,
) -> Path:
    """A run of these candidates, as its rule has it."""
    how = Preprocessing("table", ("channel0",), "40 px", None, "series", "geometry", 2, 0, 2)
    fingerprint = {**{name: ["image"] for name in data_card.KINDS}, **{name: [0.0, 1.0] for name in data_card.MEASURES}}  # fmt: skip
    card = {"collection": {}, "classes": ["no", "yes"], "preprocessing": asdict(how), "training": {"findings": 16},
            "fingerprint": {"channel0": fingerprint},
            "with_validation": {"training": {"findings": 24}, "fingerprint": {"channel0": fingerprint}}}  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card))
    out = folder / f"results/{method}/fold0/seed0"
    auto.main(
        ["--candidates", *names, "--features", *(str(path) for path in paths if path.stem in names),
         "--learners", json.dumps(LEARNERS), "--folds", "3", "--seed", "0", "--method", method, "--target", "a",
         "--state", "last", "--data-card", str(folder / "card.json"), "--stores", str(store), "--splits", str(split),
         "--out", str(out / "predictions.csv"), "--best", str(out / "best/predictions.csv"),
         "--models", str(out / "model.safetensors"), str(out / "best/model.safetensors"),
         "--run", str(out / "run.json"), "--card", str(out / "card.json"), "--nearest", str(out / "nearest.safetensors"), *more]
    )  # fmt: skip
    return out


class Made:
    """A store, its split, the features of four candidates, and a run of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store, self.split = make_store(folder, "a", train=24, validation=8, test=12, signal=0.4)
        self.paths = features(self.store, folder)
        self.run = run(folder, self.store, self.split, self.paths, list(LEARNERS))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


def table(out: Path) -> pd.DataFrame:
    return read_csv(out / "predictions.csv").astype({"view": int, "label": int, "score": float})


def patches_of(made: Made, rows: pd.DataFrame) -> np.ndarray:
    """The patch of each row of predictions.csv."""
    findings = [int(patient) for patient in rows["patient_id"]]
    return read_patches(made.store, findings, [3] * len(findings)).reshape(len(findings), 3, 1, SIDE, SIDE)[
        np.arange(len(findings)), rows["view"]
    ]


class TestRun:
    def test_it_writes_what_a_run_of_a_network_writes(self, made: Made) -> None:
        found = table(made.run)
        assert list(found) == COLUMNS
        assert len(found) == (24 + 8 + 12) * 2  # as many views as every candidate has seen
        for name in ("predictions.csv", "model.safetensors"):
            assert (made.run / name).read_bytes() == (made.run / "best" / name).read_bytes()
        about = json.loads((made.run / "run.json").read_text())
        assert about["trained"] == {"a": 64}  # two views of 24 + 8 findings
        card = json.loads((made.run / "card.json").read_text())
        assert card["datasets"]["a"]["training"] == {"findings": 24}  # validation findings were learned from
        assert "with_validation" not in card["datasets"]["a"]
        assert "weights" not in card  # random ones have no terms
        model = about["model"]
        assert set(model["candidates"]) == set(LEARNERS)
        assert sum(one["weight"] for one in model["candidates"].values()) == pytest.approx(1)
        assert set(model["members"]) == {name for name, one in model["candidates"].items() if one["weight"]}
        assert model["inner"]["auroc"] > 0.6

    def test_its_model_file_gives_new_patches_the_scores_of_the_run(self, made: Made) -> None:
        found = table(made.run).query("split == 'test'")
        (one,) = runs.find([made.run])
        again = mixture.score(one, "a", patches_of(made, found))[:, 0]
        np.testing.assert_allclose(again, found["score"], atol=1e-6)

    def test_each_kind_of_candidate_alone_is_a_run_that_predicts(self, made: Made, tmp_path: Path) -> None:
        for name in LEARNERS:
            (folder := tmp_path / name).mkdir()
            out = run(folder, made.store, made.split, made.paths, [name], method="one")
            found = table(out).query("split == 'test'")
            (one,) = runs.find([out])
            np.testing.assert_allclose(mixture.score(one, "a", patches_of(made, found))[:, 0], found["score"], atol=1e-6)  # fmt: skip
            assert json.loads((out / "run.json").read_text())["model"]["candidates"][name]["weight"] == 1

    def test_the_same_input_gives_the_same_bytes(self, made: Made, tmp_path: Path) -> None:
        again = run(tmp_path, made.store, made.split, made.paths, list(LEARNERS))
        for name in ("predictions.csv", "model.safetensors", "card.json"):
            assert (again / name).read_bytes() == (made.run / name).read_bytes()

    def test_test_findings_teach_nothing_and_validation_its_own_scores_nothing(
        self, made: Made, tmp_path: Path
    ) -> None:
        """With the labels of the test turned round, no score changes; with those of validation, test scores do."""
        before, key = table(made.run), ["split", "patient_id", "view"]
        changed = {}
        for turned in ("validation", "test"):
            (folder := tmp_path / turned).mkdir()
            store, split = make_store(folder, "a", train=24, validation=8, test=12, signal=0.4, turned=turned)
            out = run(folder, store, split, features(store, folder), list(LEARNERS))
            both = before.set_index(key)["score"].sub(table(out).set_index(key)["score"]).abs() > 1e-9
            changed[turned] = set(both[both].index.get_level_values("split"))
        assert changed["test"] == set()
        assert "test" in changed["validation"]

    def test_the_card_counts_what_was_learned_from_within_a_budget(self, made: Made, tmp_path: Path) -> None:
        """Of 24 and 8 findings 16 are to learn from: 12 and 4, half of them positive, with two views each."""
        out = run(tmp_path, made.store, made.split, made.paths, ["intensity"], "auto", "--budget", "a=16")
        card = json.loads((out / "card.json").read_text())
        assert card["run"]["budget"] == {"a": 16}
        assert card["datasets"]["a"]["training"] | {"views": 0} == {
            "findings": 16, "positives": 8, "groups": 16, "views": 0,
        }  # fmt: skip
        assert table(out).groupby("split")["finding_id"].count()["train"] == 12 * 3  # views of the test

    def test_too_few_groups_for_inner_folds_still_give_a_run(self, tmp_path: Path) -> None:
        store, split = make_store(tmp_path, "a", train=3, validation=0, test=4)  # labels 0, 1, 0
        out = run(tmp_path, store, split, features(store, tmp_path), ["small", "intensity"])
        about = json.loads((out / "run.json").read_text())["model"]
        assert about["inner"] == {"auroc": None, "stack": None, "best": None}
        assert about["candidates"]["small"]["weight"] == 1
        assert len(table(out)) == 4 * 2

    def test_validation_without_inner_folds_is_scored_by_a_fit_on_training_alone(
        self, tmp_path: Path
    ) -> None:
        store, split = make_store(tmp_path, "a", train=2, validation=1, test=2)  # labels 0, 1 and 0
        out = run(tmp_path, store, split, features(store, tmp_path), ["intensity"])
        assert table(out).groupby("split").size().to_dict() == {"test": 6, "validation": 3}

    def test_features_of_another_store_are_refused(self, made: Made, tmp_path: Path) -> None:
        store, split = make_store(tmp_path, "b", train=24, validation=8, test=12)
        with pytest.raises(StoreError, match=r"E-STORE .*small.h5: expected the embeddings of .*b.h5"):
            run(tmp_path, store, split, made.paths, list(LEARNERS))


class TestUse:
    def test_networks_of_the_same_weights_are_written_once(self, made: Made, tmp_path: Path) -> None:
        """EfficientNet does not know the side of its patches, so that one file holds it for two sizes."""
        network = embeddings.encoder(
            embeddings.Description("efficientnet_lite0", 1, SIDE, resized=96), "random"
        )[0]
        other = embeddings.encoder(
            embeddings.Description("efficientnet_lite0", 1, SIDE, resized=64), "random"
        )[0]
        fitted = auto.Learner("neighbours", 3).fit(_measured(made, 1280))
        members = [
            mixture.Member(name, fitted, 0.5, one.description, one.extractor)
            for name, one in (("large", network), ("small", other))
        ]
        mixture.write(tmp_path / "model.safetensors", mixture.Mixture(members, 1, SIDE))
        names = weights.read_tensors(tmp_path / "model.safetensors")
        assert {name.split(".")[1] for name in names if name.startswith("extractors.")} == {"0"}
        again = mixture.read(tmp_path / "model.safetensors", 1, SIDE)
        shown = np.random.default_rng(0).normal(size=(2, 1, SIDE, SIDE)).astype("f4")
        np.testing.assert_array_equal(again.scores(shown), mixture.Mixture(members, 1, SIDE).scores(shown))

    def test_a_network_that_sees_channels_apart_is_read_as_it_was_written(
        self, made: Made, tmp_path: Path
    ) -> None:
        network, _ = embeddings.encoder(embeddings.Description("papers", 2, SIDE, apart=True), "random")
        fitted = auto.Learner("neighbours", 3).fit(_measured(made, 2 * 256))
        member = mixture.Member("small", fitted, 1.0, network.description, network.extractor)
        mixture.write(tmp_path / "model.safetensors", mixture.Mixture([member], 2, SIDE))
        (again,) = mixture.read(tmp_path / "model.safetensors", 2, SIDE).members
        patches = np.random.default_rng(0).standard_normal((3, 2, SIDE, SIDE)).astype("f4")
        assert member.measure(patches).shape == (3, 2 * 256)
        np.testing.assert_array_equal(again.measure(patches), member.measure(patches))
        swapped = np.roll(member.measure(patches), 256, axis=1)
        np.testing.assert_array_equal(again.measure(patches[:, ::-1].copy()), swapped)

    def test_a_picture_is_predicted(
        self, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from PIL import Image

        pixels = np.random.default_rng(0).integers(0, 255, (80, 80)).astype("u1")
        Image.fromarray(pixels).save(tmp_path / "case.png")
        words = [str(tmp_path / "case.png"), "--model", str(made.run), "--out", str(tmp_path / "out")]
        predict.main([*words, "--saliency", "--nearest", "2"])
        with Image.open(tmp_path / "out/saliency.png") as picture:
            red, _, blue, _ = np.moveaxis(np.asarray(picture.convert("RGBA")).astype(int), -1, 0)
            assert np.abs(red - blue).max() > 40  # not grey
            assert set(picture.info) <= {"dpi"}
        found = json.loads((tmp_path / "out/prediction.json").read_text())
        assert 0 <= found["score"] <= 1
        assert found["views"]["count"] == 2
        assert len(found["nearest"]["findings"]) == 2
        said = capsys.readouterr().out
        assert "probability" in said
        one = found["nearest"]["findings"][0]
        assert (
            f"nearest  {one['distance']:.1f} {one['label']}, patient {one['patient_id']} finding 1\n" in said
        )
        predict.main(words)
        assert "nearest" not in json.loads((tmp_path / "out/prediction.json").read_text())
        with pytest.raises(ConfigError, match="--nearest: expected a whole number from 0, found -1"):
            predict.main([*words, "--nearest", "-1"])

    def test_a_training_finding_is_nearest_to_itself(self, made: Made) -> None:
        (one,) = runs.find([made.run])
        for number in (3, 30):  # of training, and of validation, which is learned from as well
            patches = read_patches(made.store, [number], [2])
            found = nearest.of_case(one, "a", patches, 3)
            first, second, _ = found["findings"]
            assert (first["patient_id"], first["label"]) == (f"{number:04d}", ["no", "yes"][number % 2])
            assert first["distance"] < 0.02 < found["usual"] / 100 < second["distance"]
        assert not {"0032", "0043"} & {each["patient_id"] for each in nearest.read(made.run / nearest.FILE)[0].findings}  # fmt: skip

    def test_only_the_file_of_training_findings_names_people(self, made: Made, tmp_path: Path) -> None:
        for name in ("model.safetensors", "card.json", "best/model.safetensors"):
            assert b"patient_id" not in (made.run / name).read_bytes()
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes((made.run / name).read_bytes())
        (one,) = runs.find([tmp_path])
        assert one.folder == tmp_path
        with pytest.raises(runs.RunError, match=r"found no nearest\.safetensors of auto fold0 seed0; predict without"):  # fmt: skip
            nearest.of_case(one, "a", read_patches(made.store, [0], [2]), 3)

    @pytest.mark.parametrize("name", ["radiomics", "smaller"])
    def test_an_export_says_which_candidates_cannot_be_exported(
        self, made: Made, tmp_path: Path, name: str
    ) -> None:
        """Features that no network makes, and neighbours of those that one does."""
        out = run(tmp_path, made.store, made.split, made.paths, [name])
        with pytest.raises(runs.RunError, match=rf"E-RUN .*found {name} \(\w+\); predict with it"):
            export.main([str(out), "--out", str(tmp_path / "onnx")])
        assert not (tmp_path / "onnx").exists()

    def test_an_export_of_networks_gives_the_scores_of_the_run(self, made: Made, tmp_path: Path) -> None:
        """Two regressions on one network, of which both count."""
        (one,) = runs.find([run(tmp_path, made.store, made.split, made.paths, ["small"], method="svm")])
        known = mixture.read(one.model, 1, SIDE).members[0]
        assert known.network is not None
        other = replace(known, name="other", fitted=replace(known.fitted, intercept=0.5), weight=0.25)  # type: ignore[type-var]
        mixture.write(one.model, mixture.Mixture([replace(known, weight=0.75), other], 1, SIDE))
        export.main([str(one.folder), "--out", str(tmp_path / "onnx")])
        session = onnxruntime.InferenceSession(tmp_path / "onnx/svm-fold0-seed0.onnx")
        shown = read_patches(made.store, range(44), [3] * 44)
        expected = mixture.read(one.model, 1, SIDE).scores(shown)[:, 0]
        assert np.ptp(expected) > 0.01
        np.testing.assert_allclose(session.run(None, {"patches": shown})[0], expected, atol=1e-4)

    def test_findings_without_labels_are_scored_by_the_model_file(self, made: Made, tmp_path: Path) -> None:
        store, _ = make_store(tmp_path, "c", train=4, validation=0, test=0, signal=0.4, labelled=False)
        out = tmp_path / "challenge.csv"
        unlabelled.main(["--model", str(made.run / "model.safetensors"), "--target", "a", "--unlabelled", str(store),
                         "--views", "2", "--out", str(out)])  # fmt: skip
        found = read_csv(out)
        assert found["label"].tolist() == [""] * 8
        assert set(found["split"]) == {"challenge"}
        (one,) = runs.find([made.run])
        expected = mixture.score(one, "a", read_patches(store, range(4), [2] * 4))[:, 0]
        np.testing.assert_allclose(found["score"].astype(float), expected, atol=1e-6)

    def test_what_it_goes_by_is_drawn_of_some_test_findings(self, made: Made, tmp_path: Path) -> None:
        from PIL import Image

        saliency.main(
            ["--run", str(made.run), "--store", str(made.store), "--out", str(tmp_path / "one.png")]
        )
        with Image.open(tmp_path / "one.png") as picture:
            assert picture.width > 2 * picture.height  # two classes below each other, four findings each

    def test_its_candidates_are_a_table_beside_its_result(self, made: Made) -> None:
        (made.folder / "data/a/splits").mkdir(parents=True)
        split = made.folder / "data/a/splits/fold0.csv"
        split.write_bytes(made.split.read_bytes())
        figures = score.score("auto", "a", [made.run], [split])
        (result := made.folder / "results/auto_auc.json").write_text(json.dumps(figures))
        out = made.folder / "results/auto_candidates.csv"
        candidates.main(["--runs", str(made.run / "run.json"), "--result", str(result), "--out", str(out)])
        found = read_csv(out)
        assert found["run"].tolist() == ["all"] * 4 + ["fold 0, seed 0"] * 4
        assert found["candidate"].tolist() == [*LEARNERS, *LEARNERS]
        assert found["weight"].astype(float).sum() == pytest.approx(2, abs=0.05)
        inner = json.loads((made.run / "run.json").read_text())["model"]["inner"]["auroc"]
        text = out.with_suffix(".md").read_text()
        assert f"Inner AUROC of what was taken {inner:.3f}, test AUROC {figures['auroc']:.3f}" in text


def _measured(made: Made, width: int) -> auto.Measured:
    """Random numbers of the findings of a store."""
    known = read_embeddings(made.paths[0])
    findings = pd.DataFrame({"patient_id": map(str, range(12)), "finding_id": "1", "label": [0, 1] * 6})
    values = np.random.default_rng(0).normal(size=(12, width))
    assert len(known.features) > 12
    return auto.Measured(values, np.arange(12), np.zeros(12, int), findings.assign(group_id=findings["patient_id"]))  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about, _: about["mixture"].clear(), "weights that add up to 0"),
        (lambda about, _: about["mixture"][0].update(weight=0.5), "weights that add up to 0.5"),
        (lambda about, _: about["mixture"][0].update(fitted="Pickle"), "KeyError"),
        (lambda about, _: about["mixture"][0].update(weight=7), "weight 7"),
        (lambda about, _: about["mixture"][0].update(name="shape"), "shape"),
        (lambda about, _: about.update(side=64), "expected a mixture for 1 channel.s. and patches of 65"),
        (lambda _, tensors: tensors.pop("members.0.median"), "median"),
        (
            lambda _, tensors: tensors.update({"members.0.median": tensors["members.0.median"][1:]}),
            "features|of",
        ),
    ],
)
def test_a_damaged_model_file_is_one_line(made: Made, tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    fitted = auto.Learner("l2", 0.1).fit(_measured(made, len(radiomics.FEATURES)))
    path = tmp_path / "model.safetensors"
    mixture.write(path, mixture.Mixture([mixture.Member("radiomics", fitted, 1.0)], 1, SIDE))
    assert mixture.read(path, 1, SIDE).members[0].name == "radiomics"
    about, tensors = weights.read_about(path), weights.read_tensors(path)
    change(about, tensors)
    path.write_bytes(weights.to_bytes(tensors, **about))
    with pytest.raises(InputError, match=message):
        mixture.read(path, 1, SIDE)
