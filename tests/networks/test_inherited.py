"""Widths of a pruned network for a network from random weights."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from stampseg.channels.trace import trace
from stampseg.core.errors import ConfigError, ModelFileError
from stampseg.networks.inherited import cut_and_redraw, kept_of
from stampseg.networks.model_file import save_model
from tests.networks.small_model import make_model


@pytest.mark.parametrize("dims", [2, 3])
def test_the_widths_are_those_of_the_file_and_the_weights_are_drawn_for_them(
    dims: int, tmp_path: Path
) -> None:
    pruned, graph, description = make_model(dims)
    save_model(tmp_path / "model.safetensors", pruned, description)
    kept = kept_of(tmp_path, description.network)
    assert kept == description.kept == dict(graph.kept)
    torch.manual_seed(1)
    network = description.network.build()
    began, fresh = copy.deepcopy(network), description.network.build()
    again = cut_and_redraw(network, trace(network, torch.zeros(1, 1, *[8] * dims)), kept, fresh)
    assert again.kept == graph.kept
    theirs, ours = pruned.state_dict(), network.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            weight = module.weight
            bound = 1 / math.sqrt(weight[0].numel())  # of what goes in now, not of what the dense layer took
            assert weight.abs().max() <= bound, name
            if weight.numel() > 100:
                assert weight.abs().max() > 0.8 * bound, name
            assert not torch.equal(weight, theirs[f"{name}.weight"])
            assert not torch.isin(weight, began.get_submodule(name).weight).any()  # no rewinding
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None and not module.running_mean.any()
            assert module.num_batches_tracked == 0
    network(torch.randn(2, 1, *[8] * dims))


def test_another_network_is_refused_by_what_differs(tmp_path: Path) -> None:
    pruned, _, description = make_model()
    save_model(tmp_path / "model.safetensors", pruned, description)
    asked = description.network
    wider = asked.model_copy(update={"arguments": {**asked.arguments, "out_channels": 3}})
    with pytest.raises(
        ConfigError, match=r"`network.widths_of` .*: out_channels 2, and this run's .* has 3;"
    ):
        kept_of(tmp_path, wider)
    with pytest.raises(ConfigError, match=r"a network unet, and this run's is monai.UNet; name a run of"):
        kept_of(tmp_path, asked.model_copy(update={"name": "monai.UNet"}))
    with pytest.raises(ModelFileError, match="no such file or run folder"):
        kept_of(tmp_path / "nowhere", asked)
