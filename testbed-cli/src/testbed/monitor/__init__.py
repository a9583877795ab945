"""The live terminal view of a testbed: what is connected, what flows, what the newest messages say."""
