"""The show: all contestants one after the other, on a screen, and the comparison at the end."""

from __future__ import annotations

from dataclasses import dataclass

from weatherglass.demo.comparison import Comparison
from weatherglass.demo.contest import Run, Settings, go_through, makers
from weatherglass.demo.contestants import WEATHERGLASS
from weatherglass.demo.exports import Exports
from weatherglass.demo.fleet import Tally
from weatherglass.demo.picture import Picture
from weatherglass.demo.screen import Screen
from weatherglass.demo.watch import Watch
from weatherglass.demo.weather import Phase
from weatherglass.testing import ScaledClock


@dataclass(slots=True)
class _Stage:
    """Looks on for the screen, through telemetry where there is a watch."""

    screen: Screen
    watch: Watch | None
    latest: Picture | None = None

    def phase_begins(self, phase: Phase) -> None:
        self.screen.phase_begins(phase)

    def tick(self) -> None:
        if self.watch is not None:
            self._show(self.watch.look())

    def phase_ends(self, phase: Phase, tally: Tally) -> None:
        if self.watch is not None:
            self._show(self.watch.look_at_all())
        self.screen.phase_ends(phase, tally)

    def _show(self, picture: Picture) -> None:
        self.latest = picture
        self.screen.draw(picture)


def show(settings: Settings, screen: Screen, exports: Exports) -> Comparison:
    """Run the demo; the screen has shown everything when it returns."""
    runs: list[Run] = []
    picture: Picture | None = None
    with screen:
        screen.introduce(settings, collector=exports.collector)
        for name, make in makers(settings, exports.make_recorder).items():
            watch = exports.watch(settings) if name == WEATHERGLASS else None
            screen.contestant_begins(name, watched=watch is not None)
            stage = _Stage(screen, watch)
            clock = ScaledClock(settings.speed, settings.seed)
            runs.append(go_through(make, settings, clock, stage))
            if name == WEATHERGLASS:
                picture = stage.latest
                # The others emit nothing, and shall not pay for exports of nothing new.
                exports.close()
        comparison = Comparison(tuple(runs), picture)
        screen.compare(comparison)
    return comparison
