"""The one exception tree: every message says what was expected, what came, and where."""


class IonsmithError(Exception):
    """Base of everything ionsmith raises on purpose; the command line prints it as one line."""


class InputError(IonsmithError, ValueError):
    """The user's input (file, formula, argument, value) is not what it must be."""


class SpecError(InputError):
    """A target specification is malformed, names an unknown key, or asks for the impossible."""


class DataError(IonsmithError):
    """A data set is absent, does not match its checksum, or has an unexpected layout."""


class ArtifactError(IonsmithError):
    """A shipped weight or table is missing, damaged, or does not match its card."""


class PhysicsError(IonsmithError):
    """A simulation cannot give an answer for this material; becomes a rejected Outcome, never a crash."""


class LedgerError(IonsmithError):
    """The record of a run cannot be opened, written, or does not belong to the run that asks for it."""


class ExecutionError(IonsmithError):
    """A worker process died under a task: killed, out of memory, or its machine went away."""
