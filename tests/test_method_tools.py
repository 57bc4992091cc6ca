"""What methods share beside ranking, noise and products: masks with the gradient of their scores."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slt_bench.method import straight_through, straight_through_

NUMBERS = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=30)


def both(scores):
    """What the two functions make of a mask of 2 |s| > 1, and of its gradient."""
    for through in (straight_through, straight_through_):
        leaf = torch.tensor(scores, requires_grad=True)
        rank = 2 * leaf.abs()
        mask = through(rank.detach() > 1, rank)
        mask.backward(torch.arange(len(scores), dtype=torch.float32))
        yield mask.tolist(), leaf.grad.tolist(), leaf.tolist()


class TestStraightThrough:
    @settings(max_examples=60, deadline=None)
    @given(NUMBERS)
    def test_is_the_mask_with_the_gradient_of_the_scores(self, scores):
        new, in_place = both(scores)
        assert new == in_place
        assert new[0] == [float(2 * abs(score) > 1) for score in scores]
        assert new[1] == [2 * place * ((score > 0) - (score < 0)) for place, score in enumerate(scores)]
        assert new[2] == scores

    def test_in_place_makes_no_new_vector(self):
        rank = torch.rand(5, requires_grad=True) * 2
        assert straight_through_(rank.detach() > 1, rank).data_ptr() == rank.data_ptr()

    @pytest.mark.parametrize("through", [straight_through, straight_through_])
    def test_takes_masks_of_numbers_too(self, through):
        rank = torch.rand(3, requires_grad=True) * 2
        assert through(torch.tensor([0.0, 1.0, 0.5]), rank).tolist() == [0.0, 1.0, 0.5]

    def test_a_parameter_is_left_alone(self):
        scores = torch.ones(3, requires_grad=True)
        with pytest.raises(ValueError, match="A parameter was to be written over"):
            straight_through_(torch.zeros(3), scores)
        assert scores.tolist() == [1.0, 1.0, 1.0]
        assert straight_through(torch.zeros(3), scores).tolist() == [0.0, 0.0, 0.0]

    def test_nor_is_a_part_of_one_written_over(self):
        scores = torch.ones(3, requires_grad=True)
        for part in (scores[1:], scores.view(3, 1).view(3)):
            with pytest.raises(ValueError, match="A parameter was to be written over"):
                straight_through_(torch.zeros(len(part)), part)
        assert scores.tolist() == [1.0, 1.0, 1.0]
