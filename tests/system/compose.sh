#!/bin/bash
# Proves docker-compose.yml on a real Docker engine, from nothing to nothing: cold start, crash, hang, clean stop, kept data,
# monitoring. Usage: tests/system/compose.sh [keep]. Needs docker with compose and root (it signals processes from the host).
# Touches only its own project (random name) and the images of the two programs. PULL=1 takes the official monitoring images;
# otherwise, where they are missing, Debian's packages stand in for Prometheus and Alertmanager. BUILD_NETWORK is the network
# that builds use: host for an engine whose containers cannot reach the outside (.ci/docker-engine.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d /tmp/veilleur-compose-XXXXXX)
project=veilleur-test-$$
failed=''

free_ports() { python3 -c '
import socket
held = [socket.socket() for _ in range(8)]
for s in held: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))'; }
read -r PORT WATCHDOG_PORT PROMETHEUS_PORT ALERTMANAGER_PORT GRAFANA_PORT WATCHDOG_B_PORT ALERTMANAGER_A_PORT ALERTMANAGER_B_PORT < <(free_ports)
export PORT WATCHDOG_PORT PROMETHEUS_PORT ALERTMANAGER_PORT GRAFANA_PORT WATCHDOG_B_PORT ALERTMANAGER_A_PORT ALERTMANAGER_B_PORT
export ALERTMANAGER_CONFIG=$work/alertmanager.yml
# As a person without a phone starts it.
export ENGINE=simulator

# What a test adds: the simulator, a short wait before the first ping, and a receiver of webhooks beside the programs. It is
# the watchdog's name server too, and knows no name: that of a container that ended is asked outside, and outside may be away.
export TEST_NET=198.18.$(($$ % 250))
cat > "$work/test.yml" <<'YAML'
services:
  bot:
    build: {network: "${BUILD_NETWORK:-default}"}
  watchdog:
    build: {network: "${BUILD_NETWORK:-default}"}
    dns: ["${TEST_NET}.250"]
    environment: {KEEP_ALIVE_START_DELAY: "1000", FLAP_CHANGES: "1000", ALERT_URLS: "webhook://receiver:3001/alerts"}
  receiver:
    image: veilleur-watchdog
    init: true
    healthcheck: {interval: 1s}
    networks: {default: {ipv4_address: "${TEST_NET}.250"}}
    entrypoint: [python3, -uc]
    command:
      - |
        import http.server, os, socket, threading
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind(("", 53))
        def no_such_name():
            while True:
                question, who = names.recvfrom(512)
                names.sendto(question[:2] + b"\x81\x83" + question[4:6] + bytes(6) + question[12:], who)
        threading.Thread(target=no_such_name, daemon=True).start()
        class Take(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                print("RECEIVED", self.path, body.replace("\n", " "))
                self.send_response(200); self.end_headers()
            def do_GET(self): self.send_response(200); self.end_headers()
            def log_message(self, *_): pass
        http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Take).serve_forever()
networks:
  default:
    ipam:
      config: [{subnet: "${TEST_NET}.0/24"}]
YAML

compose() { docker compose -p "$project" -f docker-compose.yml -f "$work/test.yml" --profile monitoring "$@"; }
step() { printf '\n== %s (after %s s)\n' "$1" "$SECONDS"; }
ok() { printf '  ok: %s\n' "$1"; }
fail() { printf '  FAILED: %s\n' "$1"; failed=yes; exit 1; }
# until_true SECONDS WHAT COMMAND...: waits for a command to succeed, and says how long it took.
until_true() {
  local limit=$1 what=$2 begun=${EPOCHREALTIME/./}; shift 2
  until "$@" >/dev/null 2>&1; do
    [ $((${EPOCHREALTIME/./} - begun)) -lt $((limit * 1000000)) ] || fail "$what did not come within $limit s"
    sleep 0.1
  done
  ok "$what after $(((${EPOCHREALTIME/./} - begun) / 1000)) ms"
}
container() { compose ps -aq "$1"; }
# The program itself: the child of the container's init.
program_pid() { pgrep -P "$(docker inspect -f '{{.State.Pid}}' "$(container "$1")")" | head -1; }
received() { docker logs "$(container receiver)" 2>/dev/null | grep -c -- "RECEIVED $1" || true; }
more_received() { [ "$(received "$1")" -gt "$2" ]; }
api() { curl -fsS -m 30 -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "http://127.0.0.1:$PORT$1" "${@:2}"; }
session_state() { api /api/sessions/alice | python3 -c 'import json,sys; print(json.load(sys.stdin)["state"])'; }
session_is() { [ "$(session_state)" = "$1" ]; }
# Reads all of what it is given: a writer that meets a closed pipe would fail the line.
has() { grep -e "$1" >/dev/null; }
keepalive_has() { curl -fsS -m 5 "http://127.0.0.1:$PORT/api/keepalive" | has "$1"; }
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container "$1")")" = healthy ]; }

cleanup() {
  [ -z "$failed" ] || { compose ps -a; compose logs --no-color --tail 40; } || true
  [ "${1:-}" = keep ] || compose --profile pair down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap 'cleanup "${1:-}"' EXIT
[ "$(id -u)" = 0 ] || fail "root is needed to signal processes from the host"
docker version --format 'engine {{.Server.Version}}' || fail "no Docker engine answers"

step "build"
sed -e 's/^  - name: \(.*\)$/  - name: \1\n    webhook_configs: [{url: "http:\/\/receiver:3001\/\1", send_resolved: true}]/' \
  -e 's/group_wait: 30s/group_wait: 1s/; s/group_wait: 10s/group_wait: 1s/' monitoring/alertmanager.yml > "$ALERTMANAGER_CONFIG"
chmod 0755 "$work"; chmod 0644 "$ALERTMANAGER_CONFIG"
compose build -q bot watchdog
docker image inspect -f '  {{index .RepoTags 0}}: {{.Size}} bytes' veilleur-bot veilleur-watchdog
monitoring=(prometheus alertmanager)
stand_in() { # name package program data-folder
  docker build -q --network "${BUILD_NETWORK:-default}" -t "$1" - >/dev/null <<DOCKERFILE
FROM python:3.13-slim-trixie
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends $2 && install -d -o 65534 -g 65534 $4
ENTRYPOINT ["$3"]
DOCKERFILE
}
if [ -n "${PULL:-}" ]; then
  compose pull -q prometheus alertmanager grafana
  monitoring+=(grafana)
else
  read -r prometheus_image alertmanager_image grafana_image < <(compose config --format json | python3 -c '
import json, sys
services = json.load(sys.stdin)["services"]
print(*(services[name]["image"] for name in ("prometheus", "alertmanager", "grafana")))')
  docker image inspect "$prometheus_image" >/dev/null 2>&1 || {
    export PROMETHEUS_IMAGE=veilleur-test-prometheus
    stand_in "$PROMETHEUS_IMAGE" prometheus /usr/bin/prometheus /prometheus
  }
  docker image inspect "$alertmanager_image" >/dev/null 2>&1 || {
    export ALERTMANAGER_IMAGE=veilleur-test-alertmanager
    stand_in "$ALERTMANAGER_IMAGE" prometheus-alertmanager /usr/bin/prometheus-alertmanager /alertmanager
  }
  if docker image inspect "$grafana_image" >/dev/null 2>&1; then monitoring+=(grafana); else echo "  grafana: no image here, not started"; fi
fi

step "cold start"
begun=$SECONDS
compose up -d --wait bot watchdog receiver
ok "both healthy $((SECONDS - begun)) s after up"
until_true 60 "isRunning true" keepalive_has '"isRunning":true'
curl -fsS "http://127.0.0.1:$WATCHDOG_PORT/metrics" | has '^veilleur_watchdog_' || fail "no metrics of the watchdog"
key=$(compose exec -T bot cat /secrets/bot-api-key)
for service in bot watchdog; do
  docker inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.RestartPolicy.Name}}' \
    "$(container "$service")" | grep -qx '10001:10001 true \[ALL\] \[no-new-privileges:true\] unless-stopped' || fail "$service is not confined"
  grep -qE '^CapEff:\s+0+$' "/proc/$(program_pid "$service")/status" || fail "$service has capabilities"
  ! compose exec -T "$service" touch /app/x 2>/dev/null || fail "$service can write to its image"
done
ok "uid 10001, read-only root, no capability"
[ "$(compose exec -T bot sha256sum < /dev/null /secrets/watchdog-token)" = "$(compose exec -T watchdog sha256sum /secrets/watchdog-token)" ] || fail "two tokens"

link=$(docker logs "$(container bot)" 2>&1 | grep -o 'http://[^ ]*/login?code=[^ ]*')
[[ $link == "http://localhost:$PORT/"* ]] || fail "the printed link is $link"
[[ $(compose exec -T bot veilleur login-link) == "http://localhost:$PORT/login?code="* ]] || fail "another address from veilleur login-link"
curl -fsS -m 30 "$link" | has 'name="code"' || fail "the printed link does not open"
ok "the printed login link opens on the published port"

step "a session, paired in the simulator"
api /api/sessions -d '{"id": "alice"}' >/dev/null
until_true 60 "PAIRING" session_is PAIRING
api /api/sessions/alice/simulate -d '{"action": "scan"}' >/dev/null
until_true 60 "READY" session_is READY

step "kill -9 from the host: back by itself"
before=$(received /alerts); kill -9 "$(program_pid bot)"
until_true 60 "healthy again" healthy bot
until_true 60 "session READY without a new QR" session_is READY
until_true 60 "the watchdog told of it" more_received /alerts "$before"
until_true 60 "state UP" keepalive_has '"state":"UP"'

step "kill -9 and no restart: alert, then recovery"
docker update --restart=no "$(container bot)" >/dev/null
before=$(received '/alerts.*"down"'); kill -9 "$(program_pid bot)"
until_true 60 "alert at the webhook" more_received '/alerts.*"down"' "$before"
before=$(received '/alerts.*"up"'); docker start "$(container bot)" >/dev/null
docker update --restart=unless-stopped "$(container bot)" >/dev/null
until_true 60 "recovery at the webhook" more_received '/alerts.*"up"' "$before"
until_true 60 "session READY without a new QR" session_is READY

step "SIGSTOP: alert, then recovery"
before=$(received '/alerts.*"down"'); pid=$(program_pid bot); kill -STOP "$pid"
until_true 60 "alert at the webhook" more_received '/alerts.*"down"' "$before"
before=$(received '/alerts.*"up"'); kill -CONT "$pid"
until_true 60 "recovery at the webhook" more_received '/alerts.*"up"' "$before"

step "clean stop"
down_before=$(received '/alerts.*"down"'); begun=$SECONDS
bot_id=$(container bot) watchdog_id=$(container watchdog)
compose stop bot watchdog
ok "stopped within $((SECONDS - begun)) s"
for id in "$bot_id" "$watchdog_id"; do
  [ "$(docker inspect -f '{{.State.ExitCode}}' "$id")" = 0 ] || fail "exit code $(docker inspect -f '{{.Name}} {{.State.ExitCode}}' "$id")"
done
ok "exit code 0 both"
[ "$(received '/alerts.*"down"')" = "$down_before" ] || fail "a planned stop raised an alert"

step "data kept over down and up"
compose down
compose up -d --wait bot watchdog receiver
[ "$(compose exec -T bot cat /secrets/bot-api-key)" = "$key" ] || fail "another key"
until_true 60 "session READY without a new QR" session_is READY

step "backup, restore into another project"
compose exec -T bot python3 -m shared.tools.backup save /data - > "$work/bot.tar.gz"
docker volume create "$project-restored" >/dev/null
docker run --rm -i -v "$project-restored:/data" veilleur-bot python3 -m shared.tools.backup restore - /data < "$work/bot.tar.gz"
docker run --rm -v "$project-restored:/data" veilleur-bot python3 -c '
import sqlite3; print("  sessions in the copy:", [row[0] for row in sqlite3.connect("/data/bot.db").execute("select id from sessions")])' | grep alice || fail "the copy lacks the session"
docker volume rm "$project-restored" >/dev/null

step "monitoring"
compose up -d "${monitoring[@]}"
prometheus() { curl -fsS -m 5 -G "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query" --data-urlencode "query=$1" | has "$2"; }
until_true 90 "all four targets up" prometheus 'count(up == 1)' '"4"\]'
# Prometheus knows its Alertmanager only 5 s after its start. An alert that fires before is told a minute later.
until_true 120 "the always-firing alert through Alertmanager" more_received /dead-mans-switch 0
docker update --restart=no "$(container bot)" >/dev/null
kill -9 "$(program_pid bot)"
until_true 120 "VeilleurBotDown through Prometheus and Alertmanager" more_received '/page.*VeilleurBotDown' 0
if [[ " ${monitoring[*]} " == *" grafana "* ]]; then
  until_true 60 "the board in Grafana" curl -fsS -m 5 "http://127.0.0.1:$GRAFANA_PORT/api/dashboards/uid/veilleur"
fi

step "two watchdogs and two Alertmanagers: one alert, one recovery"
cat > "$work/pair.yml" <<'YAML'
x-pair: &pair
  WATCHDOG_PEERS: http://watchdog:3001,http://watchdog-b:3001
  ALERT_URLS: alertmanager://alertmanager-a:9093,alertmanager-b:9093
services:
  watchdog: {environment: *pair}
  watchdog-b: {dns: ["${TEST_NET}.250"], environment: {<<: *pair, KEEP_ALIVE_START_DELAY: "1000", FLAP_CHANGES: "1000"}}
YAML
pair() { compose -f "$work/pair.yml" --profile pair "$@"; }
both_count() { [ "$(curl -fsS -m 5 "http://127.0.0.1:$1/api/status" | grep -o '"view":"up","ageMs":[0-9]*,"counts":true' | wc -l)" = 2 ]; }
joined() { [ "$(curl -fsS -m 5 "http://127.0.0.1:$1/api/v2/status" | grep -o '"address":' | wc -l)" = 2 ]; }
compose stop "${monitoring[@]}"
docker start "$(container bot)" >/dev/null
pair up -d --wait watchdog watchdog-b alertmanager-a alertmanager-b
until_true 60 "both Alertmanagers in one cluster" joined "$ALERTMANAGER_A_PORT"
for port in "$WATCHDOG_PORT" "$WATCHDOG_B_PORT"; do until_true 60 "both votes at port $port" both_count "$port"; done
firing='/page.*"status":"firing".*"kind":"down"' over='/page.*"status":"resolved".*"kind":"down"'
firing_before=$(received "$firing") over_before=$(received "$over")
kill -9 "$(program_pid bot)"
until_true 60 "one alert" more_received "$firing" "$firing_before"
docker start "$(container bot)" >/dev/null; docker update --restart=unless-stopped "$(container bot)" >/dev/null
until_true 90 "one recovery" more_received "$over" "$over_before"
# The second Alertmanager waits 15 s for the first one before it sends an alert itself.
sleep 17
[ "$(received "$firing") $(received "$over")" = "$((firing_before + 1)) $((over_before + 1))" ] || fail "people got more than one message"
ok "one of each, also after the second Alertmanager could have sent its own"

step "all held"
