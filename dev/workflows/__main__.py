"""`python -m dev.workflows` writes every workflow and its thumbnail."""

from ..pack import part

part("dev.workflows").main()
