"Small trees in the exact format of every set, mappings pixel by pixel, raw releases, and everything that can be wrong with a folder."
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dotseg
from dotseg.evaluation.datasets import (DATASETS, IGNORED, DatasetError, find_dataset, find_files, find_spec, load_dataset, load_folder,
                             read_mask, survey, to_labels)
from dotseg.evaluation.metrics import confusion_matrix
from dotseg.evaluation.preparation import CITYSCAPES, COCO_OBJECT, COCO_STUFF, CONTEXT, prepare
from dotseg.segmentation.images import ImageError

# what a value of a mask means, written out once more
MEANING = {
    "voc21": lambda v: -1 if v == 255 else v,
    "voc20": lambda v: -1 if v in (0, 255) else v - 1,
    "context60": lambda v: -1 if v == 255 else v,
    "context59": lambda v: -1 if v in (0, 255) else v - 1,
    "coco_stuff": lambda v: -1 if v == 255 else v,
    "coco_object": lambda v: 0 if v == 255 else v,
    "cityscapes": lambda v: -1 if v == 255 else v,
    "ade20k": lambda v: -1 if v in (0, 255) else v - 1,
}
HIGHEST = {"voc21": 20, "voc20": 20, "context60": 59, "context59": 59, "coco_stuff": 170, "coco_object": 80, "cityscapes": 18, "ade20k": 150}
FILES = {  # name of an image -> its image, its mask
    "voc": ("2007_00003{}", "JPEGImages/{}.jpg", "SegmentationClass/{}.png", "ImageSets/Segmentation/val.txt"),
    "context": ("2008_00000{}", "JPEGImages/{}.jpg", "SegmentationClassContext/{}.png", "ImageSets/SegmentationContext/val.txt"),
    "coco_stuff": ("00000000013{}", "images/val2017/{}.jpg", "annotations/val2017/{}_labelTrainIds.png", None),
    "coco_object": ("00000000013{}", "images/val2017/{}.jpg", "annotations/val2017/{}_instanceTrainIds.png", None),
    "cityscapes": ("lindau/lindau_00000{}_000019", "leftImg8bit/val/{}_leftImg8bit.png", "gtFine/val/{}_gtFine_labelTrainIds.png", None),
    "ade20k": ("ADE_val_0000000{}", "images/validation/{}.jpg", "annotations/validation/{}.png", None),
}


def put(path, array, palette=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array)
    if palette is not None:
        picture.putpalette(palette)
    picture.save(path, **options)
    return path


def tree(root, name, n=3, size=(9, 12)):
    "A small set in the format of the real one; the masks, by name."
    rng, masks = np.random.default_rng(0), {}
    stem, images, labels, split_file = FILES[name if name in FILES else name[:3] if name.startswith("voc") else "context"]
    for i in range(n):
        raw = rng.integers(0, HIGHEST[name] + 1, size).astype(np.uint8)
        raw[0], raw[:, 0] = 255, 255  # a border that is void
        raw[-1, -2:] = 0, HIGHEST[name]
        masks[stem.format(i)] = raw
        put(root / images.format(stem.format(i)), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        put(root / labels.format(stem.format(i)), raw, bytes(range(256)) * 3 if name.startswith(("voc", "context")) else None)
    if split_file:
        (root / split_file).parent.mkdir(parents=True)
        (root / split_file).write_text("".join(f"{name}\n" for name in masks))
        put(root / images.format("2011_999999"), np.zeros((*size, 3), np.uint8))  # of another split
    return masks


def load(name, root, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_dataset(name, root, **options)


@pytest.mark.parametrize("name", MEANING)
def test_every_pixel_means_what_it_should(tmp_path, name):
    masks = tree(tmp_path, name)
    with pytest.warns(UserWarning, match="3 images in .*, the whole set has"):
        found = load_dataset(name, tmp_path)
    assert [example.name for example in found] == list(masks)
    for example in found:
        image, labels = example.read()
        assert image.shape == (9, 12, 3) and image.dtype == np.uint8 and labels.dtype == np.int32
        raw = masks[example.name]
        for y in range(9):
            for x in range(12):
                assert labels[y, x] == MEANING[name](int(raw[y, x]))
        k = len(found.spec.classes)
        assert labels.max() == k - 1
        counted = confusion_matrix(torch.tensor(labels), torch.zeros(9, 12, dtype=torch.long), k).sum().item()
        assert counted == (labels != IGNORED).sum()


def test_the_tables_are_those_of_the_benchmarks():
    assert {name: len(spec.classes) for name, spec in DATASETS.items()} == {
        "voc21": 21, "voc20": 20, "context60": 60, "context59": 59, "coco_stuff": 171, "coco_object": 81, "cityscapes": 19, "ade20k": 150, "picturebook": 18}
    assert {name: spec.count for name, spec in DATASETS.items()} == {
        "voc21": 1449, "voc20": 1449, "context60": 5104, "context59": 5104, "coco_stuff": 5000, "coco_object": 5000, "cityscapes": 500, "ade20k": 2000, "picturebook": 200}
    assert {name for name, spec in DATASETS.items() if spec.background_threshold is not None} == {"voc21", "context60", "coco_object"}
    places = {"voc21": {0: "background", 1: "aeroplane", 11: "dining table", 15: "person", 20: "tv monitor"},
              "voc20": {0: "aeroplane", 14: "person", 19: "tv monitor"}, "context60": {0: "background", 37: "person", 59: "wood"},
              "coco_stuff": {0: "person", 64: "computer mouse", 79: "toothbrush", 80: "banner", 112: "grass", 145: "sky", 170: "wood"},
              "coco_object": {0: "background", 1: "person", 80: "toothbrush"}, "cityscapes": {0: "road", 10: "sky", 12: "rider", 18: "bicycle"},
              "ade20k": {0: "wall", 2: "sky", 12: "person", 80: "bus", 127: "bicycle", 149: "flag"}}
    for name, expected in places.items():
        assert {i: DATASETS[name].names[i] for i in expected} == expected
    assert DATASETS["coco_object"].names[1:] == DATASETS["coco_stuff"].names[:80]
    assert DATASETS["voc21"].names[1:] == DATASETS["voc20"].names and DATASETS["context60"].names[1:] == DATASETS["context59"].names
    assert DATASETS["voc20"].prompts[0] == "aeroplane|airplane"


@pytest.mark.parametrize("name", DATASETS)
def test_no_name_occurs_twice_and_all_are_plain_words(name):
    words = [word for names in DATASETS[name].classes for word in names]
    assert len(set(words)) == len(words)
    assert all(word == word.strip().lower() and word.replace(" ", "").isalpha() for word in words)


def test_names_of_sets_are_forgiving_but_not_guessed():
    assert find_spec("COCO-Stuff") is DATASETS["coco_stuff"]
    with pytest.raises(DatasetError, match="dataset: got 'coco', expected one of voc21, "):
        find_spec("coco")


def test_slices_share_a_set_among_processes(tmp_path):
    masks = list(tree(tmp_path, "ade20k", 7))
    found = load("ade20k", tmp_path)
    for ranks in (1, 2, 3):
        parts = [[example.name for example in found[rank::ranks]] for rank in range(ranks)]
        assert sorted(sum(parts, [])) == masks
    assert found[2:][-1].name == masks[-1] and len(found[5:][:9]) == 2
    copied = pickle.loads(pickle.dumps(found[1::3]))
    assert [example.name for example in copied] == masks[1::3]
    assert (copied[0].labels() == found[1].labels()).all()


def test_a_broken_file_is_named_and_the_others_are_read(tmp_path):
    tree(tmp_path, "voc21")
    (tmp_path / "JPEGImages/2007_000031.jpg").write_bytes(b"not an image")
    mask = tmp_path / "SegmentationClass/2007_000032.png"
    mask.write_bytes(mask.read_bytes()[:60])
    found = load("voc21", tmp_path)
    assert found[0].read()[1].shape == (9, 12)
    with pytest.raises(ImageError, match="2007_000031.jpg: not an image"):
        found[1].read()
    with pytest.raises(ImageError, match="2007_000032.png: cannot be read as an image"):
        found[2].read()


def test_sizes_that_differ(tmp_path):
    tree(tmp_path, "ade20k")
    put(tmp_path / "annotations/validation/ADE_val_00000000.png", np.zeros((12, 9), np.uint8))
    with pytest.raises(ImageError, match="ADE_val_00000000: the image is 12 x 9 pixels, its mask 9 x 12"):
        load("ade20k", tmp_path)[0].read()


def test_a_missing_label(tmp_path):
    tree(tmp_path, "voc21")
    (tmp_path / "SegmentationClass/2007_000031.png").unlink()
    with pytest.raises(DatasetError, match="voc21: 1 of 3 have no mask, such as SegmentationClass/2007_000031.png"):
        load("voc21", tmp_path)
    (tmp_path / "JPEGImages/2007_000031.jpg").unlink()
    with pytest.raises(DatasetError, match="voc21: 1 of 3 have no image, such as JPEGImages/2007_000031.jpg"):
        load("voc21", tmp_path)


def test_values_that_mean_nothing(tmp_path):
    tree(tmp_path, "ade20k")
    put(tmp_path / "annotations/validation/ADE_val_00000000.png", np.array([[1, 151, 254]], np.uint8).repeat(4, 1).repeat(9, 0))
    with pytest.raises(ImageError, match="ADE_val_00000000.png: 72 pixels of value 151, 254, expected 0 to 150, or 255"):
        load("ade20k", tmp_path)[0].read()


@pytest.mark.parametrize("root", ["", "..", "JPEGImages"])
def test_a_wrong_root_lists_what_was_looked_for_and_found(tmp_path, root):
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    tree(voc, "voc21")
    wrong = tmp_path if root == "" else voc / root
    with pytest.raises(DatasetError) as error:
        load("voc21", wrong)
    text = str(error.value)
    assert f"voc21 (Pascal VOC 2012, 20 things and background) is not in {wrong}. Looked for:" in text
    assert "ImageSets/Segmentation/val.txt  nothing found" in text and "SegmentationClass/{}.png        nothing found" in text
    assert "In that folder are: " in text and text.endswith("pass that folder.") and "VOC2012" in text.splitlines()[-1]


def test_no_root_no_folder_and_an_empty_one(tmp_path):
    for root, message in ((None, "root: got none; give the folder of Pascal VOC 2012"), (tmp_path / "lost", "lost: no such folder"), (tmp_path, "In that folder are: nothing")):
        with pytest.raises(DatasetError, match=message):
            load("voc21", root)
    city = tmp_path / "data" / "cityscapes"
    tree(city, "cityscapes")
    assert survey(DATASETS["cityscapes"], city) == {"leftImg8bit/val/{}_leftImg8bit.png": 3, "gtFine/val/{}_gtFine_labelTrainIds.png": 3}
    assert [find_dataset(DATASETS["cityscapes"], p) for p in (city, tmp_path, tmp_path / "data", city / "gtFine")] == [city] * 4
    assert find_dataset(DATASETS["ade20k"], tmp_path) is None and find_dataset(DATASETS["picturebook"], tmp_path) is None


@pytest.mark.parametrize("name", [name for name, spec in DATASETS.items() if spec.made])
def test_masks_that_have_to_be_made_are_said_to_be(tmp_path, name):
    tree(tmp_path, name)
    for path in find_files(tmp_path, DATASETS[name].masks).values():
        path.unlink()
    with pytest.raises(DatasetError, match=f"dotseg prepare {name} --root"):
        load(name, tmp_path)


def test_the_background_is_reported_as_what_it_is(tmp_path):
    masks = tree(tmp_path, "voc21")
    words = ["sky|bed|wall", *(f"thing {i}" for i in range(19)), "bed"]
    with pytest.warns(UserWarning, match="results are not comparable"), pytest.warns(UserWarning, match='"bed" is a name of "sky" and of "bed"; it counts for the first of them, and "bed" is found nowhere'):
        found = load_dataset("voc21", tmp_path, classes=words)
    assert found.spec.names == ["background", *(f"thing {i}" for i in range(19)), "bed"] and found.spec.prompts == words and len(found) == len(masks)
    assert [spec.names[0] == "background" for spec in DATASETS.values()] == [spec.background_threshold is not None for spec in DATASETS.values()]
    (tmp_path / "JPEGImages/2011_999999.jpg").unlink()
    own = load_folder(tmp_path / "JPEGImages/{}.jpg", tmp_path / "SegmentationClass", "sky|wall, cat", background_threshold=0.1)
    assert own.spec.names == ["background", "cat"] and own.spec.prompts == ["sky|wall", "cat"]
    assert load_folder(tmp_path / "JPEGImages/{}.jpg", tmp_path / "SegmentationClass", "sky|wall, cat").spec.names == ["sky", "cat"]


def test_other_words_for_the_same_classes(tmp_path):
    masks = tree(tmp_path, "voc20")
    words = tmp_path / "words.txt"
    words.write_text("\n".join(f"thing {i}; object {i}" for i in range(20)))
    found = load("voc20", tmp_path, classes=words)
    assert found.spec.prompts[3] == "thing 3|object 3" and found.spec.names[3] == "thing 3" and len(found) == len(masks)
    assert DATASETS["voc20"].names[3] == "boat"
    with pytest.raises(DatasetError, match="classes: got 20, expected 21, the classes of voc21 in their order; the first is the background, here background; sky;"):
        load("voc21", tmp_path, classes=words)


def test_a_folder_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 300, (5, 7)).astype(np.uint16)
    raw[0, 0] = 65535
    put(tmp_path / "in/a/one.PNG", np.zeros((5, 7, 3), np.uint8))
    put(tmp_path / "out/a/one_mask.png", raw)
    found = load_folder(tmp_path / "in", str(tmp_path / "out/{}_mask.png"), [f"class {i}" for i in "abc"] + [f"c{i}" for i in range(297)], ignored=[65535])
    image, labels = found[0].read()
    assert found[0].name == "a/one" and image.shape == (5, 7, 3)
    assert (labels == np.where(raw == 65535, -1, raw.astype(int))).all()  # 255 is a class here
    with pytest.raises(DatasetError, match="1 of 1 have no mask, such as"):
        load_folder(tmp_path / "in", tmp_path / "out", ["cat"])
    with pytest.raises(DatasetError, match="empty: no images there"):
        load_folder(tmp_path / "empty", tmp_path / "out", ["cat"])
    put(tmp_path / "in/a/one.jpg", np.zeros((5, 7, 3), np.uint8))
    with pytest.raises(DatasetError, match="have the same name; rename one"):
        load_folder(tmp_path / "in", tmp_path / "out", ["cat"])


def test_values_that_do_not_count_in_a_folder(tmp_path):
    put(tmp_path / "in/x.png", np.zeros((1, 4, 3), np.uint8))
    put(tmp_path / "out/x.png", np.array([[0, 1, 2, 255]], np.uint8))
    assert load_folder(tmp_path / "in", tmp_path / "out", ["a", "b", "c"])[0].labels().tolist() == [[0, 1, 2, -1]]
    assert load_folder(tmp_path / "in", tmp_path / "out", ["a", "b"], first=1)[0].labels().tolist() == [[-1, 0, 1, -1]]
    with pytest.raises(ImageError, match="1 pixels of value 2, expected 0 to 1, or 255"):
        load_folder(tmp_path / "in", tmp_path / "out", ["a", "b"])[0].labels()
    assert load_folder(tmp_path / "in", tmp_path / "out", ["a", "b"], ignored=[2, 11])[0].labels().tolist() == [[0, 1, -1, -1]]
    assert load_folder(tmp_path / "in", tmp_path / "out", ["a", "b", "c"], ignored=[0])[0].labels().tolist() == [[-1, 1, 2, -1]]
    for wrong in (-1, 65536, 1.5, "11"):
        with pytest.raises(ValueError, match="ignored: got"):
            load_folder(tmp_path / "in", tmp_path / "out", ["a", "b"], ignored=[wrong])


@pytest.mark.parametrize("array", [np.array([[0, 1], [2, 255]], np.uint8), np.array([[0, 1], [300, 65535]], np.uint16), np.array([[True, False]])])
def test_masks_of_several_kinds(tmp_path, array):
    assert (read_mask(put(tmp_path / "mask.png", array)) == array).all()


def test_what_is_no_mask(tmp_path):
    path = put(tmp_path / "mask.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ImageError, match="mode RGB, expected one integer a pixel"):
        read_mask(path)
    path = tmp_path / "mask.tif"
    Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    with pytest.raises(ImageError, match="mode F"):
        read_mask(path)
    with pytest.raises(ImageError, match="does not keep the exact numbers"):
        read_mask(put(tmp_path / "mask.jpg", np.zeros((4, 4), np.uint8)))
    with pytest.raises(ImageError, match="no such file"):
        read_mask(tmp_path / "lost.png")


def test_negative_values_mean_nothing():
    with pytest.raises(ImageError, match="mask: 1 pixels of value -7"):
        to_labels(np.array([[0, -7]], np.int32), {0: 0, 1: 1})


def test_the_picture_book_is_a_set_like_the_others():
    from dotseg.miniature.picturebook import PictureBook

    found, book = load_dataset("picturebook"), PictureBook("test", 200)
    image, labels = found[5].read()
    assert len(found) == 200 and (image == book[5].image).all() and (labels == book[5].labels).all()
    assert len({example.name for example in found[:5]}) == 5


def test_class_files_travel_with_the_package():
    shipped = {path.stem for path in (Path(dotseg.__file__).parent / "evaluation" / "data").glob("*.txt")}
    assert shipped == {"voc21", "context60", "coco_stuff", "coco_object", "cityscapes", "ade20k"}


# Raw releases

def made(name, root, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return prepare(name, root, progress=False, **options)


def test_cityscapes_by_the_official_table(tmp_path):
    official = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
    assert {v: official.get(v, 255) for v in range(34)} == CITYSCAPES
    raw = np.arange(34, dtype=np.uint8).reshape(2, 17)
    put(tmp_path / "leftImg8bit/val/ulm/ulm_0_leftImg8bit.png", np.zeros((2, 17, 3), np.uint8))
    put(tmp_path / "gtFine/val/ulm/ulm_0_gtFine_labelIds.png", raw)
    put(tmp_path / "gtFine/val/ulm/ulm_0_gtFine_instanceIds.png", raw.astype(np.uint16))
    with pytest.warns(UserWarning, match="makes 1 masks, the whole set has 500"):
        done = prepare("cityscapes", tmp_path, progress=False)
    assert (done.written, done.total) == (1, 1)
    mask = read_mask(tmp_path / "gtFine/val/ulm/ulm_0_gtFine_labelTrainIds.png")
    assert mask.dtype == np.uint8 and mask.ravel().tolist() == [official.get(v, 255) for v in range(34)]
    assert load("cityscapes", tmp_path)[0].labels().ravel().tolist() == [official.get(v, -1) for v in range(34)]


def test_coco_from_pixel_maps(tmp_path):
    gaps = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91]  # ids without a class
    ids = [i for i in range(1, 183) if i not in gaps]
    assert len(ids) == 171 and list(COCO_STUFF) == [i - 1 for i in ids] + [255]
    raw = np.array([[i - 1 for i in ids] + [255]], np.uint8)
    put(tmp_path / "images/val2017/000000000139.jpg", np.zeros((1, 172, 3), np.uint8))
    put(tmp_path / "annotations/val2017/000000000139.png", raw)
    for _ in range(2):  # the masks of one are no pixel maps for the other
        made("coco_stuff", tmp_path)
        assert made("coco_object", tmp_path).total == 1
    assert load("coco_stuff", tmp_path)[0].labels()[0].tolist() == [*range(171), -1]
    assert load("coco_object", tmp_path)[0].labels()[0].tolist() == [*range(1, 81)] + [0] * 92
    assert list(COCO_OBJECT.values()) == [*range(1, 81)] + [0] * 92
    put(tmp_path / "annotations/val2017/000000000285.png", np.array([[11]], np.uint8))
    with pytest.raises(DatasetError, match="(?s)1 of 2 masks could not be made.*000000000285.png: 1 pixels of value 11"):
        made("coco_stuff", tmp_path)


def instances(root, annotations, n=2, size=(6, 8)):
    images = [{"id": i, "file_name": f"{i:012}.jpg", "height": size[0], "width": size[1]} for i in range(1, n + 1)]
    path = root / "annotations/instances_val2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
    for i in range(1, n + 1):
        put(root / f"images/val2017/{i:012}.jpg", np.zeros((*size, 3), np.uint8))
    return path


def run_lengths(mask):  # COCO's, down the columns, zeros first
    flat = np.concatenate([[0], mask.T.ravel(), [0]])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()


def test_coco_object_from_annotations_on_val_alone(tmp_path):
    pytest.importorskip("pycocotools")
    crowd = np.zeros((6, 8), np.uint8)
    crowd[:, 4:] = 1
    annotations = [
        {"image_id": 1, "category_id": 90, "iscrowd": 0, "segmentation": [[5, 1, 7, 1, 7, 3, 5, 3]]},  # toothbrush, before the crowd
        {"image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": {"size": [6, 8], "counts": run_lengths(crowd)}},
        {"image_id": 1, "category_id": 18, "iscrowd": 0, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2], [0, 4, 2, 4, 2, 6, 0, 6]]},  # dog in two parts
    ]
    instances(tmp_path, annotations)
    done = made("coco_object", tmp_path)
    assert done.source.endswith("instances_val2017.json") and done.total == 2
    labels = load("coco_object", tmp_path)[0].labels()
    names = DATASETS["coco_object"].names
    expected = np.zeros((6, 8), int)
    expected[:, 4:], expected[0:2, 0:2], expected[4:6, 0:2], expected[1:3, 5:7] = names.index("person"), names.index("dog"), names.index("dog"), names.index("toothbrush")
    assert (labels == expected).all()
    assert load("coco_object", tmp_path)[1].labels().max() == 0  # no object at all


def test_coco_object_is_the_same_from_both_sources(tmp_path):
    pytest.importorskip("pycocotools")
    rng = np.random.default_rng(0)
    maps, annotations = np.full((20, 30), 255, np.uint8), []
    for place, i in zip(rng.permutation(6), (1, 13, 27, 44, 67, 90)):
        part = np.zeros((20, 30), np.uint8)
        part[:, 5 * place : 5 * place + 5] = rng.random((20, 5)) < 0.7
        maps[part > 0] = i - 1
        annotations.append({"image_id": 1, "category_id": i, "segmentation": {"size": [20, 30], "counts": run_lengths(part)}})
    path = instances(tmp_path / "a", annotations, 1, (20, 30))
    put(tmp_path / "b/images/val2017/000000000001.jpg", np.zeros((20, 30, 3), np.uint8))
    put(tmp_path / "b/annotations/val2017/000000000001.png", maps)
    assert made("coco_object", tmp_path / "a").source == str(path)
    assert made("coco_object", tmp_path / "b").source.endswith("val2017/*.png")
    first, second = (load("coco_object", tmp_path / x)[0].labels() for x in "ab")
    assert (first == second).all() and first.max() == 80
    (tmp_path / "a/annotations/val2017/000000000001_instanceTrainIds.png").unlink()
    made("coco_object", tmp_path / "a", source=path)
    assert (load("coco_object", tmp_path / "a")[0].labels() == first).all()


def test_context_from_the_json_of_the_detail_api(tmp_path):
    coco = pytest.importorskip("pycocotools.mask")
    size, ids = (12, 5), sorted(CONTEXT)[1:]
    assert len(ids) == 59 and ids[0] == 2 and ids[-1] == 458
    annotations = []
    for i, category in enumerate(ids):
        pixel = np.zeros(size, np.uint8, order="F")
        pixel.ravel(order="K")[i] = 1
        code = coco.encode(pixel)
        annotations.append({"id": i, "image_id": 2008000002, "category_id": category, "segmentation": code | {"counts": code["counts"].decode()}})
    images = [{"image_id": 2008000002, "file_name": "2008_000002.jpg", "phase": "val", "height": 12, "width": 5},
              {"image_id": 2008000003, "file_name": "2008_000003.jpg", "phase": "train", "height": 12, "width": 5}]
    for image in images:
        put(tmp_path / "JPEGImages" / image["file_name"], np.zeros((12, 5, 3), np.uint8))
    (tmp_path / "trainval_merged.json").write_text(json.dumps({"images": images, "annos_segmentation": annotations}))
    assert made("context59", tmp_path).total == 1
    assert (tmp_path / "ImageSets/SegmentationContext/val.txt").read_text() == "2008_000002\n"
    with_background, without = (load(name, tmp_path)[0].labels().ravel(order="F") for name in ("context60", "context59"))
    assert with_background.tolist() == [*range(1, 60), 0] and without.tolist() == [*range(59), -1]
    annotations[0]["category_id"] = 3
    (tmp_path / "other.json").write_text(json.dumps({"images": images, "annos_segmentation": annotations}))
    with pytest.raises(DatasetError, match="other.json: holds category 3, which context60 does not have"):
        made("context60", tmp_path, source=tmp_path / "other.json")


def test_an_interrupted_conversion_goes_on(tmp_path, monkeypatch):
    import dotseg.evaluation.preparation as module

    for i in range(5):
        put(tmp_path / f"gtFine/val/ulm/ulm_{i}_gtFine_labelIds.png", np.full((2, 2), 7, np.uint8))
    real, calls = module.atomic_write, []

    def interrupted(path, write):
        calls.append(path)
        if len(calls) == 3:
            def half(file):
                file.write(b"half")
                raise KeyboardInterrupt
            return real(path, half)
        return real(path, write)

    monkeypatch.setattr(module, "atomic_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made("cityscapes", tmp_path)
    there = sorted(p.name for p in (tmp_path / "gtFine/val/ulm").iterdir() if "labelIds" not in p.name)
    assert there == ["ulm_0_gtFine_labelTrainIds.png", "ulm_1_gtFine_labelTrainIds.png"]
    monkeypatch.setattr(module, "atomic_write", real)
    done = made("cityscapes", tmp_path)
    assert (done.written, done.total) == (3, 5)


def test_nothing_to_make_masks_of(tmp_path):
    for name, message in (("cityscapes", "nothing to make masks from: .*labelIds.png does not exist"), ("coco_stuff", "nothing to make masks from"),
                          ("coco_object", "neither pixel maps .* nor annotations"), ("context60", "trainval_merged.json: No such file"),
                          ("ade20k", "ade20k needs no preparation"), ("picturebook", "needs no preparation")):
        with pytest.raises(DatasetError, match=message):
            made(name, tmp_path)
    with pytest.raises(DatasetError, match="lost: no such folder"):
        made("cityscapes", tmp_path / "lost")
    (tmp_path / "trainval_merged.json").write_text("{}")
    with pytest.raises(DatasetError, match="no annotations with images,annos_segmentation"):
        made("context60", tmp_path)


def test_a_missing_pycocotools_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycocotools", None)
    instances(tmp_path, [{"image_id": 1, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 2]]}])
    with pytest.raises(DatasetError, match="pip install pycocotools"):
        made("coco_object", tmp_path)
