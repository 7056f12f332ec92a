"Class names, synonyms and their embeddings, on small CLIPs with random weights."
import math
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip import OPENAI_IMAGENET_TEMPLATES
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from test_clip import CLASSES, TOKENIZE, tiny
from torch.testing import assert_close

from dotseg.miniature.embedded import MiniatureTokenizer, build_clip
from dotseg.models.prompts import PromptEncoder, all_names, best_synonym, check_classes, class_names, read_classes


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="|"), min_size=1).filter(str.strip), min_size=1, max_size=6))
def test_check_classes_strips_and_is_idempotent(names):
    wanted = [name.strip() for name in names]
    if len(set(wanted)) < len(wanted):
        with pytest.raises(ValueError, match="given more than once"):
            check_classes(names)
    else:
        assert check_classes(check_classes(names)) == wanted
        assert check_classes(tuple(names)) == check_classes(iter(names)) == wanted


@pytest.mark.parametrize("wrong", ["sky", "sky, tree", "", None, 3, [], ["sky", ""], ["sky", None], ["sky", 3], [" "], ["sky", " sky"],
                                   ["|"], ["sky|"], ["sky| |tree"], ["sky|sky"], ["sky|tree", "sky|sun"], ["a|b", "c", " a|d"], ["a", "b| c|c "]])
def test_check_classes_refuses(wrong):
    with pytest.raises(ValueError, match="classes: "):
        check_classes(wrong)


def test_prompts_are_the_unit_mean_of_unit_vectors():
    model, templates = tiny(), [lambda c: f"a {c}.", lambda c: f"the {c} of my dreams"]
    rows = PromptEncoder(model, TOKENIZE, templates)(CLASSES)
    for name, row in zip(CLASSES, rows):
        each = torch.stack([F.normalize(model.encode_text(TOKENIZE([t(name)]))[0], dim=0) for t in templates])
        assert_close(row, F.normalize(each.mean(0), dim=0), atol=1e-6, rtol=0)
    assert rows.dtype == torch.float32 and rows.shape == (3, 8)
    assert_close(rows.norm(dim=1), torch.ones(3))


def test_prompts_are_80_and_encoded_once():
    model, seen = tiny(), []
    encode = PromptEncoder(model, TOKENIZE)
    model.transformer.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    first = encode(["sky", "tree"])
    assert seen == [80, 80]
    assert torch.equal(encode(["tree", " sky"]), first.flip(0)) and seen == [80, 80]
    encode(["sky", "fish"])
    assert seen == [80] * 3
    assert not first.requires_grad


@pytest.mark.parametrize("context", [16, 32, 77])
def test_prompts_too_long_are_refused_to_the_token(context):
    def tokenize(texts, context_length=context):
        return TOKENIZE(texts, context_length)

    encode = PromptEncoder(tiny(context=context), tokenize, [lambda c: c])
    assert encode([" ".join(["tree"] * (context - 2))]).shape == (1, 8)  # and the two marks of beginning and end
    for words in (context - 1, context, 3 * context):
        with pytest.raises(ValueError, match=f"longer than the {context} tokens that the model reads; use a shorter name"):
            encode(["tree", " ".join(["tree"] * words)])


@pytest.mark.parametrize("pad", [0, 9])
def test_prompts_too_long_are_refused_whatever_the_padding(pad):
    def tokenize(texts, context_length=6):  # pads with 0 or, as some do, with the end token
        rows = [[1] + [2 + len(word) for word in text.split()][: context_length - 2] + [9] for text in texts]
        return torch.tensor([row + [pad] * (context_length - len(row)) for row in rows])

    encode = PromptEncoder(tiny(), tokenize, [lambda c: c])
    assert encode.tokens("a b c d").shape == (1, 6)
    with pytest.raises(ValueError, match="longer than the 6 tokens"):
        encode.tokens("a b c d e")


def test_no_templates():
    with pytest.raises(ValueError, match="templates: got none"):
        PromptEncoder(tiny(), TOKENIZE, [])


def test_the_miniature_refuses_words_by_name():
    encode = PromptEncoder(build_clip().eval(), MiniatureTokenizer())
    assert encode(["sky", "ball"]).shape == (2, 128)
    with pytest.raises(ValueError, match=r"the miniature does not know \['giraffe'\]"):
        encode(["sky", "giraffe"])
    with pytest.raises(ValueError, match="longer than the 32 tokens"):
        encode([" and ".join(["sky"] * 16)])
    assert set(encode.cache) == {"sky", "ball"}


# synonyms


def test_class_names():
    assert check_classes([" sofa |couch", "tv"]) == ["sofa|couch", "tv"]
    assert class_names([" sofa |couch", "tv"]) == ["sofa", "tv"]
    with pytest.raises(ValueError, match="classes: couch, tv given more than once"):
        class_names(["sofa|couch|couch", "tv", "tv|couch"])


@pytest.mark.filterwarnings("ignore:classes.*is a name of")
@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True), min_size=1, max_size=5, unique_by=lambda group: group[0]), st.integers(0, 99))
def test_a_name_of_two_classes_is_the_first_ones(groups, seed):
    "Against a loop: every name is asked for once, and of each class those names count that no class before it has."
    classes = ["|".join(group) for group in groups]
    names = list(dict.fromkeys(name for group in groups for name in group))
    assert check_classes(classes) == classes and all_names(classes) == names
    cosines = torch.randn(2, len(names), 3, generator=torch.Generator().manual_seed(seed))
    found, taken = best_synonym(cosines, classes), set()
    for i, group in enumerate(groups):
        own = [names.index(name) for name in group if name not in taken]
        taken |= set(group)
        want = cosines[:, own].amax(1) if own else torch.full((2, 3), -math.inf)
        assert torch.equal(found[:, i], want)
    assert torch.equal(found.argmax(1), torch.stack([cosines[:, [names.index(n) for n in group]].amax(1) for group in groups], 1).argmax(1))  # as when both have it


def test_a_shared_name_is_said_once_and_costs_one_encoding(recwarn):
    model, seen = tiny(), []
    model.transformer.register_forward_pre_hook(lambda module, args: seen.append(1))
    warnings.simplefilter("default")
    for _ in range(3):
        rows = PromptEncoder(model, TOKENIZE)(["sky|tree", "fish", "tree"])
    assert rows.shape[0] == 3 and len(seen) == 9  # sky, tree, fish
    assert [str(w.message) for w in recwarn] == ['classes: "tree" is a name of "sky" and of "tree"; it counts for the first of them, and "tree" is found nowhere']


@pytest.mark.filterwarnings("ignore:classes.*is a name of")
@pytest.mark.parametrize("mode", ["velocity", "path", "fused", "contrast", "kl", "vote", "alone", "logits"])
def test_a_class_whose_only_name_is_anothers_changes_nothing_else(mode):
    from dotseg.miniature.picturebook import PictureBook
    from dotseg.segmentation.segmenter import Segmenter

    segmenter, page = Segmenter.from_preset("picturebook", device="cpu", mode=mode), PictureBook("validation", 1)[0].image
    found, without = (segmenter(page, classes) for classes in (["sky|kite|wood", "ball", "kite", "grass|sky"], ["sky|kite|wood", "ball", "grass"]))
    assert torch.equal(found.labels.long(), torch.tensor([0, 1, 3])[without.labels.long()]) and found.scores.isfinite().all()
    assert 2 not in found.kept and found.areas == without.areas


# as people write them


@pytest.mark.parametrize("text", [
    "cat; kitten\nsofa\n", "cat, kitten\r\nsofa\r\n", "\ufeffcat | kitten\n\nsofa", "# pets\ncat;kitten;\n  sofa  \n", "cat,kitten|\n".replace(",", ", ") + "sofa, \n",
    "  # remark\ncat|kitten # small\n\t# 2, 3\n\nsofa,\n#", "cat ; kitten #|tom\r\nsofa#".replace("sofa#", "sofa #"), "cat,\tkitten,\n;sofa\n \n"])
def test_class_files(tmp_path, text):
    path = tmp_path / "classes.txt"
    path.write_bytes(text.encode())
    assert read_classes(path) == read_classes(str(path)) == ["cat|kitten", "sofa"]


def test_class_files_that_are_refused(tmp_path):
    path = tmp_path / "classes.txt"
    for text, message in ((b"", "has no names, expected one class a line"), (b"# sky\n \n", "has no names"), (b"cat\ncat\n", "cat given more than once"), (b"caf\xe9\n", "not text in UTF-8"),
                          (b"sky\n\ngrass,tree\n", 'classes.txt, line 3: got "grass,tree"; write two classes on two lines')):
        path.write_bytes(text)
        with pytest.raises(ValueError, match=message):
            read_classes(path)
    for wrong, message in ((tmp_path, "expected one class a line"), (tmp_path / "lost", "No such file"), (str(tmp_path), "is a folder; expected a file with one class a line")):
        with pytest.raises(ValueError, match=message):
            read_classes(wrong)
    path.write_text("C#\nF# # and a remark\ncomputer mouse\n")
    assert read_classes(path) == ["C#", "F#", "computer mouse"]


@pytest.mark.parametrize("text, want", [
    ("sky,grass", ["sky", "grass"]), (" sky , house|cottage,traffic light ", ["sky", "house|cottage", "traffic light"]), ("sky", ["sky"]), ("sofa | couch", ["sofa|couch"]),
    ("St. Bernard, no.2", ["St. Bernard", "no.2"]), ("C#, F #", ["C#", "F #"])])
def test_class_lists(text, want, recwarn):
    assert read_classes(text) == want and not recwarn
    assert read_classes(want) == read_classes(iter(want)) == want


@pytest.mark.parametrize("text, message", [
    ("sky; grass", "two classes are separated by a comma, two names of one class by |"), ("classes.txt", "classes.txt: no such file"), ("sky,grass,my classes.NAMES", "my classes.NAMES: no such file"),
    ("lists/voc", "lists/voc: no such file"), ("lists\\\\voc", "no such file"), ("", "at least one name"), ("sky,,grass", "none empty"), ("sky,", "none empty"), ("sky, sky", "given more than once")])
def test_class_lists_that_are_refused(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message.replace("|", "[|]")):
        read_classes(text)


def test_one_class_of_several_words_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("one.txt").write_text("sky, grass, tree\n")
    for words in ("sky grass", "one.txt"):
        with pytest.warns(UserWarning, match="is taken as one class"):
            assert len(read_classes(words)) == 1
    Path("sky").mkdir()  # a folder that happens to be called as a class
    Path("Makefile").write_text("all\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given in ("sky", "sky|blue sky", "blue sky, grass", ["sky grass"], "Makefile"):
            read_classes(given)


def test_the_conventions_of_published_class_files(tmp_path):
    "Commas with a blank between synonyms, no new line at the end, a blank after a name, a name that two classes share."
    path = tmp_path / "things.txt"
    path.write_text("sky, wall, bed, sea\nperson, person in shirt, body\ntrafficlight\nwindow-blind\nbed\nwood ")
    with pytest.warns(UserWarning, match='"bed" is a name of "sky" and of "bed"'):
        assert read_classes(path) == ["sky|wall|bed|sea", "person|person in shirt|body", "trafficlight", "window-blind", "bed", "wood"]


def test_every_name_has_a_row_and_is_encoded_once():
    model, seen = tiny(), []
    encode = PromptEncoder(model, TOKENIZE)
    rows = encode(["sofa|couch", "tv"])
    model.transformer.register_forward_pre_hook(lambda module, args: seen.append(1))
    assert torch.equal(encode(["tv", "couch", "sofa"]), rows.flip(0))
    assert torch.equal(encode(["couch|tv"]), rows[1:]) and not seen
    encode(["tv|television"])
    assert len(seen) == 1


def test_memory_is_bounded_and_keeps_what_was_used_last():
    encode = PromptEncoder(tiny(), TOKENIZE, [lambda c: c], cache_size=3)
    want = PromptEncoder(tiny(), TOKENIZE, [lambda c: c])([*"abcde"])
    assert torch.equal(encode([*"abcde"]), want) and list(encode.cache) == ["c", "d", "e"]
    assert torch.equal(encode(["c", "f"])[0], want[2]) and list(encode.cache) == ["e", "c", "f"]
    assert torch.equal(encode([*"abcde"]), want)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 3), st.integers(1, 6), st.integers(0, 99))
def test_best_synonym(sizes, b, n, seed):
    cosines = torch.randn(b, sum(sizes), n, generator=torch.Generator().manual_seed(seed))
    classes = ["|".join(f"{i}.{j}" for j in range(size)) for i, size in enumerate(sizes)]
    want = torch.stack([part.amax(1) for part in cosines.split(sizes, 1)], 1)
    assert torch.equal(best_synonym(cosines, classes), want)


def test_best_synonym_of_nothing_much():
    low = torch.full((1, 2, 3), -math.inf)
    assert torch.equal(best_synonym(low, ["a|b"]), low[:, :1])
    assert best_synonym(torch.full((1, 2, 3), math.nan), ["a|b"]).isnan().all()
    with pytest.raises(ValueError, match="cosines: 3 is 2, expected 3"):
        best_synonym(low, ["a|b", "c"])


# prompts without their filling


@pytest.mark.parametrize("options", [{}, {"output_dict": True}])
def test_short_prompts_are_what_long_ones_are(options):
    model, seen = tiny(**options), []
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    model.transformer.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1]))
    rows = PromptEncoder(model, TOKENIZE)(CLASSES)
    assert max(seen) < 20  # of 77
    for name, row in zip(CLASSES, rows):
        whole = F.normalize(model.encode_text(TOKENIZE([t(name) for t in OPENAI_IMAGENET_TEMPLATES])), dim=-1)
        assert_close(row, F.normalize(whole.mean(0), dim=0), atol=1e-6, rtol=0)
    assert model.attn_mask.shape == (77, 77) and model.positional_embedding.shape == (77, 16)


@pytest.mark.parametrize("text", [dict(no_causal_mask=True), dict(pool_type="last"), dict(pool_type="first")])
def test_text_towers_that_read_beyond_the_end_mark_get_whole_prompts(text):
    torch.manual_seed(0)
    vision = CLIPVisionCfg(layers=1, width=32, head_width=16, patch_size=4, image_size=8)
    for make in (CLIP, CustomTextCLIP):
        model = make(8, vision, CLIPTextCfg(width=16, heads=2, layers=1, **text)).eval().requires_grad_(False)
        whole = F.normalize(model.encode_text(TOKENIZE([t("sky") for t in OPENAI_IMAGENET_TEMPLATES])), dim=-1)
        assert_close(PromptEncoder(model, TOKENIZE)(["sky"])[0], F.normalize(whole.mean(0), dim=0), atol=1e-6, rtol=0)
