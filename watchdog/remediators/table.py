"""Builds the remediators of a target; each is imported only when REMEDIATION names it."""

from __future__ import annotations

import aiohttp

from shared.settings import Secret
from watchdog.domain.ports import Remediator
from watchdog.settings import WatchdogSettings


def build(
    settings: WatchdogSettings, target: str, url: str, http: aiohttp.ClientSession, token: Secret
) -> list[Remediator]:
    """The remediators of ``target`` at ``url``, for that target only."""
    made: list[Remediator] = []
    if "bot" in settings.remediation:
        from watchdog.remediators.bot_api import BotApiRemediator

        made.append(BotApiRemediator(url, token))
    if "docker" in settings.remediation:
        from watchdog.remediators.docker import DockerRemediator

        made.append(DockerRemediator(settings.docker_socket, settings.docker_containers[target]))
    if "railway" in settings.remediation:
        made.append(_railway(settings, target, http))
    return made


def _railway(settings: WatchdogSettings, target: str, http: aiohttp.ClientSession) -> Remediator:
    from watchdog.remediators.railway import RailwayRemediator

    token = settings.railway_api_token or settings.railway_token
    if token is None or target not in settings.railway_services or settings.railway_environment_id is None:
        # the settings refuse this already
        raise ValueError("REMEDIATION=railway without its variables")
    return RailwayRemediator(
        http,
        url=settings.railway_api_url,
        token=token,
        service_id=settings.railway_services[target],
        environment_id=settings.railway_environment_id,
        project_token=settings.railway_api_token is None,
    )
