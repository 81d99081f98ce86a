"""The API behind a load balancer, which has to see a server leave before it goes.

uvicorn closes its listener as soon as it is told to stop, so that a balancer's next requests fail. Here the first
SIGTERM turns readiness off, and requests are taken for HOUSING_LEAVE_SECONDS more. Running ones end, and the exit code
is 0. A second signal stops at once.

What belongs here: the process and its signals. The application itself is in `app`.
"""

import asyncio
from types import FrameType

import uvicorn

from housing_assets.config.environment import read_environment
from housing_serving.app import app
from housing_serving.model_holder import ModelHolder
from housing_serving.settings import ServingSettings


class PatientServer(uvicorn.Server):
    """A server that goes on for some seconds after it is told to stop."""

    def __init__(self, config: uvicorn.Config, holder: ModelHolder, leave_seconds: float) -> None:
        super().__init__(config)
        self.holder, self.leave_seconds = holder, leave_seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list | None = None) -> None:
        """Start, and remember the loop that a signal is passed on to."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave: not ready at once, gone later."""
        del sig, frame
        if self.holder.leaving or self._loop is None:
            self.should_exit = True
            return
        self.holder.leaving = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self.leave_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def serve() -> None:
    """Serve as the environment says."""
    settings = read_environment(ServingSettings)
    config = uvicorn.Config(
        app,
        settings.api_host,
        settings.api_port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=30,
    )
    PatientServer(config, app.state.holder, settings.leave_seconds).run()
