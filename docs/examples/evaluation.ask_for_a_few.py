# %% Question
from dotseg.evaluation.ask_for_a_few import Question, ask
from dotseg.segmentation.segmenter import Segmenter

question = ask(Segmenter.from_preset("picturebook", device="cpu"), 1_000_000)
assert isinstance(question, Question)
print(question.asked, question.truth.unique())


# %% choose_names
from dotseg.evaluation.ask_for_a_few import choose_names

print(choose_names(0, ["sky", "kite", "sand"]))  # of a page that shows these three


# %% ask
from dotseg.evaluation.ask_for_a_few import ask
from dotseg.segmentation.segmenter import Segmenter

question = ask(Segmenter.from_preset("picturebook", device="cpu"), 1_000_000)
print(question.asked, question.logits.shape, question.truth.shape)


# %% with_background, measure_answers, summarise_answers, format_answers
from dotseg.evaluation.ask_for_a_few import ask, format_answers, measure_answers, summarise_answers, with_background
from dotseg.segmentation.segmenter import Segmenter

closed, words = (Segmenter.from_preset("picturebook", device="cpu", background=background) for background in (False, True))
questions = [ask(closed, seed) for seed in (1_000_000, 1_000_001)]
counts = measure_answers(questions, {"closed set": with_background(closed.config), "words": with_background(words.config)})
print(format_answers(summarise_answers(counts, "closed set")))


# %% false_pixels
import torch

from dotseg.evaluation.ask_for_a_few import false_pixels

counts = torch.zeros(2, 19, 19, dtype=torch.int64)  # two pages that show no name asked for
counts[0, 0, 0], counts[1, 0, 0], counts[1, 0, 3] = 100, 90, 10
print(false_pixels(counts))  # one pixel in twenty is called something
