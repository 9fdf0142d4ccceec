"""The public logs of Hydra, through our format; the expected numbers are those of its paper and its logs."""

from pathlib import Path

import pandas as pd
import pytest

from model.training.records import HISTORY_COLUMNS
from papers import recount
from papers.replay import main, read_logs
from pipeline.errors import ColumnError, ConfigError, EmptyError, InputError, RawMissingError
from pipeline.files import read_csv
from workflow import raw

HEADER = "epoch,DS2/Full/NbEpoch2000/LearningRate1e-08/Training/auc,DS2/Full/NbEpoch2000/LearningRate1e-08/Training/loss"
OWN = "hydra_20200301_DS2Full_B_1e-8_0.3_2000.csv"
REFERENCE = "hydra_DS2_Brain_Full_gp_validation.csv"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / OWN).write_text(f"{HEADER}\n0,0.50000001,0.70\n1,0.6,0.5\n")
    (tmp_path / REFERENCE).write_text("epoch,loss,auc\n0,0.600000,0.7\n1,0.500000,0.8\n")
    return tmp_path


def test_a_log_becomes_a_history_value_by_value(logs: Path) -> None:
    main([str(logs), "--out", str(logs / "published")])
    table = read_csv(logs / "published" / "hydra" / "history.csv")
    assert tuple(table) == HISTORY_COLUMNS
    assert table.drop(columns="phase").to_numpy().tolist() == [
        ["0", "brain", "train", "auroc", "0.50000001"],
        ["0", "brain", "train", "loss", "0.70"],
        ["0", "prostatex", "validation", "reference_loss", "0.600000"],
        ["0", "prostatex", "validation", "reference_auroc", "0.7"],
        ["0", "brain", "train", "samples", "36000"],
        ["1", "brain", "train", "auroc", "0.6"],
        ["1", "brain", "train", "loss", "0.5"],
        ["1", "prostatex", "validation", "reference_loss", "0.500000"],
        ["1", "prostatex", "validation", "reference_auroc", "0.8"],
        ["1", "brain", "train", "samples", "72000"],
    ]
    assert set(table["phase"]) == {"DS2/Full"}
    assert read_csv(logs / "published" / "transfer" / "history.csv").empty  # of which there is no log


def test_a_frozen_phase_comes_before_the_full_one_of_its_data_set(logs: Path) -> None:
    for name in ("DS2_Brain_Frozen", "DS1_Prostate_Full"):
        (logs / f"hydra_{name}_gp_training.csv").write_text("epoch,auc\n0,0.5\n")
    phases = list(dict.fromkeys(curve.phase for curve in read_logs(logs)["hydra"]))
    assert phases == ["DS1/Full", "DS2/Frozen", "DS2/Full"]


def test_in_the_first_phase_the_reference_is_what_trains(tmp_path: Path) -> None:
    (tmp_path / "standard_TL_DS1_Prostate_Full_gp_validation.csv").write_text("epoch,auc\n0,0.5\n")
    found = [(curve.split, curve.metric) for curve in read_logs(tmp_path)["transfer"]]
    assert found == [("validation", "reference_auroc"), ("validation", "auroc")]


class TestRefused:
    def test_a_folder_without_logs(self, tmp_path: Path) -> None:
        (tmp_path / "other.csv").write_text("a\n1\n")
        for folder in (tmp_path, tmp_path / "none"):
            with pytest.raises(EmptyError, match="expected logs of Hydra's public repository"):
                read_logs(folder)

    @pytest.mark.parametrize(
        ("name", "old", "new", "error", "message"),
        [
            (
                OWN,
                "/auc",
                "/speed",
                ColumnError,
                "found DS2/Full/NbEpoch2000/LearningRate1e-08/Training/speed",
            ),
            (OWN, "epoch,", "step,", ColumnError, "expected a column epoch"),
            (REFERENCE, "auc", "AUC", ColumnError, r"expected columns loss, accuracy, .*, found AUC"),
            (REFERENCE, "0.8", "high", InputError, "expected numbers, found 'high' in line 3, auc"),
            (REFERENCE, "0.8", "", InputError, "expected numbers, found '' in line 3, auc"),
            (
                REFERENCE,
                "1,0.5",
                "0,0.5",
                InputError,
                "found DS2/Full prostatex validation reference_loss twice",
            ),
        ],
    )
    def test_a_log_that_is_not_understood(
        self, logs: Path, name: str, old: str, new: str, error: type[Exception], message: str
    ) -> None:
        path = logs / name
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(error, match=message):
            read_logs(logs)

    def test_two_logs_of_one_phase(self, logs: Path) -> None:
        (logs / OWN.replace("0301", "0302")).write_bytes((logs / OWN).read_bytes())
        with pytest.raises(InputError, match="DS2/Full brain train auroc twice"):
            read_logs(logs)


@pytest.fixture(scope="module")
def published(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    folder = shared / "hydra-published"
    if not list(folder.glob("*_gp_*.csv")):
        pytest.skip(f"no published logs at {folder}")
    out = tmp_path_factory.mktemp("published")
    main([str(folder), "--out", str(out)])
    tables = {method: read_csv(out / method / "history.csv") for method in ("hydra", "transfer")}
    return {method: table.astype({"epoch": int, "value": float}) for method, table in tables.items()}


def curve(table: pd.DataFrame, phase: str, split: str, metric: str) -> pd.Series:
    rows = table[(table["phase"] == phase) & (table["split"] == split) & (table["metric"] == metric)]
    assert len(rows) == 2000
    return rows.set_index("epoch")["value"]


HYDRA = ("DS1/Full", "DS2/Frozen", "DS2/Full", "DS3/Frozen", "DS3/Full", "DS4/Frozen", "DS4/Full")
TRANSFER = ("DS1/Full", "DS2/Full", "DS3/Full", "DS4/Full")
FLAT = None


class TestPublished:
    def test_the_phases_come_in_their_order(self, published: dict[str, pd.DataFrame]) -> None:
        assert tuple(dict.fromkeys(published["hydra"]["phase"])) == HYDRA
        assert tuple(dict.fromkeys(published["transfer"]["phase"])) == TRANSFER

    def test_the_first_row_of_hydras_table_1(self, published: dict[str, pd.DataFrame]) -> None:
        for metric in ("auroc", "reference_auroc"):
            values = curve(published["hydra"], "DS1/Full", "validation", metric)
            assert values.idxmax() == 527
            assert int(values.max() * 10_000) / 10_000 == 0.7334  # the paper cuts, it does not round
        accuracy = curve(published["hydra"], "DS1/Full", "validation", "accuracy")
        assert accuracy[527] == pytest.approx(0.6375219683655536, abs=1e-6)

    def test_no_curve_of_the_reference_moves_in_a_frozen_phase(
        self, published: dict[str, pd.DataFrame]
    ) -> None:
        table = published["hydra"]
        frozen = table[table["phase"].str.endswith("Frozen") & table["metric"].str.startswith("reference_")]
        values = frozen.groupby(["phase", "split", "metric"])["value"]
        assert len(values) == 3 * 2 * 7
        assert (values.max() - values.min()).max() < 1e-6
        full = table[table["phase"].str.endswith("Full") & (table["metric"] == "reference_auroc")]
        moved = full.groupby(["phase", "split"])["value"]
        assert (moved.max() - moved.min()).min() > 0.01

    def test_the_first_frozen_level_is_the_best_of_the_first_phase(
        self, published: dict[str, pd.DataFrame]
    ) -> None:
        best = curve(published["hydra"], "DS1/Full", "validation", "reference_auroc").max()
        level = curve(published["hydra"], "DS2/Frozen", "validation", "reference_auroc")[0]
        assert level == pytest.approx(best, abs=0.005)  # .7345 and .7334: the head was of the last epoch

    @pytest.mark.parametrize(
        ("method", "phase", "split", "first", "best", "epoch", "last"),
        [
            ("hydra", "DS1/Full", "validation", 0.5367, 0.7334, 527, 0.6590),
            ("hydra", "DS2/Frozen", "validation", 0.7345, 0.7345, FLAT, 0.7345),
            ("hydra", "DS2/Full", "validation", 0.5472, 0.7521, 1362, 0.7297),
            ("hydra", "DS3/Frozen", "validation", 0.6264, 0.6264, FLAT, 0.6264),
            ("hydra", "DS3/Full", "validation", 0.7597, 0.7604, 5, 0.6723),
            ("hydra", "DS4/Frozen", "validation", 0.7578, 0.7578, FLAT, 0.7578),
            ("hydra", "DS4/Full", "validation", 0.7490, 0.7639, 1827, 0.7603),
            ("hydra", "DS1/Full", "train", 0.5635, None, None, 0.7387),
            ("hydra", "DS2/Frozen", "train", 0.6947, 0.6947, FLAT, 0.6947),
            ("hydra", "DS2/Full", "train", 0.6473, 0.6813, 53, 0.6549),
            ("hydra", "DS3/Frozen", "train", 0.6697, 0.6697, FLAT, 0.6697),
            ("hydra", "DS3/Full", "train", 0.6248, 0.6345, 744, 0.6239),
            ("hydra", "DS4/Frozen", "train", 0.6283, 0.6283, FLAT, 0.6283),
            ("hydra", "DS4/Full", "train", 0.6506, None, None, 0.6911),
            ("transfer", "DS1/Full", "validation", 0.5387, 0.7347, 524, 0.6640),
            ("transfer", "DS2/Full", "validation", 0.5369, 0.5431, 566, 0.3826),
            ("transfer", "DS3/Full", "validation", 0.4121, 0.6637, 884, 0.5963),
            ("transfer", "DS4/Full", "validation", 0.8242, 0.8611, 51, 0.6614),
        ],
    )  # fmt: skip
    def test_every_curve_of_figure_4b(
        self, published: dict[str, pd.DataFrame], method: str, phase: str, split: str,
        first: float, best: float | None, epoch: int | None, last: float,
    ) -> None:  # fmt: skip
        values = curve(published[method], phase, split, "reference_auroc")
        assert values[0] == pytest.approx(first, abs=6e-5)
        assert values[1999] == pytest.approx(last, abs=6e-5)
        if best is not None:
            assert values.max() == pytest.approx(best, abs=6e-5)
        if epoch is not FLAT:
            assert values.idxmax() == epoch

    @pytest.mark.parametrize(
        ("phase", "dataset", "first", "last"),
        [
            ("DS1/Full", "prostatex", 0.5635, 0.7387), ("DS2/Frozen", "brain", 0.5249, 0.8184),
            ("DS2/Full", "brain", 0.7878, 0.9682), ("DS3/Frozen", "lungx", 0.6002, 0.7031),
            ("DS3/Full", "lungx", 0.6787, 0.9010), ("DS4/Frozen", "prostatex", 0.6350, 0.6681),
            ("DS4/Full", "prostatex", 0.6876, 0.7297),
        ],
    )  # fmt: skip
    def test_every_training_curve_of_hydra(
        self, published: dict[str, pd.DataFrame], phase: str, dataset: str, first: float, last: float
    ) -> None:
        table = published["hydra"]
        values = curve(table, phase, "train", "auroc")
        assert values[0] == pytest.approx(first, abs=6e-5)
        assert values[1999] == pytest.approx(last, abs=6e-5)
        own = table[(table["phase"] == phase) & (table["metric"] == "auroc") & (table["split"] == "train")]
        assert set(own["dataset"]) == {dataset}

    def test_the_samples_of_all_phases_are_those_of_the_recount(
        self, published: dict[str, pd.DataFrame]
    ) -> None:
        for method, expected in (("hydra", recount.hydra()), ("transfer", recount.transfer())):
            samples = published[method][published[method]["metric"] == "samples"]
            assert samples.groupby("dataset")["value"].max().sum() == expected

    def test_rates_are_fractions_of_the_published_counts(self, published: dict[str, pd.DataFrame]) -> None:
        # Recall comes in 12,654ths and specificity in 12,660ths: 57 lesions of 222 views, 211 of 60.
        table = published["hydra"]
        for metric, count in (("recall", 57 * 222), ("specificity", 211 * 60)):
            values = curve(table, "DS1/Full", "train", metric) * count
            assert (values - values.round()).abs().max() < 1e-2


class TestRecount:
    """By hand, from the papers' epochs, batches and numbers of images."""

    def test_patches(self) -> None:
        assert recount.patches(211, 57, 60) == 12_660 + 12_654 == recount.PATCHES["prostatex"]
        assert recount.patches(19, 8, 60) == 1_140 + 1_136 == recount.VALIDATION["prostatex"]
        assert recount.patches(3, 3, 5) == 30
        assert recount.PATCHES["brain"] == (104 + 76) * 200
        assert recount.PATCHES["lungx"] == (32 + 33) * 240
        assert recount.VALIDATION["brain"] == (26 + 20) * 200
        assert recount.VALIDATION["lungx"] == (7 + 9) * 240

    def test_classical_is_as_printed(self) -> None:
        assert recount.classical() == 2000 * 25_314 == 50_628_000  # printed: 50M

    def test_hydra_is_as_printed(self) -> None:
        # 25,314 once, and 36,000 + 15,600 + 25,314 = 76,914 frozen and in full; printed: 356M
        assert recount.hydra() == 2000 * (25_314 + 2 * 76_914) == 358_284_000

    def test_transfer_lacks_its_first_phase_in_print(self) -> None:
        assert recount.transfer() == 2000 * (25_314 + 76_914) == 204_456_000
        assert recount.passes(["brain", "lungx", "prostatex"]) == 153_828_000  # printed: 152M

    def test_typhon_is_printed_ten_times_too_large(self) -> None:
        own = recount.typhon()
        assert own["training"] == 10_000 * 3 * 8 == 240_000
        assert own["specialization"] == 300 * 25_314 == 7_594_200
        assert recount.trained()["typhon"] == 7_834_200  # printed: 78M
        assert own["bootstrap"] == 200 * (76_914 + 15_316) == 18_446_000

    def test_the_percentages_of_typhon(self) -> None:
        assert pytest.approx(0.56) == 78 / 50 - 1  # of the caption
        assert pytest.approx(0.54, abs=2e-3) == 78 / 50.6 - 1  # of the abstract
        found = recount.trained()
        assert found["typhon"] / found["classical"] - 1 == pytest.approx(-0.845, abs=1e-3)
        assert found["typhon"] / found["hydra"] - 1 == pytest.approx(-0.978, abs=1e-3)


class TestConfig:
    def test_a_folder_that_is_not_named_or_has_no_logs_is_said_before_any_job(self, logs: Path) -> None:
        with pytest.raises(ConfigError) as unnamed:
            raw.logs({"published": None})
        assert str(unnamed.value) == (
            "E-CONFIG published: expected the folder of the public logs of Hydra, found null"
        )
        with pytest.raises(RawMissingError) as absent:
            raw.logs({"published": str(logs / "none")})
        said = f"E-RAW {logs / 'none'}: expected the logs of Hydra's public repository"
        assert str(absent.value).startswith(said)
        assert raw.logs({"published": str(logs)})

    def test_other_tables_in_the_folder_are_left_alone(self, logs: Path) -> None:
        (logs / "mine.csv").write_text("a\n")
        assert [path.name for path in raw.logs({"published": str(logs)})] == [OWN, REFERENCE]
