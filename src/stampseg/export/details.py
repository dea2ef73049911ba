"""The JSON that travels in an exported file: all that is needed besides the network."""

from __future__ import annotations

import math

from ..channels.cost import Tally
from ..networks.model_file import Model
from ..runtime.details import Details, NetworkDetails, Precision


def multiple_of(model: Model) -> tuple[int, ...]:
    """Per axis, what the sizes of inputs are multiples of: the product of the strides."""
    plan = model.plan
    return tuple(math.prod(step[axis] for step in plan.strides) for axis in range(plan.spatial_dims))


def details_of(model: Model, precision: Precision, any_size: bool) -> Details:
    """What the file says of itself, but for the figures of the check, which come later.

    Args:
        model: whose network is exported.
        precision: of the numbers it computes in.
        any_size: whether it takes other sizes than the patch.
    """
    tally = Tally(model.network, model.graph)
    return Details(
        plan=model.plan,
        precision=precision,
        multiple=multiple_of(model),
        any_size=any_size,
        network=NetworkDetails(
            name=model.description.network.name, parameters=tally.parameters, flops=tally.flops
        ),
        provenance=model.description.provenance,
        postprocess=model.description.postprocess,
    )
