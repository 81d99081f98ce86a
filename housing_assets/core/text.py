"""Words for messages."""


def first_line(error: BaseException | str, otherwise: str = "") -> str:
    """The first line with words of what an error says, without spaces around it.

    Args:
        error: or its text.
        otherwise: instead, where it says nothing; empty: the name of the error's class.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), otherwise or type(error).__name__)
