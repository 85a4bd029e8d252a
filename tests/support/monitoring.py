"""Debian's Prometheus and Alertmanager as real processes on loopback, with our configuration and other addresses."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.processes import ROOT, free_port
from tests.support.waiting import eventually

MONITORING = ROOT / "monitoring"


class Server:
    """One monitoring program: started in a folder of its own, ended by its own process id."""

    def __init__(self, folder: Path, ready_path: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.host, self.port, self._ready_path = folder, "127.0.0.1", free_port(), ready_path
        self.prefix: list[str] = []  # of its command, for a program in a network of its own
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self, command: list[str]) -> None:
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [*self.prefix, *command], cwd=self.folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    async def ready(self) -> None:
        """Wait until it says that it is ready; its log is in the message when it ends instead."""

        async def answers() -> bool:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"ended:\n{self.log.read_text()[-3000:]}")
            return await _status(self.url + self._ready_path) == 200

        await eventually(answers, every_s=0.1, what=f"an answer at {self._ready_path}")

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=30)

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)


async def _status(url: str) -> int | None:
    async with aiohttp.ClientSession() as http:
        try:
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return None


class Prometheus(Server):
    """``monitoring/prometheus.yml`` with a scrape every second and the given addresses by job."""

    def __init__(self, folder: Path, targets: dict[str, list[str]], alertmanager: str | None = None) -> None:
        super().__init__(folder, "/-/ready")
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(folder / "*.rules.yml")]
        for path in sorted((MONITORING / "rules").glob("*.yml")):
            rules = yaml.safe_load(path.read_text(encoding="utf-8"))
            for group in rules["groups"]:
                group["interval"] = "1s"
            (folder / f"{path.stem}.rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager] if alertmanager else []}]
        addresses = {**targets, "prometheus": [f"127.0.0.1:{self.port}"]}
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in addresses]
        for job in config["scrape_configs"]:
            job["static_configs"] = [{"targets": addresses[job["job_name"]]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def start(self, command: list[str] | None = None) -> None:
        super().start(
            command
            or [
                "prometheus",
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ]
        )

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; asserts when Prometheus refuses it."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(self.url + "/api/v1/query", params={"query": expression}) as response,
        ):
            answer = await response.json()
            assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
            result: list[dict[str, Any]] = answer["data"]["result"]
            return result

    async def value(self, expression: str) -> float | None:
        """The value of the first sample, None without one."""
        samples = await self.query(expression)
        return float(samples[0]["value"][1]) if samples else None


class Alertmanager(Server):
    """``monitoring/alertmanager.yml`` with a webhook in every receiver, and waits short enough for a test.

    ``peers`` are the gossip ports of the others; without them it is alone.
    """

    def __init__(
        self, folder: Path, webhook: str, *, host: str = "127.0.0.1", every: str = "1s", wait: str = "100ms"
    ) -> None:
        super().__init__(folder, "/-/ready")
        self.host, self.gossip, self.peers = host, free_port(), list[str]()
        config = yaml.safe_load((MONITORING / "alertmanager.yml").read_text(encoding="utf-8"))
        for route in (config["route"], *config["route"]["routes"]):
            route.update({"group_wait": wait, "group_interval": every})
        for receiver in config["receivers"]:
            receiver["webhook_configs"] = [{"url": f"{webhook}/{receiver['name']}", "send_resolved": True}]
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def start(self, command: list[str] | None = None) -> None:
        super().start(
            command
            or [
                "prometheus-alertmanager",
                f"--config.file={self.folder / 'alertmanager.yml'}",
                f"--storage.path={self.folder / 'data'}",
                f"--web.listen-address={self.host}:{self.port}",
                *(self._cluster() if self.peers else ["--cluster.listen-address="]),
                "--log.level=warn",
            ]
        )

    async def joined(self) -> None:
        """Wait until it gossips with all its peers: before that each of them would send on its own."""

        async def all_there() -> bool:
            async with aiohttp.ClientSession() as http, http.get(self.url + "/api/v2/status") as response:
                cluster = (await response.json())["cluster"]
            return bool(cluster["status"] == "ready" and len(cluster["peers"]) == 1 + len(self.peers))

        await eventually(all_there, every_s=0.1, what="the cluster")

    async def metric(self, name: str) -> float:
        """The value of a metric without labels; 0 when there is none."""
        async with aiohttp.ClientSession() as http, http.get(self.url + "/metrics") as response:
            lines = (await response.text()).splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def _cluster(self) -> list[str]:
        return [
            f"--cluster.listen-address={self.host}:{self.gossip}",
            f"--cluster.advertise-address={self.host}:{self.gossip}",
            "--cluster.peer-timeout=2s",
            "--cluster.gossip-interval=50ms",
            "--cluster.settle-timeout=0s",
            *(f"--cluster.peer={peer}" for peer in self.peers),
        ]

    async def raise_alert(self, **labels: str) -> None:
        """Hand in one firing alert, as Prometheus does."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(self.url + "/api/v2/alerts", json=[{"labels": labels, "annotations": {}}]) as response,
        ):
            assert response.status == 200, await response.text()


def alertmanager_pair(
    folder: Path, webhook: str, hosts: tuple[str, str] = ("127.0.0.1", "127.0.0.1"), wait: str = "100ms"
) -> list[Alertmanager]:
    """Two that gossip, not started.

    The second one waits for the first (``peer-timeout``) and then sends the alerts of the moment at which its wait began, so
    the group interval must be longer than the wait. ``wait`` is the time from an alert to its message.
    """
    pair = [
        Alertmanager(folder / f"alertmanager-{number}", webhook, host=host, every="5s", wait=wait)
        for number, host in enumerate(hosts)
    ]
    for one, other in (pair, reversed(pair)):
        one.peers.append(f"{other.host}:{other.gossip}")
    return pair
