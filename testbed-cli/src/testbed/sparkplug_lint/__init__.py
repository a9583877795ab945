"""`./testbed sparkplug-lint`: watches a broker, or a recording, and reports what breaks the specification."""
