"""`python -m fuzz MINUTES [TARGET …]`, which `./testbed test --fuzz MINUTES` calls."""

import sys

from fuzz import campaign

sys.exit(campaign.run(float(sys.argv[1]), sys.argv[2:]))
