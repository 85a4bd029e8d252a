#!/bin/sh
# Brings the translators' files (messages.po) of every language in step with the texts of the code and compiles them (messages.mo).
# With --check it changes nothing and fails where a file is out of step. With a language (es, pt_BR) it first makes the files of that one.
# Run it by `make translations` and `make lint`; docs/translating.md says how.
set -eu
pybabel=${PYBABEL:-pybabel}
template=$(mktemp)
trap 'rm -f "$template"' EXIT
check='' new=''
case ${1:-} in --check) check=--check ;; *) new=${1:-} ;; esac

for pair in bot_service:bot_service/dashboard watchdog:watchdog/status shared:shared/web/ui; do
    source=${pair%%:*} locale=${pair#*:}/locale
    "$pybabel" -q extract -F pyproject.toml -k t -k many:2,3 -c translators: --strip-comments --project=Veilleur \
        --add-location=file --sort-by-file --no-wrap -o "$template" "$source"
    if [ -n "$new" ] && [ ! -e "$locale/$new/LC_MESSAGES/messages.po" ]; then
        "$pybabel" -q init --no-wrap -i "$template" -d "$locale" -l "$new"
    fi
    # shellcheck disable=SC2086  # nothing, or one word
    "$pybabel" -q update -N --no-wrap --ignore-obsolete --ignore-pot-creation-date $check -i "$template" -d "$locale"
    [ -n "$check" ] || "$pybabel" -q compile -d "$locale"
done
