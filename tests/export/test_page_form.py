"""The page as a file: what stands in it, what does not, and when it is not written."""

from __future__ import annotations

import json
import re
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from stampseg.core.errors import ConfigError, ExportError, MissingPackageError, ModelFileError
from stampseg.data.labels.regions import Region
from stampseg.export import export_model, page_form, web_script
from stampseg.export.forms import check_precision, choose_format
from stampseg.export.page_form import open_page
from tests.export.pages import model_of, need_vendor

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def test_nothing_of_the_training_but_the_plan_is_in_the_page(tmp_path: Path) -> None:
    need_vendor()
    model = model_of(3, label_names=("background", "<b>kid</script>ney"), notes=("of /home/ann/scans",))
    model.description.provenance["data"] = "/home/ann/scans"
    export_model(model, tmp_path / "a.html", format="html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "/home/ann" not in text
    assert "<b>kid" not in text and "&lt;b&gt;kid" in text
    about = re.search(r'id="about">(.*?)</script>', text)
    assert about is not None
    plan = json.loads(about[1])["plan"]
    assert plan["label_names"][1] == "<b>kid</script>ney" and "notes" not in plan
    assert "default-src 'none'" in text and "http-equiv" in text and "Permission is hereby granted" in text
    assert not re.search(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?!data:)', text)


def test_what_is_no_page_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>a page")
    with pytest.raises(ModelFileError, match=r"a\.html: holds no network; expected a page that"):
        open_page(tmp_path / "a.html")


def test_a_checkout_without_the_engine_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = page_form.asset

    def without(name: str) -> Traversable:
        return found("nothing" if name == "vendor" else name)

    monkeypatch.setattr(page_form, "asset", without)
    with pytest.raises(MissingPackageError, match=r"needs ONNX Runtime for browsers.*run `make web` in it"):
        export_model(model_of(2), tmp_path / "a.html", format="html")
    assert not (tmp_path / "a.html").exists()


def test_a_plan_that_the_page_cannot_do_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot prepare images by the convention nnunet.*`format` onnx"):
        export_model(model_of(3, convention="nnunet"), tmp_path / "a.html", format="html")
    assert not (tmp_path / "a.html").exists()


def test_regions_are_named_in_the_page_in_place_of_classes(tmp_path: Path) -> None:
    need_vendor()
    model = model_of(3, regions=(Region(name="whole tumour", classes=(1,), written=1),))
    export_model(model, tmp_path / "a.html", format="html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<title>Segment whole tumour</title>" in text and '<p class="soft" >A region holds' in text


def test_the_name_and_the_precision_of_a_page() -> None:
    assert choose_format(Path("segment.html"), None) == "html"
    assert check_precision("html", "f32") == "f32"
    for precision in ("bf16", "int8"):
        with pytest.raises(ConfigError, match=f"`precision` {precision} is not possible with `format` html"):
            check_precision("html", precision)


def test_modules_become_one_script_each_once_and_in_order() -> None:
    script = web_script.script_of("worker")
    assert script.count("const module_refusal =") == 1
    assert (
        script.index("module_resampling =")
        < script.index("module_prepare =")
        < script.index("module_worker =")
    )
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


def test_modules_that_cannot_stand_in_a_page_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_script, "asset", lambda name: tmp_path / name)
    for text in ('import x from "./b.mjs";\n', "export default 1;\n", 'const a = "</script>";\n'):
        (tmp_path / "a.mjs").write_text(text)
        with pytest.raises(ValueError, match=r"a\.mjs: holds an import, an export or a tag"):
            web_script.script_of("a")
