"""Tests of ``zoo reproduce`` on a small model with a card."""

import json
import re
from dataclasses import replace

import pytest

import zoo
from tests.conftest import FIXTURE, nightly_except
from tests.training.test_training import SMALL
from zoo import artifact, catalog, cli, reproduce, training
from zoo.utils.numbers import with_stderr


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Returns the folder of an artifact that ``zoo publish`` has measured."""
    folder = tmp_path_factory.mktemp("published")
    training.train(SMALL, folder / "run", data_dir=FIXTURE, verbose=0)
    called("publish", folder / "run", "-o", folder / "mine")
    return folder / "mine"


def called(*arguments, status=0):
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in [*arguments, "--data-dir", FIXTURE]])
    assert (stop.value.code or 0) == status


def test_every_metric_repeats_and_is_in_the_table(published, tmp_path, capfd):
    called("reproduce", published, "-o", tmp_path / "RESULTS.md")
    metrics = zoo.info(published).metrics
    assert f"{len(metrics)} metrics, of which 0 differ" in capfd.readouterr().out
    table = (tmp_path / "RESULTS.md").read_text()
    for metric in metrics:
        value = with_stderr(metric["value"], metric["stderr"])
        assert f"| {published} | {metric['name']} | {value} |" in table


def test_rows_of_other_models_are_kept(published, tmp_path):
    (metric, *_), table = zoo.info(published).metrics, tmp_path / "RESULTS.md"
    result = reproduce.Result("vae_mnist", metric, metric, metric, 1.0)
    reproduce.write([result, replace(result, model="runs/mine")], table)
    # The text above the rows may be that of an earlier version.
    table.write_text(table.read_text().replace("# Results", "# Earlier results"))
    reproduce.write([replace(result, model="gan_mnist"), replace(result, seconds=2.0)], table)
    rows = table.read_text().removeprefix(reproduce.HEAD).splitlines()
    assert [(row.split(" | ")[0], row.split(" | ")[-1]) for row in rows] == [
        ("| gan_mnist", "1 |"),
        ("| vae_mnist", "2 |"),
        ("| runs/mine", "1 |"),
    ]


def test_another_file_is_not_replaced_by_the_table(published, tmp_path, capfd):
    page = tmp_path / "README.md"
    page.write_text("# Mine\n")
    called("reproduce", published, "-o", page, status=2)
    assert page.read_text() == "# Mine\n"
    assert f"a table that `zoo reproduce` wrote; received: {page}." in capfd.readouterr().err


def test_quick_measures_a_tenth_and_writes_no_file(published, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    called("reproduce", published, "--quick")
    means = [metric for metric in zoo.info(published).metrics if metric["quick"]]
    assert means
    assert {metric["quick"]["n"] for metric in means} <= {10, 100}
    assert f"{len(means)} metrics, of which 0 differ" in capfd.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_value_that_differs_by_more_than_three_standard_errors_is_an_error(published, capfd):
    card = published / artifact.CARD
    kept = card.read_text()
    changed = json.loads(kept)
    entry = next(metric for metric in changed["metrics"] if metric["quick"])
    entry["quick"]["value"] += 3.1 * entry["quick"]["stderr"]
    card.write_text(json.dumps(changed))
    try:
        called("reproduce", published, "--quick", status=1)
    finally:
        card.write_text(kept)
    out = capfd.readouterr().out
    assert re.search(rf"{entry['name']} .* DIFFERS FROM the card's", out)
    assert "of which 1 differ" in out


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    nightly_except(("gan_mnist",), zoo.list_models()),
)
def test_shipped_models_repeat_on_a_tenth_of_the_images(name):
    results = list(reproduce.reproduce(name, quick=True))
    assert all(result.agrees for result in results), [one.sentence() for one in results]
    assert results


def test_the_names_include_the_evaluation_classifiers():
    names = catalog.all_names()
    assert set(catalog.list_models()) < set(names)
    assert "evaluation/classifier_mnist" in names
    assert "evaluation/classifier_mnist" not in catalog.list_models()


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (83.7234, 0.2214, "83.72 ± 0.22"),
        (0.00123, 0.00045, "0.00123 ± 0.00045"),
        (304.94, 2.02, "304.94 ± 2.02"),
        (24.0, 0.0, "24.00 ± 0.00"),
    ],
)
def test_numbers_have_two_digits_of_their_error(value, stderr, text):
    assert with_stderr(value, stderr) == text
