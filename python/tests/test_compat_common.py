"""What the drop-ins share: the originals' draws, and conversions."""

import numpy as np
import pytest

from warpmeans.compat._common import as_points, cast, seeded, shuffled_rows, split_mix, to_kind_of


def test_draws_are_those_of_torch_and_faiss():
    """Recorded: torch.manual_seed(7), torch.randperm(1000), then (50); and faiss.rand_perm."""
    generator = seeded(7)
    assert shuffled_rows(1000, 999, generator)[:5].tolist() == [615, 284, 599, 580, 347]
    assert shuffled_rows(50, 5, generator).tolist() == [21, 34, 15, 24, 10]
    rows = shuffled_rows(1000, 5, seeded(-5))
    assert rows.tolist() == [30, 691, 129, 709, 575]


def test_a_prefix_is_that_of_the_whole_permutation():
    whole = shuffled_rows(300, 300, seeded(1))
    assert sorted(whole) == list(range(300))
    for count in (0, 1, 299):
        prefix = shuffled_rows(300, count, seeded(1))
        np.testing.assert_array_equal(prefix, whole[:count])


def test_more_rows_than_32_bits_reach():
    rows = shuffled_rows(2**40, 100, seeded(1))
    assert rows.max() > 2**36 and len(set(rows)) == 100


def test_split_mix():
    """The published first outputs of SplitMix64 for the seed 1234567, without their top bit."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert split_mix(1234567, 3).tolist() == [value % 2**63 for value in expected]


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_exact_dtypes_are_not_copied(dtype):
    x = np.zeros((3, 2), dtype)
    assert as_points(x, 2) is x
    assert cast(x, dtype).base is x or cast(x, dtype) is x


@pytest.mark.parametrize("x", [np.zeros((3, 2)), np.zeros((3, 2), ">f4"), [[1, 2]], np.eye(2) > 0])
def test_all_else_becomes_float32(x):
    assert as_points(x, 2).dtype == np.dtype("float32")


def test_torch():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.zeros(3, 2, dtype=dtype)
        assert as_points(x, 2) is x
    assert as_points(x.double(), 2).dtype == torch.float32
    assert to_kind_of(x, np.ones(2)).dtype == torch.float64


def test_shapes():
    for x in (np.zeros(2), np.zeros((1, 3, 2)), np.zeros((3, 3))):
        with pytest.raises(ValueError, match=r"it must be \(n, d\) with d = 2"):
            as_points(x, 2)
