#!/usr/bin/env bash
# The demo's intelligence sources: starts the servers that are installed, fills them, and publishes the data set and the
# declaration of those that are there.
#   scripts/demo-sources.sh start | stop
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
STATE="$ROOT/.demo"
EXAMPLES=examples/sources
declaration="$STATE/sources.toml"

free_port() { "$VENV/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# up SERVER FOLDER: starts it if it is installed; PORT is set. Says why when it is left out.
up() {
    local server=$1 folder=$2 reason
    PORT=$([ -f "$folder/port" ] && cat "$folder/port" || free_port)
    if reason=$(scripts/servers.sh start "$server" "$folder" "$PORT" 2>&1); then
        echo "$PORT" >"$folder/port"
        return 0
    fi
    say "left out: $reason"
    return 1
}

# point SOURCE FROM TO: the source is asked at TO.
point() { sed -i "s|$2|$3|" "$declaration"; say "source $1: 127.0.0.1:${3##*:}"; }
leave_out() { sed -i "s|^\[sources\.$1\]\$|&\nenabled = false|" "$declaration"; }

start() {
    mkdir -p "$STATE"
    cp "$EXAMPLES/sources.toml" "$declaration"
    if up mariadb "$STATE/mariadb"; then
        mariadb --no-defaults --host=127.0.0.1 --port="$PORT" --user=root --ssl=0 <"$EXAMPLES/sightings.sql"
        point sightings 127.0.0.1:3306 "127.0.0.1:$PORT"
    else
        leave_out sightings
    fi
    if up mongodb "$STATE/mongodb"; then
        "$VENV/bin/python" scripts/load_cases.py "mongodb://127.0.0.1:$PORT/?directConnection=true" "$EXAMPLES/cases.jsonl"
        point cases 127.0.0.1:27017 "127.0.0.1:$PORT"
    else
        leave_out cases
    fi
    "$STATE/tribunal" dataset build "$EXAMPLES/reports.csv" --key domain --output "$STATE/reports.tds"
    "$STATE/tribunal" dataset publish "$STATE/reports.tds" --name reports
    "$STATE/tribunal" sources publish "$declaration"
}

stop() {
    scripts/servers.sh stop "$STATE/mariadb"
    scripts/servers.sh stop "$STATE/mongodb"
}

case "${1:-}" in
start | stop) "$1" ;;
*) die "usage: scripts/demo-sources.sh start | stop" ;;
esac
