"""Cases are found in every layout, paired rightly, grouped by person; what cannot be paired is said."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import ConfigError, DataError
from stampseg.data.cases import check_people, find_dataset, read_case_csv
from stampseg.data.inputs import find_inputs
from stampseg.data.io.readers import output_name, read_header
from stampseg.data.io.volume import check_pair
from stampseg.data.layouts.pairing import pair
from tests.cli.command import call


def make_files(root: Path, *names: str) -> Path:
    """Files of distinct content; finding cases opens none of them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def make_decathlon(root: Path, names: list[str], **changes: object) -> Path:
    pairs = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    make_files(root, *(f"{folder}/{n}.nii.gz" for n in names for folder in ("imagesTr", "labelsTr")))
    description = {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "liver"},
        "training": pairs,
        **changes,
    }
    (root / "dataset.json").write_text(json.dumps(description))
    return root


def pairs_of(root: Path, **options: object) -> dict[str, str]:
    """Label file name by case id."""
    return {case.id: case.label.name for case in find_dataset(root, **options).cases if case.label}  # type: ignore[arg-type]


class TestDecathlon:
    def test_list_names_and_channels(self, tmp_path: Path) -> None:
        make_decathlon(tmp_path, ["b", "a"])
        make_files(tmp_path, "imagesTr/._a.nii.gz", "labelsTr/.DS_Store", "imagesTr/extra.nii.gz")
        dataset = find_dataset(tmp_path)
        assert dataset.layout == "decathlon"
        assert [case.id for case in dataset.cases] == [case.group for case in dataset.cases] == ["a", "b"]
        assert dataset.cases[0].images[0].samefile(tmp_path / "imagesTr" / "a.nii.gz")
        assert dataset.label_names == {0: "background", 1: "liver"}
        assert dataset.channel_names == ("CT",)
        assert dataset.warnings == ("images that dataset.json does not list (1): extra",)

    def test_missing_files(self, tmp_path: Path) -> None:
        make_decathlon(tmp_path, ["a", "b"])
        (tmp_path / "labelsTr" / "b.nii.gz").unlink()
        with pytest.raises(
            DataError, match=r"dataset.json: 1 of the 4 files it names are missing: .*b.nii.gz; correct"
        ):
            find_dataset(tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{not json", "dataset.json: not readable JSON"),
            ("[1, 2]", "dataset.json: holds a list; expected names with values"),
            ('{"training": ["a.nii"]}', 'entry 0 of "training" is .a.nii.; expected'),
            ('{"training": [{"image": 1, "label": "b"}]}', 'entry 0 of "training" is'),
        ],
    )
    def test_broken_description(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "dataset.json").write_text(text)
        with pytest.raises(DataError, match=message):
            find_dataset(tmp_path)


class TestNnunet:
    def make(self, root: Path, *names: str) -> Path:
        make_files(root, *names)
        description = {
            "channel_names": {"0": "T1", "1": "T2", "10": "x"},
            "labels": {"background": 0, "cord": 1, "whole": [1, 2]},
            "file_ending": ".nii.gz",
        }
        (root / "dataset.json").write_text(json.dumps(description))
        return root

    def test_channels_join(self, tmp_path: Path) -> None:
        images = [f"imagesTr/{base}_000{c}.nii.gz" for base in ("a_1", "b", "c") for c in (1, 0)]
        self.make(tmp_path, *images, "labelsTr/a_1.nii.gz", "labelsTr/b.nii.gz", "labelsTr/d.nii.gz")
        dataset = find_dataset(tmp_path)
        assert dataset.layout == "nnunet"
        assert [case.id for case in dataset.cases] == ["a_1", "b"]
        assert [path.name for path in dataset.cases[0].images] == ["a_1_0000.nii.gz", "a_1_0001.nii.gz"]
        assert [case.id for case in dataset.unlabelled] == ["c"]
        assert dataset.label_names == {0: "background", 1: "cord", 2: "whole without cord"}
        assert dataset.channel_names == ("T1", "T2", "x")
        assert dataset.warnings == (
            "images without a label (1): c",
            "labels without an image (1): d",
        )
        assert dataset.regions.values == {"cord": {1}, "whole": {1, 2}}

    def test_first_version_lists_names_without_channel(self, tmp_path: Path) -> None:
        make_decathlon(tmp_path, ["a", "b"])
        for name in ("a", "b"):
            (tmp_path / f"imagesTr/{name}.nii.gz").rename(tmp_path / f"imagesTr/{name}_0000.nii.gz")
        dataset = find_dataset(tmp_path)
        assert (dataset.layout, [case.id for case in dataset.cases]) == ("nnunet", ["a", "b"])

    def test_gap_and_unequal_counts(self, tmp_path: Path) -> None:
        self.make(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a_0002.nii.gz", "labelsTr/a.nii.gz")
        with pytest.raises(
            DataError, match=r"the channels of this case are _0000, _0002; expected _0000, _0001"
        ):
            find_dataset(tmp_path)
        (tmp_path / "imagesTr/a_0002.nii.gz").rename(tmp_path / "imagesTr/a_0001.nii.gz")
        make_files(tmp_path, "imagesTr/b_0000.nii.gz")
        with pytest.raises(
            DataError, match=r"case b has 1 channel file\(s\), others have 2; expected as many"
        ):
            find_dataset(tmp_path)

    def test_numbered_files_of_equal_names_are_no_channels(self, tmp_path: Path) -> None:
        names = [f"{folder}/scan_{n:04d}.nii.gz" for n in (17, 18) for folder in ("imagesTr", "labelsTr")]
        dataset = find_dataset(make_files(tmp_path, *names))
        assert (dataset.layout, [case.id for case in dataset.cases]) == (
            "folders",
            ["scan_0017", "scan_0018"],
        )


class TestFolders:
    @pytest.mark.parametrize("masks", ["masks", "Labels", "annotations", "segmentations"])
    def test_equal_stems(self, tmp_path: Path, masks: str) -> None:
        make_files(
            tmp_path, "images/a.jpg", "images/b.jpg", f"{masks}/a.png", f"{masks}/b.png", f"{masks}/notes.txt"
        )
        assert pairs_of(tmp_path) == {"a": "a.png", "b": "b.png"}

    def test_one_suffix_on_labels(self, tmp_path: Path) -> None:
        make_files(tmp_path, "images/1_HC.png", "images/11_HC.png", "masks/1_HC_Annotation.png")
        make_files(tmp_path, "masks/11_HC_Annotation.png")
        assert pairs_of(tmp_path) == {"1_HC": "1_HC_Annotation.png", "11_HC": "11_HC_Annotation.png"}

    def test_both_in_one_folder(self, tmp_path: Path) -> None:
        make_files(
            tmp_path, "all/1_HC.png", "all/1_HC_Annotation.png", "all/2_HC.png", "all/2_HC_Annotation.png"
        )
        make_files(tmp_path, "all/3_HC.png")
        dataset = find_dataset(tmp_path, images=Path("all"), masks=tmp_path / "all")
        assert [(c.id, c.label and c.label.name) for c in dataset.cases] == [
            ("1_HC", "1_HC_Annotation.png"),
            ("2_HC", "2_HC_Annotation.png"),
        ]
        assert [case.id for case in dataset.unlabelled] == ["3_HC"]
        assert dataset.warnings == ("images without a label (1): 3_HC",)

    def test_suffix_that_is_part_of_an_image_name(self) -> None:
        labels = {name: Path(name) for name in ("a_mask", "a_b_mask", "c_mask")}
        found = pair(["a", "a_b", "c"], labels)
        assert found.labels == {"a": Path("a_mask"), "a_b": Path("a_b_mask"), "c": Path("c_mask")}
        assert found.suffix == "_mask"

    def test_stem_is_not_a_mere_prefix(self) -> None:
        assert pair(["1", "2"], {"10": Path("10"), "20": Path("20")}).labels == {}

    def test_two_kinds_of_labels_are_ambiguous(self, tmp_path: Path) -> None:
        names = [f"masks/{n}_{who}.png" for n in "ab" for who in ("1stHO", "2ndHO")]
        make_files(tmp_path, "images/a.jpg", "images/b.jpg", *names)
        message = (
            r"more than one kind of label fits it, ending in '_1stHO' \(2 files\) or '_2ndHO' \(2 files\)"
        )
        with pytest.raises(DataError, match=message):
            find_dataset(tmp_path)

    def test_the_image_is_named_and_not_a_label_that_another_label_begins_with(self) -> None:
        names = ("t2s", "t2s_seg", "t2s_seg-auto", "t2s_gmseg")
        message = (
            r"^t2s: more than one kind of label fits it, ending in '_gmseg' \(1 file\) or '_seg' \(1 file\) "
            r"or '_seg-auto' \(1 file\)"
        )
        with pytest.raises(DataError, match=message):
            pair(names, {name: Path(name) for name in names}, same_folder=True)

    def test_leftovers_and_doubles_are_said(self, tmp_path: Path) -> None:
        make_files(tmp_path, "images/a.png", "images/a.jpg", "images/b.png", "masks/a.png", "masks/c.png")
        dataset = find_dataset(tmp_path)
        assert dataset.warnings == (
            "images without a label (1): b",
            "labels without an image (1): c",
            "images skipped because their name is taken (1): a.png",
        )
        assert [case.images[0].name for case in dataset.cases] == ["a.jpg"]

    def test_an_image_of_a_type_that_is_not_read_is_named(self, tmp_path: Path) -> None:
        make_files(tmp_path, "images/a.png", "images/b.webp", "images/c.webp", "masks/a_mask.png")
        make_files(tmp_path, "masks/b_mask.png", "masks/d_mask.png")
        assert find_dataset(tmp_path).warnings == (
            "labels without an image (2): b_mask (b.webp is not of a type that is read), d_mask",
        )

    def test_pairs_of_analyze_files_count_once(self, tmp_path: Path) -> None:
        make_files(
            tmp_path, *(f"{folder}/a.{end}" for folder in ("images", "masks") for end in ("hdr", "img"))
        )
        dataset = find_dataset(tmp_path)
        assert pairs_of(tmp_path) == {"a": "a.hdr"}
        assert dataset.warnings == ()

    def test_dicom_series_as_image(self, tmp_path: Path) -> None:
        make_files(tmp_path, "images/p.1/1.dcm", "images/p.1/2.dcm", "masks/p.1.nii.gz")
        dataset = find_dataset(tmp_path)
        assert [(case.id, case.images) for case in dataset.cases] == [("p.1", (tmp_path / "images" / "p.1",))]

    def test_nothing_pairs(self, tmp_path: Path) -> None:
        make_files(tmp_path, "images/a.png", "masks/b.png")
        message = (
            r"images: none of its 1 images \(a\) pairs with the 1 labels of .*masks \(b\); expected equal"
        )
        with pytest.raises(DataError, match=message):
            find_dataset(tmp_path)

    def test_labels_of_no_known_type(self, tmp_path: Path) -> None:
        make_files(tmp_path, "images/a.png", "masks/a.webp")
        with pytest.raises(
            DataError, match=r"masks: no label of a known type found, it holds a\.webp; expected"
        ):
            find_dataset(tmp_path)

    def test_folders_that_are_not_there(self, tmp_path: Path) -> None:
        make_files(tmp_path, "images/a.png", "first/a.png", "second/a.png")
        with pytest.raises(
            DataError, match=r"no folder of masks found \(folders seen: first, images, second\); name it"
        ):
            find_dataset(tmp_path)
        assert pairs_of(tmp_path, masks=Path("second")) == {"a": "a.png"}
        with pytest.raises(
            DataError, match=r"third: the folder named by `masks` is missing .*folders seen: first"
        ):
            find_dataset(tmp_path, masks=Path("third"))
        make_files(tmp_path, "masks/a.png", "labels/a.png")
        with pytest.raises(DataError, match="labels and masks could all be meant; name one with `masks`"):
            find_dataset(tmp_path)

    def test_folders_of_a_split_are_pointed_at(self, tmp_path: Path) -> None:
        make_files(tmp_path, "train/images/a.png", "train/masks/a.png", "val/images/b.png", "val/masks/b.png")
        with pytest.raises(
            DataError, match=r"folders seen: train, val\); give .*train as DATA, or list all in a CSV"
        ):
            find_dataset(tmp_path)

    def test_empty_folder_names_the_four_layouts(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no folder of images found \(it holds no folders\)") as caught:
            find_dataset(tmp_path)
        for layout in ("dataset.json", "nnU-Net", "`images` and `masks`", "image,label"):
            assert layout in str(caught.value)
        assert "\n" not in str(caught.value)


class TestCsv:
    def write(self, path: Path, *rows: str) -> Path:
        path.write_text("\n".join(rows), encoding="utf-8")
        return path

    def test_columns_groups_and_paths(self, tmp_path: Path) -> None:
        make_files(tmp_path, "x/a.png", "x/b.png", "y/a.png", "y/b.png")
        table = self.write(
            tmp_path / "t.csv", "\ufeffGroup; Image ;label;x", "p1;x/b.png;y/b.png;", "p2;x/a.png;;", ""
        )
        for data in (tmp_path, table):
            dataset = find_dataset(data)
            assert (dataset.layout, dataset.root) == ("csv", data)
            assert [(case.id, case.group) for case in dataset.cases] == [("b", "p1")]
            assert [(case.id, case.group) for case in dataset.unlabelled] == [("a", "p2")]

    def test_wins_over_dataset_json_and_says_so(self, tmp_path: Path) -> None:
        make_decathlon(tmp_path, ["a", "b"])
        self.write(tmp_path / "mine.csv", "image,label,group", "imagesTr/a.nii.gz,labelsTr/a.nii.gz,p")
        dataset = find_dataset(tmp_path)
        assert [(case.id, case.group) for case in dataset.cases] == [("a", "p")]
        assert dataset.label_names == {0: "background", 1: "liver"}
        assert dataset.warnings == ("mine.csv lists the cases, so the list in dataset.json was not used",)

    def test_other_csv_files_are_ignored(self, tmp_path: Path) -> None:
        make_files(tmp_path, "images/a.png", "masks/a.png")
        self.write(tmp_path / "sizes.csv", "filename,pixel size(mm)", "a.png,0.1")
        (tmp_path / "latin.csv").write_bytes("image,größe\n".encode("latin-1"))
        assert find_dataset(tmp_path).layout == "folders"

    def test_equal_stems_get_their_folders(self, tmp_path: Path) -> None:
        make_files(tmp_path, *(f"{p}/{kind}.nii.gz" for p in ("p1", "p2") for kind in ("image", "label")))
        table = self.write(
            tmp_path / "t.csv", "image,label", *(f"{p}/image.nii.gz,{p}/label.nii.gz" for p in ("p1", "p2"))
        )
        assert [case.id for case in read_case_csv(table)] == ["p1_image", "p2_image"]

    def test_root_and_absolute_paths(self, tmp_path: Path) -> None:
        make_files(tmp_path / "data", "a.png", "b.png")
        table = self.write(tmp_path / "t.csv", "image,label", f"a.png,{tmp_path / 'data' / 'b.png'}")
        case = read_case_csv(table, root=tmp_path / "data")[0]
        assert case.label == tmp_path / "data" / "b.png"
        assert read_case_csv(table, tmp_path / "data", group_regex=".")[0].group == "a"

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (["scan,mask", "a,b"], "t.csv: expected a header line with the columns image,label"),
            ([], "t.csv: expected a header line .*; found nothing"),
            (["image,mask", "a,b"], r"; found image, mask; did you mean label for mask\?"),
            (["image,labels", "a,b"], r"; found image, labels; did you mean label for labels\?"),
            (["scan,masks", "a,b"], r"; did you mean image for scan and label for masks\?"),
            (["Img;Maske", "a,b"], r"; found Img, Maske"),
            (["image,label"], "t.csv: no rows below the header"),
            (["image,label", ",a.png"], r"t.csv: a row has no image \(label 'a.png'\)"),
            (["image,label", "a.png,z.png"], r"t.csv: 1 of the 2 files it names are missing: .*z.png"),
            (
                ["image,label", "a.png,b.png", "a.png,b.png"],
                "a.png is listed 2 times; expected every image once",
            ),
            (["image,label,group", "a.png,b.png,p", "b.png,a.png"], "t.csv: no group for b; fill the column"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, rows: list[str], message: str) -> None:
        make_files(tmp_path, "a.png", "b.png")
        with pytest.raises(DataError, match=message):
            find_dataset(self.write(tmp_path / "t.csv", *rows))

    @pytest.mark.parametrize(
        ("name", "way"),
        [
            ("t.tsv", "; where it is a table, rename it t.csv: tabs between cells are read"),
            ("t.xlsx", "; save the table as CSV"),
            ("t.ods", "; save the table as CSV"),
            ("t.png", ""),
        ],
    )
    def test_tables_of_other_kinds(self, name: str, way: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text("image\tlabel\n")
        said = f"{name}: is a file; expected a folder or a CSV with columns image,label{way}"
        with pytest.raises(DataError, match=re.escape(said) + "$"):
            find_dataset(tmp_path / name)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"PK\x03\x04" + bytes(300), "begins as a spreadsheet .*; save the sheet as CSV"),
            (
                b"\xd0\xcf\x11\xe0" + bytes(300),
                "begins as a spreadsheet or another .*; save the sheet as CSV",
            ),
            (b"image,label\0\n", "holds null bytes; expected text in UTF-8; save it again"),
        ],
    )
    def test_what_is_a_csv_by_its_name_alone(self, content: bytes, said: str, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_bytes(content)
        with pytest.raises(DataError, match=rf"t\.csv: {said}$"):
            find_dataset(tmp_path / "t.csv")
        assert "\\x00" not in call("check", tmp_path / "t.csv", "--no-timing", code=3).output

    def test_several_or_none(self, tmp_path: Path) -> None:
        make_files(tmp_path, "a.png", "b.png")
        for name in ("s.csv", "t.csv"):
            self.write(tmp_path / name, "image,label", "a.png,b.png")
        with pytest.raises(
            DataError, match=r"s.csv and t.csv all list images and labels; give the one to use"
        ):
            find_dataset(tmp_path)
        with pytest.raises(
            DataError, match=r"none.csv: file not found; expected a CSV with columns image,label"
        ):
            read_case_csv(tmp_path / "none.csv")
        with pytest.raises(DataError, match=r"a.png: is a file; expected a folder or a CSV"):
            find_dataset(tmp_path / "a.png")
        with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
            find_dataset(tmp_path / "nowhere")
        (tmp_path / "latin.csv").write_bytes("image,label\ngrö,ß\n".encode("latin-1"))
        with pytest.raises(
            DataError, match=r"latin.csv: cannot be read .*; expected text in UTF-8; save it again"
        ):
            find_dataset(tmp_path / "latin.csv")

    def test_only_images_without_labels(self, tmp_path: Path) -> None:
        make_files(tmp_path, "a.png")
        self.write(tmp_path / "t.csv", "image,label", "a.png,")
        with pytest.raises(DataError, match=r"no image with a label found; expected one of: dataset.json"):
            find_dataset(tmp_path)


class TestGroups:
    def make(self, root: Path) -> Path:
        return make_files(
            root, *(f"{f}/{n}.png" for f in ("images", "masks") for n in ("p1-IM-1", "p1-IM-2", "p2-IM-1"))
        )

    @pytest.mark.parametrize(
        ("pattern", "groups"),
        [
            (None, ["p1-IM-1", "p1-IM-2", "p2-IM-1"]),
            ("(.+)-IM-", ["p1", "p1", "p2"]),
            (r"p\d", ["p1", "p1", "p2"]),
        ],
    )
    def test_regular_expression(self, tmp_path: Path, pattern: str | None, groups: list[str]) -> None:
        dataset = find_dataset(self.make(tmp_path), group_regex=pattern)
        assert [case.group for case in dataset.cases] == groups

    def test_regular_expression_wins_over_the_csv(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        (tmp_path / "t.csv").write_text("image,label,group\nimages/p1-IM-1.png,masks/p1-IM-1.png,someone\n")
        assert find_dataset(tmp_path).cases[0].group == "someone"
        assert find_dataset(tmp_path, group_regex="^..").cases[0].group == "p1"

    def test_mistakes(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        with pytest.raises(ConfigError, match=r"`group_regex` '\(': not a regular expression"):
            find_dataset(tmp_path, group_regex="(")
        with pytest.raises(ConfigError, match=r"`group_regex` 'p1' finds nothing in the case id 'p2-IM-1'"):
            find_dataset(tmp_path, group_regex="p1")

    def test_copies_of_one_image_share_a_group(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        shutil.copy(tmp_path / "images" / "p1-IM-2.png", tmp_path / "images" / "p2-IM-1.png")
        make_files(tmp_path, "images/p3-IM-1.png", "masks/p3-IM-1.png")
        dataset = find_dataset(tmp_path, group_regex="^..")
        assert [case.group for case in dataset.cases] == ["p1", "p1", "p1", "p3"]
        assert dataset.warnings == ("p1-IM-2 and p2-IM-1 are the same image; they are kept in one group",)


class TestInputs:
    def ids(self, *paths: Path, channels: int | None = None) -> dict[str, int]:
        cases = find_inputs(paths, channels)
        assert all(case.label is None and case.group == case.id for case in cases)
        return {case.id: len(case.images) for case in cases}

    def test_files_and_folders(self, tmp_path: Path) -> None:
        make_files(tmp_path, "in/b.nii.gz", "in/._b.nii.gz", "in/s/1.dcm", "in/readme.txt", "c.png")
        folder = tmp_path / "in"
        assert self.ids(folder, tmp_path / "c.png", folder / "b.nii.gz") == {"b": 1, "c": 1, "s": 1}
        assert self.ids(folder / "s") == {"s": 1}

    def test_a_dicom_file_among_others_is_no_series(self, tmp_path: Path) -> None:
        make_files(tmp_path, "a.dcm", "b.nii.gz")
        assert self.ids(tmp_path) == {"a": 1, "b": 1}

    def test_channels_join(self, tmp_path: Path) -> None:
        make_files(tmp_path, *(f"{base}_000{c}.nii.gz" for base in "ab" for c in (0, 1)))
        assert self.ids(tmp_path) == self.ids(tmp_path, channels=2) == {"a": 2, "b": 2}
        assert self.ids(tmp_path / "a_0001.nii.gz", tmp_path / "a_0000.nii.gz") == {"a": 2}
        assert [path.name for path in find_inputs([tmp_path])[0].images] == ["a_0000.nii.gz", "a_0001.nii.gz"]

    def test_numbered_pictures_stay_apart(self, tmp_path: Path) -> None:
        make_files(tmp_path, "in/f_0000.png", "in/f_0001.png", "gap/f_0001.png", "gap/f_0005.png")
        assert self.ids(tmp_path / "in", channels=1) == {"f_0000": 1, "f_0001": 1}
        assert self.ids(tmp_path / "gap") == {"f_0001": 1, "f_0005": 1}
        assert [output_name(case.images) for case in find_inputs([tmp_path / "in"], 1)] == [
            "f_0000.png",
            "f_0001.png",
        ]

    def test_mistakes(self, tmp_path: Path) -> None:
        make_files(tmp_path, "in/a.png", "in/a.jpg", "notes.txt", "deep/images/a.png", "deep/labels/a.png")
        with pytest.raises(DataError, match=r"nowhere: no such file or folder; expected an image"):
            find_inputs([tmp_path / "nowhere"])
        with pytest.raises(DataError, match=r"notes.txt: file type not known; expected NIfTI"):
            find_inputs([tmp_path / "notes.txt"])
        with pytest.raises(
            DataError, match=r"deep: no image found; expected .*; name one of its folders: images$"
        ):
            find_inputs([tmp_path / "deep"])
        with pytest.raises(
            DataError, match=r"a.png: its labels would be written to a.png, as those of .*a.jpg"
        ):
            find_inputs([tmp_path / "in"])


class TestRealData:
    @pytest.mark.parametrize(
        ("folder", "masks", "pattern", "cases", "groups"),
        [
            ("hippocampus_mri", None, None, 203, 134),
            ("cardiac_mri", None, "(.+)-IM-", 260, 15),
            ("fetal_head_ultrasound", None, None, 100, 100),
            ("nerve_ultrasound", None, None, 102, 102),
            ("retina_vessels", "first_observer", r"Image_(\d+)", 20, 10),
            ("retina_vessels", "second_observer", r"Image_(\d+)", 20, 10),
        ],
    )
    def test_every_case_pairs_on_one_grid(
        self, shared_data: Path, folder: str, masks: str | None, pattern: str | None, cases: int, groups: int
    ) -> None:
        dataset = find_dataset(
            shared_data / folder, masks=Path(masks) if masks else None, group_regex=pattern
        )
        assert len(dataset.cases) == cases
        assert len({case.group for case in dataset.cases}) == groups
        assert dataset.unlabelled == ()
        for case in dataset.cases:
            assert case.label is not None
            check_pair(read_header(case.images), read_header([case.label]))

    def test_hippocampus_keeps_its_names(self, shared_data: Path) -> None:
        dataset = find_dataset(shared_data / "hippocampus_mri")
        assert dataset.label_names == {0: "background", 1: "Anterior", 2: "Posterior"}
        assert dataset.channel_names == ("MRI",)
        assert {case.id: case.group for case in dataset.cases}["hippocampus_006"] == "person_003"

    def test_retina_without_masks_says_what_was_seen(self, shared_data: Path) -> None:
        seen = r"folders seen: first_observer, images, second_observer\); name it with `masks`"
        with pytest.raises(DataError, match=seen):
            find_dataset(shared_data / "retina_vessels")

    def test_liver_and_cord_by_csv(self, shared_data: Path, tmp_path: Path) -> None:
        liver, cord = shared_data / "liver_ct", shared_data / "spinal_cord_mri"
        table = tmp_path / "t.csv"
        rows = [
            f"{liver / 'ct_half_inplane.nii.gz'},{liver / 'liver_half_inplane.nii.gz'}",
            f"{cord / 't2' / 't2.nii.gz'},{cord / 't2' / 't2_seg-manual.nii.gz'}",
            f"{cord / 't2s' / 't2s.nii.gz'},{cord / 't2s' / 't2s_seg-deepseg.nii.gz'}",
            f"{cord / 'mt' / 'mt1.nii.gz'},{cord / 'mt' / 'mt1_seg.nii.gz'}",
        ]
        table.write_text("\n".join(["image,label", *rows]))
        for case in find_dataset(table).cases:
            assert case.label is not None
            check_pair(read_header(case.images), read_header([case.label]))

    def test_misfits_are_said_or_refused(self, shared_data: Path, tmp_path: Path) -> None:
        odd = shared_data / "odd_hippocampus"
        for name, source in {
            "images/281.nii.gz": odd / "image_without_label_118.nii.gz",
            "images/118.nii.gz": shared_data / "hippocampus_mri" / "imagesTr" / "hippocampus_006.nii.gz",
            "masks/281.nii.gz": odd / "foreign_label_512x512x94_281.nii.gz",
            "masks/010.nii.gz": odd / "label_without_image_010.nii.gz",
        }.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / name)
        dataset = find_dataset(tmp_path)
        assert dataset.warnings == ("images without a label (1): 118", "labels without an image (1): 010")
        (case,) = dataset.cases
        assert case.label is not None
        with pytest.raises(DataError, match=r"512 x 512 x 94, but its image .* has 37 x 52 x 33"):
            check_pair(read_header(case.images), read_header([case.label]))


def test_pictures_of_any_size_are_found_without_decoding(tmp_path: Path) -> None:
    """Finding and heading a case must not decode it, or memory and time grow with the data set."""
    path = tmp_path / "images" / "a.png"
    path.parent.mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:50])  # the header alone
    make_files(tmp_path, "masks/a.png")
    (case,) = find_dataset(tmp_path).cases
    assert read_header(case.images).shape == (4, 4)


def test_a_folder_without_a_known_type_says_what_it_holds(tmp_path: Path) -> None:
    make_files(tmp_path, "images/a.webp", "images/b.webp", "masks/a.png", "masks/b.png")
    with pytest.raises(DataError, match=r"no image of a known type found, it holds a.webp, b.webp; expected"):
        find_dataset(tmp_path)


@pytest.mark.parametrize("inner", ["images", "masks"])
def test_who_names_a_folder_within_the_data_set_is_told_of_the_one_above(inner: str, tmp_path: Path) -> None:
    make_files(tmp_path, "data/images/a.png", "data/masks/a.png")
    with pytest.raises(DataError, match=r"give the folder above it, .*data, as DATA"):
        find_dataset(tmp_path / "data" / inner)


def test_one_folder_for_images_and_masks_is_told_as_such(tmp_path: Path) -> None:
    make_files(tmp_path, "images/a.png", "images/b.png", "masks/a.png")
    images = tmp_path / "images"
    said = (
        r"images: no image pairs with a label in this folder, which `images` and `masks` both name \(a, b\)"
    )
    with pytest.raises(DataError, match=said):
        find_dataset(tmp_path, images=images, masks=images)


def test_a_regex_that_names_nobody_is_refused(tmp_path: Path) -> None:
    """Without brackets the whole match is the person, and `^SC` is that of every name."""
    for size, name in ((8, "SC-01-IM-1"), (9, "SC-02-IM-1")):
        for part in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(np.eye(size, dtype=np.uint8) * 255).save(tmp_path / part / f"{name}.png")
    with pytest.raises(ConfigError, match=r"'\^SC' finds 'SC' in all 2 case ids, such as 'SC-01-IM-1'; put"):
        check_people(find_dataset(tmp_path, group_regex="^SC"), "^SC")
    for regex in (r"SC-\d+", "^(SC)", None):  # two people, and what is said to be one
        check_people(find_dataset(tmp_path, group_regex=regex), regex)
    call("check", tmp_path, "--group-regex", "^SC", code=2)
    call("train", tmp_path, "-o", tmp_path / "run", "--group-regex", "^SC", code=2)
    assert not (tmp_path / "run").exists()
