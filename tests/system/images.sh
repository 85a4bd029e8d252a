#!/bin/bash
# Proves the two images by themselves: started as root with a volume of root, as 10001 with its own, and refused where nothing can
# be written; each holds its own program only; sizes. Needs a Docker engine; builds the images where they are missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
volume=veilleur-images-$$ name=veilleur-images-$$
trap 'docker rm -f "$name" >/dev/null 2>&1; docker volume rm -f "$volume" >/dev/null 2>&1; true' EXIT
ok() { printf '  ok: %s\n' "$1"; }
fail() { printf '  FAILED: %s\n' "$1"; docker logs "$name" 2>&1 | tail -20; exit 1; }
wait_healthy() {
  for _ in $(seq 450); do
    case $(docker inspect -f '{{.State.Status}} {{.State.Health.Status}}' "$name") in
      "running healthy") return ;;
      exited*) fail "it ended" ;;
    esac
    sleep 0.2
  done
  fail "not healthy within 90 s"
}
in_container() { docker exec "$name" python3 -c "$1"; }
# The program's own process: 1, or the child of the init.
identity='
import os
for pid in (7, 1, *range(2, 60)):
    try:
        command = open(f"/proc/{pid}/cmdline").read()
    except OSError:
        continue
    if "-m\0bot_service" in command or "-m\0watchdog" in command:
        fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
        kept = set(" ".join(fields[name] for name in ("Uid", "Gid", "Groups")).split()) - {"10001"}
        print("dropped" if not kept and not int(fields["CapEff"], 16) else fields)
        break'

# A session makes the service start an engine worker; the answer is what that worker has loaded.
loaded='
import json, os, time, urllib.request
headers = {"Authorization": "Bearer of-the-image-test-0123456789", "Content-Type": "application/json"}
call = lambda path, body=None: urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:3000{path}", body, headers)).read()
call("/api/sessions", json.dumps({"id": "one"}).encode())
for _ in range(300):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            maps = open(f"/proc/{pid}/maps").read()
        except OSError:
            continue
        if "/data/engine/neonize-" in maps and "-as-1052000000.so" in maps:
            version = json.loads(call("/health"))["clientVersion"]["version"]
            print(f"{version} loaded by {os.stat(f'"'"'/proc/{pid}'"'"').st_uid}")
            raise SystemExit
    time.sleep(0.1)
raise SystemExit("no worker has it after 30 s: " + call("/metrics").decode()[-300:])'

base=$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile.bot)
# MB over the base: 160 and 330 in all, with a base of 128 MB.
declare -A limit=([bot]=200 [watchdog]=32)

for program in bot watchdog; do
  image=veilleur-$program
  docker image inspect "$image" >/dev/null 2>&1 || docker build -q --network "${BUILD_NETWORK:-default}" -f "Dockerfile.$program" -t "$image" . >/dev/null
  printf '\n== %s: %s bytes\n' "$image" "$(docker image inspect -f '{{.Size}}' "$image")"
  docker volume create "$volume" >/dev/null

  docker run --rm -u 0 -v "$volume:/data" --entrypoint sh "$image" -c 'mkdir /data/devices && echo kept > /data/devices/old && chown -R 0:0 /data && chmod 700 /data'
  docker run -d --name "$name" -u 0 -v "$volume:/data" -e RAILWAY_VOLUME_MOUNT_PATH=/data -e ENGINE=simulator "$image" >/dev/null
  wait_healthy
  [ "$(in_container "$identity")" = dropped ] || fail "as root: privileges were kept: $(in_container "$identity")"
  [ "$(docker exec "$name" stat -c %u /data /data/devices /data/devices/old | sort -u)" = 10001 ] || fail "as root: the volume was not taken over"
  docker stop "$name" >/dev/null
  [ "$(docker inspect -f '{{.State.ExitCode}}' "$name")" = 0 ] || fail "as root: not a clean stop"
  docker rm "$name" >/dev/null
  ok "as root with a volume of root: volume taken over, every privilege dropped, clean stop"

  docker run -d --name "$name" --init --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
    -v "$volume:/data" -e ENGINE=simulator "$image" >/dev/null
  wait_healthy
  [ "$(in_container "$identity")" = dropped ] || fail "as 10001: $(in_container "$identity")"
  docker stop "$name" >/dev/null
  [ "$(docker inspect -f '{{.State.ExitCode}}' "$name")" = 0 ] || fail "as 10001: not a clean stop"
  docker rm "$name" >/dev/null
  ok "as 10001 on a read-only root without capabilities, on the volume that root's start left"

  if [ "$program" = bot ]; then
    # Another client version, as 10001: the worker loads the copy on the volume, though root and /tmp allow nothing.
    docker run -d --name "$name" --init --read-only --tmpfs /tmp:rw,noexec --cap-drop ALL --security-opt no-new-privileges \
      --network none -v "$volume:/data" -e BOT_API_KEY=of-the-image-test-0123456789 -e WHATSAPP_VERSION=2.3000.1052000000 "$image" >/dev/null
    wait_healthy
    said=$(in_container "$loaded") || fail "the changed library is not loaded: $said"
    [ "$said" = "2.3000.1052000000 loaded by 10001" ] || fail "the changed library is not loaded: $said"
    docker stop "$name" >/dev/null
    docker rm "$name" >/dev/null
    ok "as 10001 with /tmp noexec: a worker loads the library that announces another client version"
  fi

  docker run --rm -u 0 -v "$volume:/data" --entrypoint chown "$image" -R 0:0 /data
  said=$(docker run --rm --name "$name" -v "$volume:/data" "$image" 2>&1) && fail "as 10001 on a volume of root: it started"
  [[ $said == *"cannot be written by uid 10001"* ]] || fail "as 10001 on a volume of root: $said"
  ok "as 10001 on a volume of root: one line that says what to do"
  docker volume rm "$volume" >/dev/null

  docker run --rm --entrypoint python3 "$image" -c "
import importlib.util, pathlib, sys
other = {'bot': 'watchdog', 'watchdog': 'bot_service'}['$program']
found = [name for name in (other, 'pip', 'setuptools', 'tests') if importlib.util.find_spec(name)]
compilers = [name for name in ('gcc', 'cc', 'make', 'curl') if any(pathlib.Path(folder, name).exists() for folder in ('/usr/bin', '/usr/local/bin'))]
writable = [str(path) for path in pathlib.Path('/app').rglob('*') if path.stat().st_uid == 10001]
sys.exit(f'{found} {compilers} {writable[:3]}' if found or compilers or writable else 0)" || fail "the image holds too much"
  ok "its own package and shared only, no compiler, nothing of it writable"
  # What the image leaves out (docs/decisions/0086) nothing in it may miss.
  docker run --rm --network none --entrypoint python3 "$image" -c "
import io
from rich.console import Console
try:
    1 / 0
except ZeroDivisionError:
    Console(file=io.StringIO(), force_terminal=True).print_exception()
from typer.testing import CliRunner
from shared.tools.cli.commands import app
for command in ('--help', 'status --help', 'sessions --help', 'sessions send --help'):
    assert CliRunner().invoke(app, command.split()).exit_code == 0
assert CliRunner().invoke(app, ['sessions', 'delete', 'x'], input='n\\n').exit_code == 1
assert CliRunner().invoke(app, ['sessions', 'no-such-command']).exit_code == 2
if '$program' == 'bot':
    from bot_service.engines.neonize import native
else:
    import apprise
    told = apprise.Apprise()
    assert told.add('tgram://123456789:abcdefg_hijklmnop/12315544/') and told.add('mailtos://a:b@example.com')
" || fail "something is missing in the image"
  over=$(($(docker image inspect -f '{{.Size}}' "$image") - $(docker image inspect -f '{{.Size}}' "$base" 2>/dev/null || echo 0)))
  if docker image inspect "$base" >/dev/null 2>&1; then
    [ "$over" -le "$((${limit[$program]} * 1000000))" ] || fail "$over bytes over the base, ${limit[$program]} MB at most"
    ok "nothing is missed, $over bytes over the base"
  fi
  docker inspect -f '{{.Config.User}} {{.Config.Healthcheck.Test}}' "$image" | grep -q '^10001:10001 .*http.client' || fail "user or health check"
done
