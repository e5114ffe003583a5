"""`python -m tge_monitor.other_ends`: run them until SIGTERM or SIGINT; the first line printed says where, as JSON."""

import argparse
import json
import signal

from tge_monitor.other_ends.running import OtherEnds


def main() -> None:
    """Run the other ends."""
    parser = argparse.ArgumentParser(prog="python -m tge_monitor.other_ends", description=__doc__)
    parser.add_argument("--http-port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--smtp-port", type=int, default=0, help="0 takes a free one")
    ports = parser.parse_args()
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with OtherEnds(http_port=ports.http_port, smtp_port=ports.smtp_port) as running:
        print(json.dumps(running.address() | {"settings": running.settings()}), flush=True)  # noqa: T201 - for who started it
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
