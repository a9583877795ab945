"""`python -m testbed`."""

import signal
import sys

interrupted = False
try:
    # Until here Ctrl-C ends the process without a word, as `./testbed` wants it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    from testbed.entry import main

    status = main(sys.argv[1:])
except KeyboardInterrupt:
    status, interrupted = 130, True
except SystemExit as end:
    status = end.code if isinstance(end.code, int) else 1
    # A command that ends by itself on Ctrl-C has said so; Typer ends the others without a word.
    interrupted = status == 130 and isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt)
if interrupted:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # another Ctrl-C would show where the interpreter ends
    sys.stderr.write("\ninterrupted\n")
sys.exit(status)
