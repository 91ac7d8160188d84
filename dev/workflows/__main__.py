"""`python -m dev.workflows [NAMES]` writes every workflow and its thumbnail, or some."""

from ..pack import part

part("dev.workflows").main()
