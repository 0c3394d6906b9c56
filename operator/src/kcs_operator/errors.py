"""What can go wrong at the operator's borders.

OperatorError
├── Temporary         tried again with growing pauses
│   ├── ApiAway       the Kubernetes API does not answer, or is too busy
│   ├── Conflict      somebody else changed the object meanwhile
│   └── NotLeading    another replica leads, or may do so soon: this one writes nothing
└── Permanent         said in the object's conditions; nothing to try until it changes
    ├── NotFound      the object is not there
    ├── AlreadyThere  an object of that name exists
    ├── Refused       the API server does not take the object: its message says why
    └── Forbidden     the operator's role lacks a verb
"""


class OperatorError(Exception):
    """Any of them; its text is for people."""


class Temporary(OperatorError):
    """Going on later may help."""


class ApiAway(Temporary):
    """The Kubernetes API does not answer, or answers 429 or 5xx."""

    def __init__(self, message: str, retry_after_s: float | None = None):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Conflict(Temporary):
    """409: the object is not as it was read, or has another UID."""


class NotLeading(Temporary):
    """Nothing was sent: the lease is over, or was given back."""


class Permanent(OperatorError):
    """Trying again changes nothing."""


class NotFound(Permanent):
    """404."""


class AlreadyThere(Permanent):
    """409 on a create."""


class Refused(Permanent):
    """400 or 422."""


class Forbidden(Permanent):
    """401 or 403."""
