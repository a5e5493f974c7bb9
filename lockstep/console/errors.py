"""The base of all errors that a user can cause or repair."""

from shared.shortened import BriefError


class UserError(BriefError):
    """An error that a user can cause or repair: its message is one line that says what is wrong.

    A command ends with this line and without a traceback (`lockstep.console.failures`).
    """
