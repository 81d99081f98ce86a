"""The dashboard as an application that serves: `streamlit run housing_dashboard/server.py`.

It runs the script `app.py` for each visitor, as Streamlit does with a script alone. Besides, it shows the first page to
nobody at the start, so that the first visitor does not wait for imports and files, and serves scripts by `frontend`.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import get_instance
from streamlit.runtime.session_manager import SessionClient

# Streamlit puts the folder of this file on the path, not the one above it.
sys.path.insert(0, str(Path(__file__).parents[1]))

from housing_dashboard.frontend import Frontend

SECONDS_TO_WARM = 120.0
log = logging.getLogger("housing_dashboard")


class _Nobody(SessionClient):
    """A visitor who throws away what is shown, and notes when a page is whole."""

    def __init__(self) -> None:
        self.shown = asyncio.Event()

    def write_forward_msg(self, msg: ForwardMsg) -> None:
        if msg.WhichOneof("type") == "script_finished":
            self.shown.set()


async def warm() -> None:
    """Run the first page once for nobody, so that its modules and figures are in memory."""
    runtime, nobody, message = get_instance(), _Nobody(), BackMsg()
    message.rerun_script.query_string = ""
    session = runtime.connect_session(nobody, {})
    try:
        runtime.handle_backmsg(session, message)
        await asyncio.wait_for(nobody.shown.wait(), SECONDS_TO_WARM)
    except TimeoutError:
        log.warning("the first page was not ready after %.0f s", SECONDS_TO_WARM)
    finally:
        runtime.close_session(session)


@contextlib.asynccontextmanager
async def _lifespan(_: st.App) -> AsyncIterator[None]:
    task = asyncio.create_task(warm())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


app = st.App(Path(__file__).with_name("app.py"), lifespan=_lifespan, middleware=[Middleware(Frontend)])
