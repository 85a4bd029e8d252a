#!/bin/bash
# Proves the profile "replicas" of docker-compose.yml on a real Docker engine: three replicas, PostgreSQL, PgBouncer and the proxy come
# up, a session works through the proxy, and goes on elsewhere when its replica is killed. Usage: tests/system/compose_replicas.sh.
# Needs docker with compose and root. Uses the images of the two programs, or builds them. Touches only its own project (random name).
# Debian's packages stand in for the images of PostgreSQL, PgBouncer and Caddy; PULL=1 takes those of the file.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d /tmp/veilleur-replicas-XXXXXX)
project=veilleur-replicas-$$
failed=''
read -r PORT WATCHDOG_PORT PROXY_PORT < <(python3 -c '
import socket
held = [socket.socket() for _ in range(3)]
for s in held: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))')
export PORT WATCHDOG_PORT PROXY_PORT

# As docs/replicas.md says, with the simulator.
# shellcheck disable=SC2016
guide() { python3 -c '
import re, sys
[text] = re.findall(r"^```dotenv\n(.*?)^```$", open("docs/replicas.md").read(), re.M | re.S)
sys.stdout.write(text)'; }
key=$(openssl rand -hex 32)
guide | sed -e "s/<password>/$(openssl rand -hex 32)/" -e "s/<secret>/$key/" -e "s/<another secret>/$(openssl rand -hex 32)/" > "$work/.env"
! grep -q '<' "$work/.env" || { echo "a line of the guide was not filled in"; exit 1; }
printf 'ENGINE=simulator\nSIMULATOR_OPTIONS=auto_pair_ms=50\n' >> "$work/.env"
cp -r docker-compose.yml Dockerfile.bot Dockerfile.watchdog bot_service watchdog shared docs monitoring "$work/"
mkdir "$work/phones"; chmod 1777 "$work/phones"
cat > "$work/test.yml" <<'YAML'
# The phones of the simulator are one folder for all.
services:
  bot: {build: {network: "${BUILD_NETWORK:-default}"}, volumes: [./phones:/data/simulator]}
  bot-2: {volumes: [./phones:/data/simulator]}
  bot-3: {volumes: [./phones:/data/simulator]}
  watchdog: {build: {network: "${BUILD_NETWORK:-default}"}}
YAML

compose() { docker compose -p "$project" --project-directory "$work" -f "$work/docker-compose.yml" -f "$work/test.yml" --env-file "$work/.env" --profile replicas "$@"; }
ok() { printf '  ok: %s (after %s s)\n' "$1" "$SECONDS"; }
fail() { printf '  FAILED: %s\n' "$1"; failed=yes; exit 1; }
until_true() {
  local until=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $until ] || fail "$what did not come"; sleep 0.2; done
  ok "$what"
}
cleanup() {
  [ -z "$failed" ] || { compose ps -a; compose logs --no-color --tail 60; } || true
  compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT
docker version --format 'engine {{.Server.Version}}' || fail "no Docker engine answers"

docker image inspect veilleur-bot veilleur-watchdog >/dev/null 2>&1 || compose build -q bot watchdog
stand_in() { # name lines-of-a-dockerfile
  printf 'FROM python:3.13-slim-trixie\nRUN apt-get update -qq && apt-get install -y -qq --no-install-recommends %s\n' "$2" |
    docker build -q --network "${BUILD_NETWORK:-default}" -t "$1" - >/dev/null
}
if [ -z "${PULL:-}" ]; then
  export POSTGRESQL_IMAGE=veilleur-test-postgresql PGBOUNCER_IMAGE=veilleur-test-pgbouncer CADDY_IMAGE=veilleur-test-caddy
  stand_in "$PGBOUNCER_IMAGE" pgbouncer
  stand_in "$CADDY_IMAGE" caddy
  docker build -q --network "${BUILD_NETWORK:-default}" -t "$POSTGRESQL_IMAGE" - >/dev/null <<'DOCKERFILE'
FROM python:3.13-slim-trixie
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql \
 && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ 2>/dev/null; \
    groupadd --gid 70 pg && useradd --uid 70 --gid 70 --no-create-home pg && install -d -o 70 -g 70 -m 0700 /var/lib/postgresql/data
RUN printf '%s\n' '#!/bin/sh' 'set -e' 'cd /tmp' 'data=/var/lib/postgresql/data' \
  'if [ ! -s "$data/PG_VERSION" ]; then printf %s "$POSTGRES_PASSWORD" > /tmp/password' \
  'initdb -D "$data" -U "$POSTGRES_USER" --auth=scram-sha-256 --pwfile=/tmp/password' \
  'rm /tmp/password; echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"' \
  'echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$data" postgres; fi' \
  'shift; exec postgres -D "$data" -c listen_addresses="*" -c unix_socket_directories=/tmp "$@"' > /entry && chmod 0755 /entry
ENTRYPOINT ["/entry"]
DOCKERFILE
fi

compose up -d --wait bot bot-2 bot-3 watchdog proxy postgresql pgbouncer || fail "not everything came up"
ok "everything is up"
api() { curl -fsS -m 30 -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "http://127.0.0.1:$PROXY_PORT$1" "${@:2}"; }
three() { [ "$(api /api/replicas | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["replicas"]))')" = 3 ]; }
until_true 30 "three replicas, seen through the proxy" three
compose exec -T bot veilleur doctor | tee "$work/doctor" || true
for name in PostgreSQL clock PgBouncer 'same secrets' 'REPLICA_URL'; do grep -q "$name" "$work/doctor" || fail "the doctor does not say $name"; done
api /api/sessions -d '{"id": "alice"}' >/dev/null
state_is() { [ "$(api /api/sessions/alice | python3 -c 'import json,sys; print(json.load(sys.stdin)["state"])')" = "$1" ]; }
until_true 60 "READY" state_is READY
owner() { api /api/replicas | python3 -c '
import json, sys
print(next((r["url"].split("//")[1].split(":")[0] for r in json.load(sys.stdin)["replicas"] if r["sessions"]["total"]), ""))'; }
until_true 10 "an owner" owner
first=$(owner)
[ -n "$first" ] || fail "no replica owns the session"
docker update --restart=no "$(compose ps -aq "$first")" >/dev/null
kill -9 "$(pgrep -P "$(docker inspect -f '{{.State.Pid}}' "$(compose ps -aq "$first")")" | head -1)"
moved() { local now; now=$(owner); [ -n "$now" ] && [ "$now" != "$first" ] && state_is READY; }
until_true 30 "another owner after a kill of $first" moved
api /api/sessions/alice/messages -d '{"to": "4915112345678", "text": "by the proxy"}' >/dev/null
ok "a message is accepted"
down() { curl -fsS -m 5 "http://127.0.0.1:$WATCHDOG_PORT/metrics" | grep -E 'target_state\{.*DOWN.*\} 1' >/dev/null; }
until_true 90 "the watchdog sees one replica down" down
