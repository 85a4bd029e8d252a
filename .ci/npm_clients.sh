#!/bin/sh
# Fetches the packages of npm that tests run as clients: .ci/npm_clients.sh LOCK FOLDER. Nothing of them is executed here.
set -eu
lock=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder"
while read -r name version hash; do
  npm pack --silent --pack-destination "$folder" "$name@$version" > /dev/null
  echo "$hash  $folder/$name-$version.tgz" | sha512sum --check --quiet
  mkdir "$folder/$name"
  tar -xzf "$folder/$name-$version.tgz" -C "$folder/$name" --strip-components=1
done < "$lock"
