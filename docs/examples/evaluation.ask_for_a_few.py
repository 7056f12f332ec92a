# %% Question
from dotseg.evaluation.ask_for_a_few import Question, ask
from dotseg.segmentation.segmenter import Segmenter

question = ask(Segmenter.from_preset("picturebook", device="cpu"), 1_000_000)
assert isinstance(question, Question)
print(question.asked, question.truth.unique())


# %% choose_names
from dotseg.evaluation.ask_for_a_few import choose_names

drawn = [choose_names(seed, ["sky", "kite", "sand"]) for seed in range(2000)]


# %% ask
from dotseg.evaluation.ask_for_a_few import ask
from dotseg.segmentation.segmenter import Segmenter

segmenter = Segmenter.from_preset("picturebook")
questions = [ask(segmenter, 1_500_000 + i) for i in range(12)]


# %% with_background
import numpy as np
import torch
from dataclasses import replace
from dotseg.evaluation.ask_for_a_few import ask, choose_names, with_background
from dotseg.method.background import Background
from dotseg.miniature.picturebook import CLASSES
from dotseg.segmentation.segmenter import Segmenter
from fastcore.test import test_eq

segmenter = Segmenter.from_preset("picturebook")
questions = [ask(segmenter, 1_500_000 + i) for i in range(12)]
for q in questions[:5]:
    there = [name for name in q.asked if (q.truth == CLASSES.index(name) + 1).any()]
    print(f"page {q.seed}: asked for {', '.join(q.asked)}; there: {', '.join(there) or 'none'}; background {(q.truth == 0).double().mean():.0%}")
drawn = [choose_names(seed, ["sky", "kite", "sand"]) for seed in range(2000)]
test_eq({len(names) for names in drawn}, {1, 2, 3, 4})
share = np.mean([name in ("sky", "kite", "sand") for names in drawn for name in names])
own = segmenter.config
answers = {
    "closed set": with_background(own),
    "the book's words": with_background(replace(own, background=Background(CLASSES))),
    "nothing": lambda q: torch.zeros_like(q.truth),
    "the truth": lambda q: sum(((q.truth == CLASSES.index(name) + 1) * (i + 1) for i, name in enumerate(q.asked)), torch.zeros_like(q.truth))}


# %% measure_answers
import numpy as np
import torch
from dataclasses import replace
from dotseg.evaluation.ask_for_a_few import ask, choose_names, measure_answers, with_background
from dotseg.method.background import Background
from dotseg.miniature.picturebook import CLASSES
from dotseg.segmentation.segmenter import Segmenter
from fastcore.test import test_eq

segmenter = Segmenter.from_preset("picturebook")
questions = [ask(segmenter, 1_500_000 + i) for i in range(12)]
for q in questions[:5]:
    there = [name for name in q.asked if (q.truth == CLASSES.index(name) + 1).any()]
    print(f"page {q.seed}: asked for {', '.join(q.asked)}; there: {', '.join(there) or 'none'}; background {(q.truth == 0).double().mean():.0%}")
drawn = [choose_names(seed, ["sky", "kite", "sand"]) for seed in range(2000)]
test_eq({len(names) for names in drawn}, {1, 2, 3, 4})
share = np.mean([name in ("sky", "kite", "sand") for names in drawn for name in names])
own = segmenter.config
answers = {
    "closed set": with_background(own),
    "the book's words": with_background(replace(own, background=Background(CLASSES))),
    "nothing": lambda q: torch.zeros_like(q.truth),
    "the truth": lambda q: sum(((q.truth == CLASSES.index(name) + 1) * (i + 1) for i, name in enumerate(q.asked)), torch.zeros_like(q.truth))}
counts = measure_answers(questions, answers)


# %% false_pixels
import torch

from dotseg.evaluation.ask_for_a_few import false_pixels

counts = torch.zeros(2, 19, 19, dtype=torch.int64)  # two pages that show no name asked for
counts[0, 0, 0], counts[1, 0, 0], counts[1, 0, 3] = 100, 90, 10
print(false_pixels(counts))  # one pixel in twenty is called something


# %% summarise_answers
import numpy as np
import torch
from dataclasses import replace
from dotseg.evaluation.ask_for_a_few import ask, choose_names, format_answers, measure_answers, summarise_answers, with_background
from dotseg.method.background import Background
from dotseg.miniature.picturebook import CLASSES
from dotseg.segmentation.segmenter import Segmenter
from fastcore.test import test_eq

segmenter = Segmenter.from_preset("picturebook")
questions = [ask(segmenter, 1_500_000 + i) for i in range(12)]
for q in questions[:5]:
    there = [name for name in q.asked if (q.truth == CLASSES.index(name) + 1).any()]
    print(f"page {q.seed}: asked for {', '.join(q.asked)}; there: {', '.join(there) or 'none'}; background {(q.truth == 0).double().mean():.0%}")
drawn = [choose_names(seed, ["sky", "kite", "sand"]) for seed in range(2000)]
test_eq({len(names) for names in drawn}, {1, 2, 3, 4})
share = np.mean([name in ("sky", "kite", "sand") for names in drawn for name in names])
own = segmenter.config
answers = {
    "closed set": with_background(own),
    "the book's words": with_background(replace(own, background=Background(CLASSES))),
    "nothing": lambda q: torch.zeros_like(q.truth),
    "the truth": lambda q: sum(((q.truth == CLASSES.index(name) + 1) * (i + 1) for i, name in enumerate(q.asked)), torch.zeros_like(q.truth))}
counts = measure_answers(questions, answers)
print(format_answers(summarise_answers(counts, "closed set")))


# %% format_answers
import numpy as np
import torch
from dataclasses import replace
from dotseg.evaluation.ask_for_a_few import ask, choose_names, format_answers, measure_answers, summarise_answers, with_background
from dotseg.method.background import Background
from dotseg.miniature.picturebook import CLASSES
from dotseg.segmentation.segmenter import Segmenter
from fastcore.test import test_eq

segmenter = Segmenter.from_preset("picturebook")
questions = [ask(segmenter, 1_500_000 + i) for i in range(12)]
for q in questions[:5]:
    there = [name for name in q.asked if (q.truth == CLASSES.index(name) + 1).any()]
    print(f"page {q.seed}: asked for {', '.join(q.asked)}; there: {', '.join(there) or 'none'}; background {(q.truth == 0).double().mean():.0%}")
drawn = [choose_names(seed, ["sky", "kite", "sand"]) for seed in range(2000)]
test_eq({len(names) for names in drawn}, {1, 2, 3, 4})
share = np.mean([name in ("sky", "kite", "sand") for names in drawn for name in names])
own = segmenter.config
answers = {
    "closed set": with_background(own),
    "the book's words": with_background(replace(own, background=Background(CLASSES))),
    "nothing": lambda q: torch.zeros_like(q.truth),
    "the truth": lambda q: sum(((q.truth == CLASSES.index(name) + 1) * (i + 1) for i, name in enumerate(q.asked)), torch.zeros_like(q.truth))}
counts = measure_answers(questions, answers)
print(format_answers(summarise_answers(counts, "closed set")))
