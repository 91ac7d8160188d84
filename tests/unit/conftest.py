"""The unit tier: the pack's maths with torch, numpy and Pillow alone."""

import os

import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
