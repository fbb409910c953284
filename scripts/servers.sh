#!/usr/bin/env bash
# Private database servers for the tests and the demo, on loopback, each in a folder of its own.
#   scripts/servers.sh start mariadb|mongodb FOLDER PORT [TLS_PORT]   in the background, until it is stopped
#   scripts/servers.sh stop FOLDER                                     whichever runs there
#   scripts/servers.sh run mariadb|mongodb PORT [TLS_PORT]             in the foreground, in a folder that it removes:
#       says `ready FOLDER` when it answers, takes the lines `kill` (SIGKILL) and `start` (again, on the same port),
#       and ends with its input: with the process that holds the other end, however that ended
#   scripts/servers.sh check mariadb|mongodb                           whether it can be started; builds what it needs
# MariaDB encrypts on its one port; the MongoDB-protocol server on TLS_PORT. FOLDER/tls/ca.pem is who signed.
# User `root` without password (MariaDB); no users (MongoDB protocol).
# Exit: 3 when the server is not installed, with what to do.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
MONGODB="$ROOT/.tools/bin/mongodb-for-tests"
WAIT_S=60

missing() { printf '%s\n' "$*" >&2; exit 3; }

# The Go compiler, wherever its installer puts it.
go_command() { command -v go || { [ -x /usr/local/go/bin/go ] && echo /usr/local/go/bin/go; }; }

build_mongodb() {
    local stamp="$MONGODB.stamp" go
    local sources=(tests/mongodb/go.mod tests/mongodb/go.sum tests/mongodb/main.go)
    if [ -x "$MONGODB" ] && stamp_is_fresh "$stamp" "${sources[@]}"; then return; fi
    go=$(go_command) || missing "no MongoDB-protocol server: building FerretDB needs Go 1.24 or newer (https://go.dev/dl)." \
        "Or name a server of your own in TRIBUNAL_TEST_MONGODB_URL (mongodb://host:port/?directConnection=true)."
    echo "building FerretDB for the tests into .tools (minutes, once)" >&2
    mkdir -p "$(dirname "$MONGODB")"
    "$go" build -C tests/mongodb -trimpath -ldflags '-s -w' -o "$MONGODB.new" . >&2 ||
        missing "FerretDB cannot be built. Or name a server of your own in TRIBUNAL_TEST_MONGODB_URL."
    mv "$MONGODB.new" "$MONGODB"
    stamp_write "$stamp" "${sources[@]}"
}

check() {
    case $1 in
    mariadb)
        if ! command -v mariadbd >/dev/null || ! command -v mariadb-install-db >/dev/null; then
            missing "MariaDB is not installed. Debian, Ubuntu: apt-get install --no-install-recommends mariadb-server." \
                "Or name a MariaDB server of your own in TRIBUNAL_TEST_MYSQL_URL (mysql://user:password@host:port/)."
        fi ;;
    # Two test binaries may come here at once.
    mongodb)
        mkdir -p "$ROOT/.tools"
        (if command -v flock >/dev/null; then flock 9; fi; build_mongodb) 9>"$ROOT/.tools/mongodb.lock" ;;
    *) die "no server '$1': mariadb or mongodb" ;;
    esac
}

# FOLDER/tls: an authority, and a certificate of it for 127.0.0.1 and localhost.
make_certificates() {
    local tls=$1/tls curve=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    [ -f "$tls/ca.pem" ] && return
    command -v openssl >/dev/null || missing "openssl is not installed. Debian, Ubuntu: apt-get install openssl"
    mkdir -p "$tls"
    openssl req -x509 "${curve[@]}" -keyout "$tls/ca.key" -out "$tls/ca.pem" -days 30 -subj "/CN=tests" \
        -addext "keyUsage=critical,keyCertSign" 2>/dev/null
    openssl req "${curve[@]}" -keyout "$tls/server.key" -out "$tls/server.csr" -subj "/CN=localhost" 2>/dev/null
    printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n' >"$tls/server.ext"
    openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 30 \
        -extfile "$tls/server.ext" -out "$tls/server.pem" 2>/dev/null
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# launch SERVER FOLDER PORT TLS_PORT: starts it in the background and sets PID when it answers.
launch() {
    local server=$1 folder=$2 port=$3 tls_port=${4:-} user taken
    user=$(id -un)
    for taken in $port $tls_port; do
        if answers "$taken"; then die "port $taken is taken: by what answers there, which is not ours"; fi
    done
    mkdir -p "$folder/data"
    make_certificates "$folder"
    case $server in
    mariadb)
        if [ ! -d "$folder/data/mysql" ]; then
            mariadb-install-db --no-defaults --datadir="$folder/data" --auth-root-authentication-method=normal \
                --skip-test-db --user="$user" >"$folder/install.log" 2>&1 ||
                { cat "$folder/install.log" >&2; die "MariaDB's data folder cannot be made"; }
        fi
        # The socket's path is relative to the data folder: a long one would be refused.
        mariadbd --no-defaults --datadir="$folder/data" --socket=s.sock --pid-file=server.pid --port="$port" \
            --bind-address=127.0.0.1 --user="$user" --skip-name-resolve --innodb-buffer-pool-size=32M \
            --innodb-flush-log-at-trx-commit=2 --performance-schema=OFF \
            --ssl-ca="$folder/tls/ca.pem" --ssl-cert="$folder/tls/server.pem" --ssl-key="$folder/tls/server.key" \
            >>"$folder/server.log" 2>&1 </dev/null & ;;
    mongodb)
        "$MONGODB" "$folder/data" "$port" ${tls_port:+"$tls_port" "$folder/tls/server.pem" "$folder/tls/server.key"} \
            >>"$folder/server.log" 2>&1 </dev/null & ;;
    esac
    PID=$!
    await_answer "$folder" "$port" "$tls_port"
}

await_answer() {
    local folder=$1 port deadline=$((SECONDS + WAIT_S))
    for port in $2 $3; do
        until answers "$port"; do
            kill -0 "$PID" 2>/dev/null || { tail -n 20 "$folder/server.log" >&2; die "the server ended while it started"; }
            [ $SECONDS -lt $deadline ] || { kill -KILL "$PID"; die "the server did not answer within $WAIT_S s"; }
            sleep 0.05
        done
    done
}

start() {
    local server=$1 folder=$2
    check "$server"
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)
    if [ -f "$folder/pid" ] && kill -0 "$(cat "$folder/pid")" 2>/dev/null; then say "already up: $folder"; return; fi
    launch "$server" "$folder" "${@:3}"
    echo "$PID" >"$folder/pid"
    disown "$PID"
}

stop() {
    local pid deadline=$((SECONDS + WAIT_S))
    [ -f "$1/pid" ] || return 0
    pid=$(cat "$1/pid")
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.05
    done
    rm -f "$1/pid"
}

kill_now() {
    [ -n "${PID:-}" ] || return 0
    kill -KILL "$PID" 2>/dev/null || true
    wait "$PID" 2>/dev/null || true
    PID=''
}

run() {
    local server=$1 line
    check "$server"
    FOLDER=$(mktemp -d)
    trap 'kill_now; rm -rf "$FOLDER"' EXIT
    launch "$server" "$FOLDER" "${@:2}"
    echo "ready $FOLDER"
    while read -r line; do
        case $line in
        kill) kill_now; echo killed ;;
        start) launch "$server" "$FOLDER" "${@:2}"; echo "ready $FOLDER" ;;
        esac
    done
}

case "${1:-} $#" in
"start "[4-5] | "stop 2" | "run "[3-4] | "check 2") "$@" ;;
*) die "usage: see the head of scripts/servers.sh" ;;
esac
