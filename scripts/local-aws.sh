#!/usr/bin/env bash
# The local AWS of the demo: ministack, on loopback only.
#   scripts/local-aws.sh start | stop | status
# Its address is in .demo/endpoint, its log in .demo/ministack.log; nothing survives a stop.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
STATE="$ROOT/.demo"

healthy() { [ -f "$STATE/endpoint" ] && curl_ok "$(cat "$STATE/endpoint")/_ministack/health"; }
curl_ok() { "$VENV/bin/python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' "$1" 2>/dev/null; }
running() { [ -f "$STATE/pid" ] && kill -0 "$(cat "$STATE/pid")" 2>/dev/null; }
free_port() {
    "$VENV/bin/python" - "${TRIBUNAL_PORT:-4566}" <<'PY'
import socket, sys
for port in (int(sys.argv[1]), 0):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(s.getsockname()[1])
        break
PY
}

start() {
    if running && healthy; then say "already running at $(cat "$STATE/endpoint")"; return; fi
    stop >/dev/null
    mkdir -p "$STATE"
    local port; port=$(free_port)
    # ministack hands AWS_ENDPOINT_URL on to the functions: without it they would call AWS itself.
    GATEWAY_PORT=$port BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 AWS_ENDPOINT_URL="http://127.0.0.1:$port" \
        setsid "$VENV/bin/ministack" >"$STATE/ministack.log" 2>&1 </dev/null &
    echo $! >"$STATE/pid"
    echo "http://127.0.0.1:$port" >"$STATE/endpoint"
    local tries
    for tries in $(seq 1 120); do
        if healthy; then say "running at http://127.0.0.1:$port (log: .demo/ministack.log)"; return; fi
        running || break
        sleep 0.5
    done
    tail -n 20 "$STATE/ministack.log" >&2
    die "ministack did not come up at 127.0.0.1:$port; its log is above"
}

stop() {
    if running; then
        kill -- -"$(cat "$STATE/pid")" 2>/dev/null || kill "$(cat "$STATE/pid")" 2>/dev/null || true
        say "stopped"
    else
        say "not running"
    fi
    rm -f "$STATE/pid" "$STATE/endpoint"
}

case "${1:-}" in
start) start ;;
stop) stop ;;
status) if running && healthy; then say "running at $(cat "$STATE/endpoint")"; else say "not running"; exit 1; fi ;;
*) die "usage: scripts/local-aws.sh start | stop | status" ;;
esac
