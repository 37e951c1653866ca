#!/usr/bin/env bash
# A private PostgreSQL 15 for tests: loopback only, commits synchronously, user "postgres" with the password in PGPASSWORD.
#   PG_DIR=<directory> PG_PORT=<port> PGPASSWORD=<password> postgres.sh install|start|stop|restart|crash|wipe
# install needs no variables. crash is a restart that gives the server no time to shut down. wipe also stops it.
set -euo pipefail
binaries=/usr/lib/postgresql/15/bin

as_root() {
    if [[ "$(id -u)" == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

# The server refuses to run as root.
as_postgres() {
    if [[ "$(id -u)" == 0 ]]; then
        setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$PG_DIR" "$@"
    else
        "$@"
    fi
}

install() {
    [[ -x $binaries/initdb ]] && return 0
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    as_root "${apt[@]}" install -y --no-install-recommends postgresql-15 && return 0
    as_root "${apt[@]}" update && as_root "${apt[@]}" install -y --no-install-recommends postgresql-15 && return 0
    echo "PostgreSQL 15 is needed by the tests of the PostgreSQL store and could not be installed: install it with its programs in $binaries" >&2
    return 1
}

control() {
    as_postgres "$binaries/pg_ctl" -D "$PG_DIR/data" -w -t 60 "$@" >/dev/null
}

start() {
    install
    mkdir -p "$PG_DIR"
    if [[ ! -e $PG_DIR/data/PG_VERSION ]]; then
        (umask 077 && printf '%s\n' "$PGPASSWORD" >"$PG_DIR/password")
        [[ "$(id -u)" != 0 ]] || chown -R postgres: "$PG_DIR"
        as_postgres "$binaries/initdb" -D "$PG_DIR/data" -A scram-sha-256 --pwfile="$PG_DIR/password" -U postgres -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
        cat >>"$PG_DIR/data/postgresql.conf" <<SETTINGS
listen_addresses = '127.0.0.1'
unix_socket_directories = '$PG_DIR'
max_connections = 300
synchronous_commit = on
fsync = on
SETTINGS
    fi
    control -l "$PG_DIR/log" -o "-p $PG_PORT" start
}

cd /
case "${1:-}" in
install) install ;;
start) start ;;
stop) control -m fast stop ;;
restart) control -m fast -l "$PG_DIR/log" restart ;;
crash) control -m immediate -l "$PG_DIR/log" restart ;;
wipe)
    control -m immediate stop || true
    rm -rf "${PG_DIR:?}"
    ;;
*)
    sed -n '2,4s/^# \?//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
