"""Segment files with a model: the work behind `stampseg predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ..core.errors import ConfigError, DataError, StoppedError, one_line
from ..core.files import refuse_existing
from ..core.level import Level
from ..core.run_folder import caution_of
from ..core.text import counted, some
from ..data.cases import Case
from ..data.io.frames import is_dicom
from ..data.io.readers import read_header, segmentation_name
from ..data.io.volume import check_pair
from ..data.labels.postprocess import Postprocessing
from ..data.splits.known import Known
from ..data.splits.record import SplitCase
from .channels import inputs_of
from .ensemble import Ensemble, open_segmenter
from .model import OpenModel, check_order
from .notices import (
    absurd,
    changed_words,
    line,
    not_found,
    not_mirrored,
    probabilities_words,
    stopped_words,
    too_good,
    unlike,
)
from .output_files import (
    check_folder,
    left_from_before,
    left_to_do,
    older_than,
    older_than_images,
    refuse_overwriting,
)
from .people import labels_of, learnt_from, other_scans_of_the_trained, validated_with
from .segment_options import SegmentOptions
from .stream import FAILURES, Failure, stream
from .trust import Assessed, check_calibrated
from .trust_files import RECORD, TABLE, TrustFiles, made_by, summary
from .written import Segmentation, Written

DEFAULT = SegmentOptions()


def segment(
    model: Path,
    inputs: Sequence[Path | Case],
    output: Path,
    options: SegmentOptions = DEFAULT,
    *,
    echo: Callable[[str], None] = print,
    warn: Callable[[str], None] | None = None,
) -> Segmentation:
    """Write one mask per image into `output`, with the values the training labels had.

    Files of those names are refused unless they may be overwritten. A file that cannot be segmented does not
    stop the others: `check` of what is returned tells of it.

    Args:
        model: run folder, model file or exported file; or the folder of the folds of a run, whose networks
            are averaged.
        inputs: image files, folders of them, DICOM series, or cases that were found.
        output: folder for the masks.
        options: how, and what else is written.
        echo: is told of every mask.
        warn: is told of what was left out or not found; None: `echo` is, after the word WARNING.

    Raises:
        DataError: no input can be used, or a mask is there already.
        ModelFileError: the model cannot be loaded.
        ConfigError: `fail_below` without a calibration in the model, confidence of an ensemble, or scans that
            are named before the model.
    """
    check_order(model, [path for path in inputs if not isinstance(path, Case)], "predict")
    tell = warn if warn is not None else lambda text: echo(Level.WARNING.shown(text))
    opened = open_segmenter(
        model, device=options.device, trusted=options.trusted, threads=options.threads,
        ensemble=options.ensemble,
    )  # fmt: skip
    opened = opened.with_all_pieces() if options.all_pieces else opened
    _check_able(opened, options)
    models = opened.models or (model,)
    cases = inputs_of(models[0], inputs, opened.plan, tell)
    for folder in (output, *([] if options.overlays is None else [options.overlays])):
        check_folder(folder)
    changing = {name: getattr(options, name) for name in ("mirror", "postprocess", "all_pieces")}
    trust = TrustFiles(output, opened.plan, made_by(models[0], **changing) if options.assesses else {})
    masks = _targets(cases, output, options.dicom_seg)
    work = _Work(output, options, echo, tell, opened, models, masks, trust)
    left = work.to_do(cases)
    if opened.models:
        echo(f"{model}: the mean of the probabilities of {len(opened.models)} networks")
    written, failures = work.done(left)
    told = (*caution_of(model), *not_mirrored(opened.plan, options.mirror), *work.remarks(left, written))
    work.conclude(written, told)
    return Segmentation(
        written, failures, told, opened.plan.label_names, options.fail_below,
        len(work.masks) - len(left), tuple(trust.of(work.masks.values()).values()),
    )  # fmt: skip


@dataclass
class _Work:
    """One call of `segment`, from the images that were found to the last line."""

    output: Path
    asked: SegmentOptions
    echo: Callable[[str], None]
    tell: Callable[[str], None]
    opened: OpenModel | Ensemble
    models: Sequence[Path]
    masks: Mapping[tuple[Path, ...], Path]
    trust: TrustFiles

    @property
    def _steps(self) -> Postprocessing:
        """What is done to each mask."""
        return self.opened.steps if self.asked.postprocess else ()

    @cached_property
    def _entries(self) -> list[SplitCase]:
        return learnt_from(self.models)

    def to_do(self, cases: Sequence[Case]) -> Sequence[Case]:
        """The cases whose masks are to be made.

        Raises:
            DataError: something that would be written is there already.
        """
        asked = self.asked
        if asked.assesses:
            self.trust.take_up(strict=asked.skip_existing)
        if asked.skip_existing:
            cases = self._not_done(cases)
        refuse_overwriting(
            cases, self.masks, asked.overlays, asked.overwrite, asked.assesses, asked.probabilities,
            labels=labels_of(self.models),
        )  # fmt: skip
        for table in (TABLE, RECORD) if asked.assesses and not asked.skip_existing else ():
            refuse_existing(self.output / table, asked.overwrite)
        if asked.assesses:
            self._tell_of_others(cases)
        self.trust.forget(self.masks[case.images] for case in cases)
        return cases

    def _tell_of_others(self, cases: Sequence[Case]) -> None:
        """Say which masks stay here that the new tables of trust will not tell of."""
        made = {self.masks[case.images].name for case in cases}
        if stay := [name for name in self.trust.of_others() if name not in made]:
            self.tell(
                f"{self.output / TABLE}: also told of {some(stay)}, by another model or with other "
                f"options; {'it stays' if len(stay) == 1 else 'they stay'}, and the new table tells "
                "only of masks that are made alike"
            )

    def _not_done(self, cases: Sequence[Case]) -> list[Case]:
        """Those whose masks are not there; how many are is said, and if another model may have made them."""
        asked, masks = self.asked, self.masks
        told = self.trust.of(masks.values()) if asked.assesses else None
        # what is there may be an image, in its own folder
        refuse_overwriting(cases, masks, asked.overlays, True, asked.assesses, asked.probabilities)
        left = left_to_do(cases, masks, asked.overlays, asked.probabilities, told)
        for case in cases:
            _check_image(case, masks[case.images], told or {})
        kept = masks.keys() - {case.images for case in left}
        for images in sorted(kept):
            _check_grid(images, masks[images])
        self.echo(f"passed over {len(kept)} of {counted(len(masks), 'image')}: their masks are there")
        there = {images: masks[images] for images in sorted(kept)}
        for text in (*older_than(self.models, sorted(there.values())), *older_than_images(there)):
            self.tell(text)
        return left

    def done(self, cases: Sequence[Case]) -> tuple[tuple[Written, ...], tuple[tuple[Path, str], ...]]:
        """The masks that were made, and the images that could not be segmented, with the reason."""
        finished: list[Written] = []

        def keep(mask: Written) -> None:
            finished.append(mask)
            if mask.assessed is not None:
                self.trust.add(mask.assessed)

        asked = self.asked
        options = {
            "batch_size": asked.batch_size, "mirror": asked.mirror, "confidence": asked.assesses,
            "probabilities": asked.probabilities,
        }  # fmt: skip
        known = Known(self._entries, self.opened.trained_on), Known(validated_with(self.models))
        results = stream(cases, self.opened, self._steps, self.masks, asked.overlays, options, keep)
        try:
            made = self._told_one_by_one(cases, results, *known)
            self.trust.write()
        except BaseException as error:
            results.close()
            with suppress(OSError, DataError):  # a full disk, which may be the reason
                self.trust.write()
            if isinstance(error, KeyboardInterrupt | StoppedError):
                there = len(self.masks) - len(cases) + len(finished)
                of = f"{there} of {counted(len(self.masks), 'mask')}"
                where = f"{of} are written in {one_line(str(self.output))}"
                self.tell(stopped_words(where, asked.overwrite))
            raise
        return made

    def _told_one_by_one(
        self, cases: Sequence[Case], results: Iterable[Written | Failure], learnt: Known, validated: Known
    ) -> tuple[tuple[Written, ...], tuple[tuple[Path, str], ...]]:
        """What comes of each case is said as soon as it is known."""
        written: list[Written] = []
        failures: list[tuple[Path, str]] = []
        for case, result in zip(cases, results, strict=True):
            if isinstance(result, FAILURES):
                failures.append((case.images[0], str(result)))
                self.echo(f"failed: {result}")
                continue
            # asked of images that could be read
            trained = learnt.holds(case, result.content)
            chosen_by = not trained and validated.holds(case)
            written.append(replace(result, trained_on=trained, validated_with=chosen_by))
            self.echo(line(written[-1]))
            for text in result.header.notes:
                self.tell(text)
        return tuple(written), tuple(failures)

    def remarks(self, cases: Sequence[Case], written: Sequence[Written]) -> tuple[str, ...]:
        """What is unusual about the images and their masks, taken together."""
        asked = self.asked
        known = {mask.case for mask in written if mask.trained_on}
        by_id = {case.id: case for case in cases}
        new = {mask.path: by_id[mask.case] for mask in written}
        return (
            *unlike(written),
            *absurd(written),
            *not_found(written, self.opened.plan.label_names),
            *too_good(cases, known),
            *other_scans_of_the_trained(cases, known, self.models, self._entries),
            *left_from_before(new, self.output, asked.assesses, asked.probabilities),
        )

    def conclude(self, written: Sequence[Written], told: Iterable[str]) -> None:
        """Say what holds of all masks, and where all is."""
        asked, plan = self.asked, self.opened.plan
        if self._steps and written:
            self.echo(changed_words(written, self._steps, plan))
        for text in told:
            self.tell(text)
        if asked.overlays is not None and written:
            self.echo(f"pictures of the masks in {one_line(str(asked.overlays))}")
        if asked.probabilities and written:
            self.echo(probabilities_words(plan))
        for text in summary(self.trust.rows, plan, self.output) if self.trust.rows else ():
            self.echo(text)


def _check_image(case: Case, mask: Path, told: Mapping[str, Assessed]) -> None:
    """See that a mask that stays is that of the image, as far as is known.

    Raises:
        DataError: it is another image's.
    """
    row = told.get(mask.name)
    if row is None or not row.image.exists() or row.image.samefile(case.images[0]):
        return
    raise DataError(
        f"{mask}: is the mask of {row.image}, by {RECORD} beside it, and not of {case.images[0]}; choose "
        "another folder with `output`"
    )


def _check_grid(images: Sequence[Path], mask: Path) -> None:
    """See that a mask that stays lies on its image's grid; of series, whose slices are many, it is not asked.

    Raises:
        DataError: it is another image's, of the same name.
    """
    if not images[0].is_file() or is_dicom(images[0]):
        return
    try:
        check_pair(read_header(images), read_header([mask]))
    except DataError as error:
        raise DataError(
            f"{mask}: is there, and is no mask of {images[0]} ({error}); choose another folder with "
            "`output`, or replace it with `overwrite`"
        ) from None


def _check_able(opened: OpenModel | Ensemble, options: SegmentOptions) -> None:
    """Refuse what only one network, or a calibrated one, can say."""
    if options.assesses and opened.models:
        raise ConfigError(
            "`confidence` is measured on one network, and an ensemble has several; leave out `confidence` "
            "and `fail_below`, or predict with one of its networks"
        )
    check_calibrated(opened.plan, options.fail_below)
    if options.probabilities and opened.models:
        raise ConfigError(
            "`probabilities` are of one network, and an ensemble has several; leave out `probabilities`, or "
            "predict with one of its networks"
        )


def _targets(cases: Sequence[Case], output: Path, dicom_seg: bool) -> dict[tuple[Path, ...], Path]:
    """The mask of each case."""
    masks = {case.images: output / case.mask_name for case in cases}
    if not dicom_seg:
        return masks
    return {images: mask.with_name(segmentation_name(images[0], mask.name)) for images, mask in masks.items()}
