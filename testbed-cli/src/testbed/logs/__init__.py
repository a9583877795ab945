"""What the parts write: read in the order in which it happened, searched, and made readable on a terminal."""
