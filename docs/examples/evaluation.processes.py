# %% BEAT, SILENCE, PATIENCE
from dotseg.evaluation.processes import BEAT, PATIENCE, SILENCE

print(f"a heartbeat every {BEAT:.0f} s; missing after {SILENCE:.0f} s without one, or {PATIENCE / 60:.0f} min without an image")


# %% PIECE
from dotseg.evaluation.processes import PIECE

print(f"{PIECE:,} characters at a time")


# %% Processes
import threading

import torch
import torch.distributed as dist

from dotseg.evaluation.processes import Processes

store, sums = dist.HashStore(), {}  # two processes as two threads
work = lambda rank: sums.update({rank: Processes(rank, 2, store).add_up(torch.tensor([rank, 10]))})
threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sums)  # both know the whole


# %% processes
import torch

from dotseg.evaluation.processes import processes

with processes() as group:  # one process, unless torchrun has started several
    print(group.rank, group.ranks, group.gather("mine"), group.add_up(torch.tensor([1, 2])))


# %% local_device
from dotseg.evaluation.processes import local_device

print(local_device("cpu"))
