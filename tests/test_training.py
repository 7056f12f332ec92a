"Every stage of the training takes a step, is resumed, and the whole ends in weights that load. Masks are never drawn on."
import json

import numpy as np
import pytest
import torch

from dotseg.miniature import training
from dotseg.miniature.picturebook import CLASSES, draw_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "Two steps of each stage on a handful of pages."
    path = tmp_path_factory.mktemp("training")
    pages = [training.draw_page(seed) for seed in range(12)]
    np.save(path / "images.npy", np.stack([image for image, _ in pages]))
    (path / "captions.json").write_text(json.dumps([caption for _, caption in pages]))
    vae = training.train_vae(path, 2, batch=2)
    training.encode_pool(path, vae, training.Pages(path), n=12, batch=4)
    training.train_clip(path, 2, batch=4)
    training.explain_pool(path, 12, "clip", "kk_mean", batch=4)
    training.train_clip(path, 2, batch=4, teacher="clip")
    training.explain_pool(path, 12, "outlines", "origin", batch=4)
    training.train_clip(path, 3, batch=4, teacher="outlines")
    training.train_unet(path, 2, batch=2)
    training.train_attention(path, 2, batch=3, clean=2)
    return path


def test_a_training_page_has_no_mask():
    image, caption = training.draw_page(5)
    assert isinstance(caption, str) and image.shape == (128, 128, 3)
    assert (image == draw_scene(5).image).all()


def test_mentions_are_the_nouns_of_the_caption(folder):
    pages = training.Pages(folder)
    for caption, mentioned in zip(pages.captions, pages.mentions):
        words = caption.replace(",", "").split()
        assert [c for c, m in zip(CLASSES, mentioned) if m] == [c for c in CLASSES if c in words]


def test_batches_repeat_with_their_seed(folder):
    pages = training.Pages(folder)
    one, two = (pages.batch(6, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one[0], two[0]) and one[2] == two[2]


def test_resumed_run_is_the_uninterrupted_run(tmp_path):
    def run(steps, folder, schedule_steps=6):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)

        def loss(step, generator):
            if step == steps:
                raise KeyboardInterrupt
            return {"square": (model(torch.randn(8, 3, generator=generator)) - 1).square().mean()}

        try:
            training.fit("toy", model, loss, schedule_steps, 0.1, folder, every=2)
        except KeyboardInterrupt:
            pass
        return model.weight.detach().clone()

    (tmp_path / "whole").mkdir(), (tmp_path / "parts").mkdir()
    whole = run(None, tmp_path / "whole")
    run(4, tmp_path / "parts")
    assert torch.equal(run(None, tmp_path / "parts"), whole)


def test_stages_end_in_weights_that_load(folder, tmp_path, monkeypatch):
    from dotseg.miniature import embedded

    training.ship(folder, tmp_path / "weights")
    monkeypatch.setattr(embedded, "WEIGHTS", tmp_path / "weights")
    logits, attention = embedded.load_miniature()
    image = torch.rand(1, 3, 128, 128)
    assert logits(image, CLASSES).shape == (1, 18, 16, 16)
    torch.testing.assert_close(attention(image, (16, 16)).sum(-1), torch.ones(1, 256))
    card = json.loads((tmp_path / "weights" / "card.json").read_text())
    assert [line["step"] for line in card["log"]["attention"]] == [2] and card["scaling_factor"] > 0


def test_explanation_rules_out_what_the_caption_does_not_name():
    g = torch.Generator().manual_seed(0)
    mentions = torch.rand(5, 18, generator=g) < 0.3
    mentions[:, 0] = True
    posterior = training.explain(torch.rand(5, 256, 18, generator=g) * 2 - 1, mentions, 10.0, 0.3)
    torch.testing.assert_close(posterior.sum(-1), torch.ones(5, 256))
    assert (posterior.transpose(1, 2)[~mentions] == 0).all()
    assert (posterior.mean(1)[mentions] > 0.01).all()
