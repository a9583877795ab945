"""Web console of the testbed: one page that shows what flows where, and what is healthy."""
