"""`testbed up`: start everything and wait until data arrives in Kafka."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner

from iiot.errors import IiotError, KafkaError
from iiot.topics import TELEMETRY
from testbed import arrivals, view
from testbed.engines import choose
from testbed.engines.base import Engine, EngineError, PartStatus, UpOptions
from testbed.engines.native import paths
from testbed.engines.native.lock import starting
from testbed.engines.native.ports import MAX_BRIDGES

PATIENCE: Final = 150.0
"""Seconds for all parts to become healthy and data to arrive, once they are started."""
RESTARTS_TOLERATED: Final = 4
"""A part that has ended this often before it was ever healthy will not make it."""


def profile_names() -> list[str]:
    """Fleet profiles that come with the simulator; none where its source is not there, as in containers."""
    directory = paths.root() / "device-simulator" / "src" / "device_simulator" / "profiles"
    return sorted(file.stem for file in directory.glob("*.yaml"))


class StartError(IiotError):
    """The parts were started but do not work."""

    def __init__(self, problem: str, part: str | None = None) -> None:
        super().__init__(problem)
        self.part = part


def up(
    engine: Annotated[
        choose.EngineChoice,
        typer.Option(help="docker: containers; native: processes; auto: docker if it works."),
    ] = choose.EngineChoice.AUTO,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Simulated devices.", show_default="2, or DEVICE_COUNT")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help=f"A fleet profile: {', '.join(profile_names())}, or the path of a YAML file.",
            show_default="default, or PROFILE",
        ),
    ] = None,
    bridges: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_BRIDGES, help="Bridges that share the devices.", show_default="1"),
    ] = None,
) -> None:
    """Start the testbed; return when all parts are healthy and messages arrive in all Kafka topics."""
    console = view.console()
    options = UpOptions(devices, profile, os.environ.get("TESTBED_BIND") or "127.0.0.1", bridges)
    chosen: Engine | None = None
    started = False
    try:
        with starting(_state_directory()), _termination_as_interrupt():
            progress = _Progress(console)
            chosen = choose.choose(engine)
            choose.remember(chosen)
            # From here on a failure has something to clean up; a testbed that ran before is left alone.
            started = not chosen.status()
            with progress.shown():
                chosen.start(options, progress.step)
                _wait(chosen, progress)
    except KeyboardInterrupt:
        _clean_up(console, chosen, "interrupted", started=started)
        raise typer.Exit(130) from None
    except (IiotError, OSError) as exc:
        if isinstance(exc, StartError) and exc.part and chosen:
            _show_log(console, chosen, exc.part)
        _clean_up(console, chosen, str(exc), started=started)
        raise typer.Exit(1) from exc
    _summarize(console, chosen, started=started)


@dataclass
class _Progress:
    """What happens now: a live table on a terminal, a line per change elsewhere."""

    console: Console
    live: Live | None = None
    message: str = ""
    begun: float = field(default_factory=time.monotonic)
    parts: list[PartStatus] = field(default_factory=list)
    topics: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def shown(self) -> Iterator[None]:
        if self.console.is_terminal:
            with Live(
                get_renderable=self._render, console=self.console, refresh_per_second=8, transient=True
            ) as self.live:
                yield
        else:
            yield

    def step(self, message: str) -> None:
        if message != self.message:
            self.message = message
            if self.live is None:
                self._line(message)

    def update(self, parts: list[PartStatus], topics: dict[str, int]) -> None:
        if self.live is None:
            before = {part.name: part.state for part in self.parts}
            for part in parts:
                if before.get(part.name) != part.state and part.state != "waiting":
                    self._line(f"{part.name}: {part.state}")
        self.parts, self.topics = parts, topics

    def _line(self, text: str) -> None:
        self.console.print(f"{time.monotonic() - self.begun:6.1f} s  {text}", markup=False, highlight=False)

    def _render(self) -> RenderableType:
        seconds = time.monotonic() - self.begun
        rows: list[RenderableType] = [Spinner("line", f" {self.message} ({seconds:.0f} s)")]
        if self.parts:
            rows.append(view.parts_table(self.parts))
        if self.topics:
            rows.append(view.topics_table(self.topics))
        return Group(*rows)


def _wait(engine: Engine, progress: _Progress) -> None:
    """Return when everything is healthy and every topic has received something.

    Raises:
        StartError: it takes too long, or a part keeps ending.
    """
    deadline = time.monotonic() + PATIENCE
    topics = dict.fromkeys(TELEMETRY, 0)
    while True:
        parts = engine.status()
        bad = [part for part in parts if not part.good]
        if not bad:
            progress.step("waiting for messages in Kafka")
            topics = _counts(engine) or topics
        else:
            progress.step("waiting for the parts to become healthy")
        progress.update(parts, topics)
        if not bad and all(topics.values()):
            return
        _give_up_on_hopeless(parts)
        if time.monotonic() > deadline:
            raise _too_late(bad, topics)
        time.sleep(0.25)


def _give_up_on_hopeless(parts: list[PartStatus]) -> None:
    if not parts:
        raise StartError("the testbed was stopped by another command")
    for part in parts:
        if part.state == "restarting" and part.restarts >= RESTARTS_TOLERATED:
            raise StartError(f"{part.name} does not stay up: {part.detail}; its log is above", part.name)


def _too_late(bad: list[PartStatus], topics: dict[str, int]) -> StartError:
    blocking = [part for part in bad if part.state != "waiting"] or bad
    if blocking:
        part = blocking[0]
        return StartError(f"{part.name} is not healthy after {PATIENCE:g} s: {part.detail}", part.name)
    empty = ", ".join(topic for topic, count in topics.items() if not count)
    return StartError(f"no message in {empty} after {PATIENCE:g} s: see ./testbed logs")


def _counts(engine: Engine) -> dict[str, int]:
    try:
        return arrivals.counts(view.brokers(engine), TELEMETRY, engine.started_ms())
    except KafkaError:
        return {}


def _summarize(console: Console, engine: Engine, *, started: bool) -> None:
    topics = _counts(engine)
    console.print(view.parts_table(engine.status()))
    console.print(view.topics_table(topics))
    console.print(view.addresses(engine))
    console.print("The testbed is up." if started else "The testbed was up already; ./testbed down stops it.")


def _show_log(console: Console, engine: Engine, part: str) -> None:
    try:
        for line in engine.logs(part, follow=False, lines=10):
            console.print(line.text[:300], markup=False, highlight=False, style="dim", soft_wrap=True)
    except EngineError:
        return


def _clean_up(console: Console, engine: Engine | None, problem: str, *, started: bool) -> None:
    if engine is not None and started and engine.status():
        console.print("stopping what was started", style="dim")
    if engine is not None and started:
        engine.stop()
    view.complain(f"up: {problem}")


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _state_directory() -> Path:
    directory = paths.state()
    directory.mkdir(parents=True, exist_ok=True)
    return directory
