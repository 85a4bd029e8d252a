#!/bin/sh
# Brings the translators' files (messages.po) in step with the texts of the code and compiles them (messages.mo).
# With --check it changes nothing and fails where a file is out of step. Run it by `make translations` and `make lint`.
set -eu
pybabel=${PYBABEL:-pybabel}
template=$(mktemp)
trap 'rm -f "$template"' EXIT

for pair in bot_service:bot_service/dashboard watchdog:watchdog/status shared:shared/web/ui; do
    source=${pair%%:*} locale=${pair#*:}/locale
    "$pybabel" -q extract -F pyproject.toml -k t -k many:2,3 --add-location=file --sort-by-file --no-wrap -o "$template" "$source"
    "$pybabel" -q update -N --no-wrap --ignore-obsolete --ignore-pot-creation-date "$@" -i "$template" -d "$locale"
    [ "$*" = --check ] || "$pybabel" -q compile -d "$locale"
done
