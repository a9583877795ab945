"""Ways to run the testbed's parts: containers (`docker`) or plain processes (`native`)."""
