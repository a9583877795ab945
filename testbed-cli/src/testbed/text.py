"""Text of others on a terminal."""


def printable(text: str) -> str:
    """`text` without what would move the cursor or change colours: messages and logs come from anyone."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
