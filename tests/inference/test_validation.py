"""Tests of the values of attributes: names and numbers, those that vary, and wrong ones."""

import itertools

import numpy as np
import pytest

from zoo.inference import validation

ATTRIBUTES = {"glasses": ("0", "1"), "hair": ("short", "long"), "skin": ("light", "medium", "dark")}


def test_names_and_numbers_are_the_same_condition():
    expected = [[1, 0, 2]] * 4
    for given in (
        {"glasses": "1", "hair": "short", "skin": "dark"},
        {"skin": "dark", "glasses": 1, "hair": ["short"] * 4},
        [1, 0, 2],
        np.array(expected),
    ):
        values = validation.attribute_values(given, ATTRIBUTES, 4)
        assert values.dtype == np.int32
        np.testing.assert_array_equal(values, expected)


def test_attributes_that_are_not_given_take_all_combinations_in_turn():
    values = validation.attribute_values(None, ATTRIBUTES, 12, np.arange(12))
    assert {*map(tuple, values)} == {*itertools.product(range(2), range(2), range(3))}
    values = validation.attribute_values({"hair": "long"}, ATTRIBUTES, 6, np.arange(6))
    assert {*map(tuple, values)} == {*itertools.product(range(2), [1], range(3))}


def test_the_values_of_a_row_depend_on_its_number_alone():
    numbers = np.array([2**40 + 5, 3, 2**63 - 1])
    values = validation.attribute_values({"glasses": "0"}, ATTRIBUTES, 3, numbers)
    for number, row in zip(numbers, values):
        alone = validation.attribute_values({"glasses": "0"}, ATTRIBUTES, 1, np.array([number]))
        np.testing.assert_array_equal(alone, [row])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"glases": "1"}, "received: 'glases'; the nearest is 'glasses'"),
        ({"hair": "shrt"}, "hair must be one of its values; received: 'shrt'; the nearest is 's"),
        ({"x" * 500: 1}, r"attributes of the model; received: 'x{56}\.\.\.; there are glasses"),
        ({"hair": "short"}, r"a value for each .*glasses \(0, 1\), hair .*none for glasses, skin"),
        ({"hair": ["long"] * 3}, r"one value of hair, or 2 of them.*received: \['long', 'long',"),
        ({"hair": [["long"], ["long", "short"]]}, "hair must be one of its values"),
        (None, "received: none for glasses, hair, skin"),
        ([0, 1], r"an integer array of shape \(3,\) or \(2, 3\); received: \[0, 1\]"),
        ([0.0, 1.0, 0.0], "an integer array"),
        ("long", "an integer array"),
        ([0, 1, 3], "numbers of skin from 0 to 2; received: 3"),
        ([[0, 1, 0], [-1, 1, 0]], "numbers of glasses from 0 to 1; received: -1"),
    ],
)
def test_wrong_conditions_are_one_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        validation.attribute_values(given, ATTRIBUTES, 2)


@pytest.mark.parametrize(
    "given",
    [None, {}, [], {"hair": "long"}, {"hair": ["long"]}, {"hair": ["long", "long"]}, {"hair": 2}],
)
def test_attributes_have_at_least_two_different_values(given):
    with pytest.raises(ValueError, match=r"^attributes must be a dictionary .*; received: "):
        validation.attributes(given)


def test_attributes_are_names():
    assert validation.attributes({"n": [0, 1]}) == {"n": ("0", "1")}
