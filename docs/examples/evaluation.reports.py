# %% class_report
import torch

from dotseg.evaluation.reports import class_report

report = class_report(torch.tensor([[5, 1], [2, 4]]), ["sky", "grass"])
print(report["summary"])


# %% report_text
import torch

from dotseg.evaluation.reports import class_report, report_text

print(report_text(class_report(torch.tensor([[5, 1], [2, 4]]), ["sky", "grass"], ignored={255: 3})))


# %% report_csv
import torch

from dotseg.evaluation.reports import class_report, report_csv

report = class_report(torch.tensor([[5, 1], [2, 4]]), ["sky", "grass"])
print(report_csv(report))


# %% plot_classes
import torch

from dotseg.evaluation.reports import class_report, plot_classes

figure = plot_classes(class_report(torch.tensor([[5, 1], [2, 4]]), ["sky", "grass"]))
figure.savefig("classes.png")
