"""What a command can end in."""


class UserError(Exception):
    """What a user can cause, or mend: the message is a line that says what is wrong, and where.

    A command that it reaches ends with this line and no traceback (`lockstep.console.failures`).
    """
