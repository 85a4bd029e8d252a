#!/bin/bash
# Starts a Docker engine for the tests of this project, on a Debian machine that has none, without an image registry.
#   .ci/docker-engine.sh start DIR   starts it, with a replacement for the Dockerfiles' BASE_IMAGE: Debian's own Python;
#                                    then `. DIR/env` makes docker and docker compose use it
#   .ci/docker-engine.sh stop DIR    removes its containers, ends it and deletes DIR
# Everything is in DIR, apart from four Debian packages. It does not change the firewall or ip_forward and creates no bridge:
# containers of one compose project reach each other, the machine reaches their published ports, and nothing reaches outside. Builds need `--network host` (BUILD_NETWORK=host).
set -euo pipefail
verb=${1:?start or stop} dir=$(realpath -m "${2:?a folder for the engine}")
project=$(realpath "$(dirname "$0")/..")
# The compose file needs engine 26, compose 2.26 and buildx of this release. They run on older releases too.
release=trixie
from_the_machine=(containerd runc iptables mmdebstrap)
from_the_release=(docker.io docker-cli docker-compose docker-buildx tini)

say() { printf 'docker-engine: %s\n' "$1" >&2; }
# shellcheck source=/dev/null
use() { . "$dir/env"; }
answers() { docker info >/dev/null 2>&1; }

refuse_elsewhere() {
  [ "$(id -u)" = 0 ] || { say "only root can start one"; exit 3; }
  grep -qx 'ID=debian' /etc/os-release 2>/dev/null || { say "made for Debian only"; exit 3; }
}

# The Debian mirror of this machine.
# shellcheck disable=SC2016
mirror() {
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -1 | grep .
}

install_what_the_machine_lacks() {
  local missing=() package policy=/usr/sbin/policy-rc.d made='' status=0
  for package in "${from_the_machine[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  # Installed but not started: no service of the machine may run.
  [ -e "$policy" ] || { made=yes; printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod 0755 "$policy"; }
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || status=$?
  [ -z "$made" ] || rm -f "$policy"
  return "$status"
}

# The engine's packages are unpacked beside the machine's, not installed: an existing engine stays unchanged.
unpack_engine() {
  local apt=$dir/apt package
  mkdir -p "$apt"/{lists,cache}/partial "$apt"/{debs,parts} "$dir/root"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$(mirror)" "$release" > "$apt/sources.list"
  local options=(-qq -o "Dir::Etc::SourceList=$apt/sources.list" -o "Dir::Etc::SourceParts=$apt/parts" -o "Dir::State::Lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o "Dir::Cache::Archives=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none)
  apt-get "${options[@]}" update
  (cd "$apt/debs" && apt-get "${options[@]}" download "${from_the_release[@]}")
  for package in "$apt"/debs/*.deb; do dpkg-deb -x "$package" "$dir/root"; done
  rm -rf "$apt"
}

write_env() {
  local root=$dir/root
  mkdir -p "$dir/config/cli-plugins"
  ln -sfn "$root"/usr/libexec/docker/cli-plugins/* "$dir/config/cli-plugins/"
  [ -e "$root/usr/bin/docker-init" ] || ln -s tini "$root/usr/bin/docker-init"
  cat > "$dir/env" <<ENV
export DOCKER_HOST=unix://$dir/docker.sock DOCKER_CONFIG=$dir/config BUILD_NETWORK=host
export PATH=$root/usr/bin:$root/usr/sbin:/usr/local/sbin:/usr/sbin:/sbin:\$PATH
ENV
}

run_engine() {
  if answers; then say "it runs already"; return; fi
  setsid dockerd --host "$DOCKER_HOST" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/engine.pid" \
    --bridge=none --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false > "$dir/engine.log" 2>&1 < /dev/null &
  local engine=$! tries
  for ((tries = 0; tries < 500; tries++)); do
    if answers; then
      docker version --format 'docker-engine: engine {{.Server.Version}}, client {{.Client.Version}}' >&2
      return
    fi
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.2
  done
  say "it does not start:"
  tail -5 "$dir/engine.log" >&2
  return 1
}

certificates=/etc/ssl/certs/ca-certificates.crt

# The package index and the mirror may need certificates that only this machine has, so the base image contains its bundle:
# images built on this base are only for tests on this machine.
make_base() {
  local options=(--quiet --mode=root --variant=minbase --customize-hook="upload $certificates $certificates") folder
  for folder in doc locale man; do options+=("--dpkgopt=path-exclude=/usr/share/$folder/*"); done
  mmdebstrap "${options[@]}" --include=ca-certificates,python3-pip,python3-venv,tzdata "$release" "$dir/base.tar" "$(mirror)"
}

start() {
  refuse_elsewhere
  mkdir -p "$dir"
  install_what_the_machine_lacks
  local image base=''
  image=$(sed -n 's/^ARG BASE_IMAGE=//p' "$project/Dockerfile.bot")
  [ -e "$dir/base.is-in" ] || {
    # This and the engine both wait for the mirror, so they run at the same time.
    make_base &
    base=$!
    # shellcheck disable=SC2064
    trap "kill $base 2>/dev/null || true" EXIT
  }
  [ -x "$dir/root/usr/sbin/dockerd" ] || unpack_engine
  write_env
  use
  run_engine
  [ -n "$base" ] || return 0
  wait "$base" || { say "no base image could be made"; return 1; }
  docker import --change 'ENV LANG=C.UTF-8' --change "ENV PIP_CERT=$certificates" --change 'CMD ["python3"]' "$dir/base.tar" "$image" >/dev/null
  rm "$dir/base.tar"
  touch "$dir/base.is-in"
  docker image inspect --format "docker-engine: stand-in for $image, {{.Size}} bytes" "$image" >&2
}

stop() {
  [ -e "$dir/env" ] || { rm -rf "$dir"; return; }
  use
  local pid tries mounted
  if answers; then
    docker ps -aq | xargs -r docker rm -f >/dev/null || true
    docker network prune -f >/dev/null || true
  fi
  pid=$(cat "$dir/engine.pid" 2>/dev/null || true)
  if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then
    for ((tries = 0; tries < 100; tries++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    ! kill -0 "$pid" 2>/dev/null || { say "process $pid does not end"; return 1; }
  fi
  # Deepest first: nothing below DIR may be mounted when it is deleted.
  awk -v top="$dir/" 'index($2, top) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do umount "$mounted"; done
  rm -rf "$dir"
}

case $verb in
  start | stop) "$verb" ;;
  *) say "start or stop, not $verb"; exit 2 ;;
esac
