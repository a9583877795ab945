"""Recognising messages that were delivered twice, by their number in the device's ledger stream."""

from collections import OrderedDict

MAX_STREAMS = 100_000
MAX_GAPS = 32


class Duplicates:
    """The numbers seen per endpoint, as what is missing up to the highest one: a few integers each.

    QoS 1 may deliver again what was delivered before: the broker to us, or a device that saw no PUBACK.
    Numbers only grow in a stream, but a device may repeat an unacknowledged one after newer ones, so the
    highest number alone would take a late message for a repeated one.
    """

    def __init__(self) -> None:
        self._streams: OrderedDict[str, list[tuple[int, int]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._streams)

    def is_new(self, endpoint: str, seq: int) -> bool:
        """Note `seq`; False when it was seen before. The oldest streams and gaps are forgotten."""
        missing = self._streams.get(endpoint)
        if missing is None:
            self._streams[endpoint] = [(seq + 1, _END)] if seq == 0 else [(0, seq - 1), (seq + 1, _END)]
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
            return True
        self._streams.move_to_end(endpoint)
        if missing[-1] == (seq, _END):  # in order, as nearly all are
            missing[-1] = (seq + 1, _END)
            return True
        for index in range(len(missing) - 1, -1, -1):
            low, high = missing[index]
            if seq > high:
                return False
            if seq >= low:
                rest = [(low, seq - 1)] if seq > low else []
                rest += [(seq + 1, high)] if seq < high else []
                missing[index : index + 1] = rest
                del missing[: len(missing) - MAX_GAPS]
                return True
        return False


_END = 2**63
