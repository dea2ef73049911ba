"""One way to predict, in a process of its own: started by predict_speed.py, with either interpreter.

    python benchmarks/predict_rivals.py SETTINGS.json

Reads its images into memory, gets ready, and then predicts all of them each time a line "go" comes, from the
image in memory to the labels on the image's own grid. Answers in JSON lines.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Predict = Callable[[Any], Any]  # an image in memory -> labels


def ours(settings: dict[str, Any]) -> tuple[list[Any], Predict]:
    """What `stampseg predict` computes, without its reading and writing."""
    from stampseg.data.io.readers import read_image
    from stampseg.data.preprocess import prepare
    from stampseg.runtime.model import open_model
    from stampseg.runtime.sliding import segment_windows

    opened = open_model(Path(settings["model"]), threads=settings["threads"])
    images = [read_image([Path(file)], opened.plan.in_channels) for file in settings["images"]]

    def predict(image: Any) -> Any:
        with opened.scoring() as scorer:
            return segment_windows(prepare(image, opened.plan), opened.plan, scorer)

    return images, predict


def idle(settings: dict[str, Any]) -> tuple[list[Any], Predict]:
    """Ours with a network that gives zeros at once: what no faster network can save."""
    import numpy as np

    from stampseg.data.io.readers import read_image
    from stampseg.data.preprocess import prepare
    from stampseg.runtime.model import open_model
    from stampseg.runtime.sliding import segment_windows

    plan = open_model(Path(settings["model"]), threads=settings["threads"]).plan
    images = [read_image([Path(file)], plan.in_channels) for file in settings["images"]]

    def zeros(windows: np.ndarray) -> np.ndarray:
        return np.zeros((len(windows), plan.out_channels, *windows.shape[2:]), dtype=np.float32)

    return images, lambda image: segment_windows(prepare(image, plan), plan, zeros)


def monai(settings: dict[str, Any]) -> tuple[list[Any], Predict]:
    """MONAI's sliding window over the network as PyTorch runs it, prepared and brought back as ours."""
    import torch
    from monai.inferers import SlidingWindowInferer

    from stampseg.data.inverse import Restorer
    from stampseg.data.io.readers import read_image
    from stampseg.data.preprocess import prepare
    from stampseg.networks.model_file import find_model, load_model

    torch.set_num_threads(settings["threads"])
    model = load_model(find_model(Path(settings["model"])))
    plan, network = model.plan, model.network.eval()
    images = [read_image([Path(file)], plan.in_channels) for file in settings["images"]]
    window = SlidingWindowInferer(
        plan.patch_size, sw_batch_size=settings["batch"], overlap=0.5, mode="gaussian"
    )

    def predict(image: Any) -> Any:
        prepared = prepare(image, plan)
        with torch.inference_mode():
            scores = window(torch.from_numpy(prepared.image)[None], network)
        restorer = Restorer(prepared.geometry, 0)
        restorer.add(scores[0].numpy())
        return restorer.mask

    return images, predict


def nnunet(settings: dict[str, Any]) -> tuple[list[Any], Predict]:
    """nnUNetPredictor with the network that nnU-Net plans for the data, its weights random."""
    place = Path(settings["folder"])
    dataset = plan_nnunet(settings, place)
    import torch
    from batchgenerators.utilities.file_and_folder_operations import load_json
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(settings["threads"])
    plans = PlansManager(str(place / "preprocessed" / dataset / "nnUNetPlans.json"))
    configuration = plans.get_configuration("3d_fullres")
    about = load_json(str(place / "raw" / dataset / "dataset.json"))
    heads = plans.get_label_manager(about).num_segmentation_heads
    network = nnUNetTrainer.build_network_architecture(
        plans, configuration, len(about["channel_names"]), heads, enable_deep_supervision=False
    )
    settings["told"] = {
        "nnunet_parameters": sum(p.numel() for p in network.parameters()),
        "nnunet_spacing": [float(s) for s in configuration.spacing],
        "nnunet_patch": [int(n) for n in configuration.patch_size],
        "nnunet_features": list(
            configuration.configuration["architecture"]["arch_kwargs"]["features_per_stage"]
        ),
    }
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=settings["mirror"], device=torch.device("cpu"),
        allow_tqdm=False,
    )  # fmt: skip
    predictor.manual_initialization(
        network, plans, configuration, [network.state_dict()], about, "nnUNetTrainer", (0, 1, 2)
    )
    images = [SimpleITKIO().read_images([file]) for file in settings["images"]]
    return images, lambda image: predictor.predict_single_npy_array(*image)


def plan_nnunet(settings: dict[str, Any], place: Path) -> str:
    """Let nnU-Net plan for the images and labels, where it was not done before."""
    dataset = "Dataset001_speed"
    os.environ.update({f"nnUNet_{name}": str(place / name) for name in ("raw", "preprocessed", "results")})
    if not (place / "preprocessed" / dataset / "nnUNetPlans.json").exists():
        raw = place / "raw" / dataset
        for name in ("imagesTr", "labelsTr"):
            (raw / name).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(settings["images"], settings["labels"], strict=True)):
            (raw / "imagesTr" / f"case{number:03}_0000.nii.gz").symlink_to(Path(image).absolute())
            (raw / "labelsTr" / f"case{number:03}.nii.gz").symlink_to(Path(label).absolute())
        (raw / "dataset.json").write_text(
            json.dumps(
                {
                    "channel_names": {"0": settings["modality"]},
                    "labels": settings["label_values"],
                    "numTraining": len(settings["images"]),
                    "file_ending": ".nii.gz",
                }
            )
        )
        from nnunetv2.experiment_planning.plan_and_preprocess_api import (
            extract_fingerprints,
            plan_experiments,
        )

        extract_fingerprints([1], num_processes=1, show_progress_bar=False)
        plan_experiments([1])
    return dataset


KINDS: dict[str, Callable[[dict[str, Any]], tuple[Sequence[Any], Predict]]] = {
    "ours": ours,
    "idle": idle,
    "monai": monai,
    "nnunet": nnunet,
}


def main() -> None:
    """Get ready, then answer."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print
    images, predict = KINDS[settings["kind"]](settings)
    if settings["warm"]:
        predict(images[0])  # what is built on first use
    print(json.dumps({"ready": True, **settings.get("told", {})}), file=answers, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        for image in images:
            predict(image)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "peak_megabytes": peak_megabytes()}), file=answers, flush=True)


def peak_megabytes() -> float:
    """Most memory of this process; what getrusage says holds its parent's as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
