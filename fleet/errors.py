"""What can go wrong, in two kinds: what stops a run, and what a server can no longer do."""

from __future__ import annotations


class FleetError(RuntimeError):
    """The run cannot go on; the message names the thing, the value and the way out."""

    exit_code = 2


class NoServerLeft(FleetError):
    """Every server is lost; what is done is kept, and `--resume` does the rest."""

    exit_code = 3


class ServerTrouble(RuntimeError):
    """A server does not answer, or not as a ComfyUI would. Its jobs can be done elsewhere."""


class Refused(RuntimeError):
    """A server did not take a prompt; the message is what it holds against it, node by node."""


class Canceled(RuntimeError):
    """The run has been stopped while a job was under way."""
