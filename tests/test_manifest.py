from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from masknet import __version__
from masknet.errors import ArtifactError
from masknet.manifest import FORMAT, Manifest, installed_versions, read_manifest, verify, write_checksums


def manifest() -> Manifest:
    return Manifest(
        masknet=__version__,
        created="2026-01-31T12:00:00+00:00",
        model="lr",
        settings={"widths": (4, 4), "reduction": None},
        num_parameters={"embedding": 9, "network": 1},
        precision="fp32",
        threads=2,
        device="cpu",
        seed=7,
        versions=installed_versions(),
        data={"name": "clicks.csv", "rows": 900},
        training={"epochs": 3, "seconds": 1.5},
        metrics={"auc": {"value": 0.7, "low": 0.6, "high": 0.8}, "pr_auc": {"value": None, "why": "one class"}},
        rows=100,
    )


def artifact(folder: Path) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(manifest().model_dump_json(indent=1), encoding="utf-8")
    (folder / "weights.bin").write_bytes(bytes(range(256)))
    write_checksums(folder)
    return folder


def edit(folder: Path, **changes: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "ads.masknet")
    verify(folder)
    found = read_manifest(str(folder))
    assert found.model_dump(mode="json") == manifest().model_dump(mode="json")
    assert found.settings == {"widths": [4, 4], "reduction": None}
    assert found.format == FORMAT


def test_the_checksums_list_every_other_file(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "ads.masknet")
    listed = json.loads((folder / "checksums.json").read_text())["files"]
    assert listed.keys() == {"manifest.json", "weights.bin"}
    assert listed["weights.bin"] == {
        "bytes": 256,
        "sha256": "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880",
    }


@pytest.mark.parametrize("name", ["manifest.json", "weights.bin", "checksums.json"])
@pytest.mark.parametrize("how", ["cut", "grown", "missing", "changed"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, how: str) -> None:
    folder = artifact(tmp_path / "ads.masknet")
    file = folder / name
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        changed = {
            "cut": content[:-1],
            "grown": content + b"\n",
            "changed": bytes([content[0] ^ 1]) + content[1:],
        }
        file.write_bytes(changed[how])
    with pytest.raises(ArtifactError, match=rf"ads\.masknet' is damaged: {name} .*; copy it anew"):
        verify(folder)
    if name == "manifest.json":
        with pytest.raises(ArtifactError, match=rf"damaged: {name}"):
            read_manifest(folder)


def test_a_newer_format_asks_for_an_update_even_where_all_else_is_strange(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "ads.masknet")
    edit(folder, format=FORMAT + 1, masknet="9.1", seed="a text", metrics=[])
    sentence = (
        rf"was written by masknet 9\.1 in format {FORMAT + 1}; this masknet {__version__} reads format {FORMAT}: update"
    )
    (folder / "checksums.json").write_text('{"blake3": []}')
    with pytest.raises(ArtifactError, match=sentence):
        read_manifest(folder)
    (folder / "checksums.json").unlink()
    with pytest.raises(ArtifactError, match=sentence):
        read_manifest(folder)


def test_a_damaged_format_is_damage_and_no_newer_format(tmp_path: Path) -> None:
    folder = artifact(tmp_path / "ads.masknet")
    file = folder / "manifest.json"
    file.write_bytes(file.read_bytes().replace(f'"format": {FORMAT}'.encode(), b'"format": 9'))
    with pytest.raises(ArtifactError, match=r"damaged: manifest\.json"):
        read_manifest(folder)


@pytest.mark.parametrize("wrong", [{"format": "1"}, {"format": None}, {"format": 0.5}, {"seed": "x"}, {"metrics": []}])
def test_a_manifest_that_is_none_is_damage(tmp_path: Path, wrong: dict[str, object]) -> None:
    folder = artifact(tmp_path / "ads.masknet")
    edit(folder, **wrong)
    (folder / "checksums.json").unlink()
    with pytest.raises(ArtifactError, match=r"damaged: manifest\.json has no valid '" + next(iter(wrong))):
        read_manifest(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe"])
def test_a_manifest_that_is_no_json_object_is_damage(tmp_path: Path, content: bytes) -> None:
    folder = artifact(tmp_path / "ads.masknet")
    (folder / "manifest.json").write_bytes(content)
    (folder / "checksums.json").unlink()
    with pytest.raises(ArtifactError, match=r"damaged: manifest\.json is not readable"):
        read_manifest(folder)


def test_no_artifact_at_all_has_its_sentences(tmp_path: Path) -> None:
    artifact(tmp_path / "ads.masknet")
    with pytest.raises(ArtifactError, match=r"no artifact at .*ads\.maskent'; did you mean '.*ads\.masknet'\?"):
        read_manifest(tmp_path / "ads.maskent")
    with pytest.raises(ArtifactError, match=r"no artifact at .*; `masknet train` makes one"):
        read_manifest(tmp_path / "nowhere" / "ads.masknet")
    with pytest.raises(ArtifactError, match=r"with a manifest\.json; '.*' has none"):
        read_manifest(tmp_path)
    with pytest.raises(ArtifactError, match="is a file"):
        read_manifest(tmp_path / "ads.masknet" / "weights.bin")


def test_torch_is_not_imported() -> None:
    code = "import sys, masknet.manifest as m; m.installed_versions(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
