#!/usr/bin/env bash
# A throw-away S3 server on loopback: Ceph with one monitor, one object store in memory, and the S3 gateway.
#   ceph-s3.sh start DIR PORT MONITOR_PORT OWNER   starts it; it ends with the process OWNER, if nobody stops it before
#   ceph-s3.sh stop DIR                            stops it and deletes DIR
# Bucket "test", access key "testaccess", secret key "testsecretkey".
set -euo pipefail
dir="$2"
export CEPH_CONF="$dir/ceph.conf"

stop() {
    local name pid
    for name in client.rgw.a osd.0 mon.a; do
        [[ -s "$dir/run/$name.pid" ]] || continue
        pid="$(cat "$dir/run/$name.pid")"
        # Nothing in it is worth an orderly end.
        kill -9 "$pid" 2>/dev/null || true
    done
    rm -rf "${dir:?}"
}

request() {
    curl -sS -f -o /dev/null --aws-sigv4 aws:amz:us-east-1:s3 --user testaccess:testsecretkey \
        -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@"
}

# Tries a command until it succeeds.
wait_for() {
    local _
    for _ in $(seq 300); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "gave up waiting for: $*" >&2
    return 1
}

osd_is_up() { timeout 30 ceph osd stat | grep -q ' 1 up'; }

start() {
    local port="$1" monitor_port="$2" owner="$3"
    mkdir -p "$dir"/{run,log,crash,osd.0}
    cat >"$CEPH_CONF" <<C
[global]
fsid = 0d5f4f66-5f0e-4d2e-9a3b-6b1f6e1a7c01
mon_host = [v2:127.0.0.1:$monitor_port]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
# The gateway's default is 'secure', which needs authentication.
ms_mon_client_mode = crc
setuser_match_path =
admin_socket = $dir/run/\$name.asok
pid_file = $dir/run/\$name.pid
log_file = $dir/log/\$name.log
crash_dir = $dir/crash
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_warn = 2
mon_data_avail_crit = 1
[mon]
mon_data = $dir/mon.\$id
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mon_warn_on_pool_no_redundancy = false
auth_allow_insecure_global_id_reclaim = false
[osd]
osd_data = $dir/osd.\$id
osd_objectstore = memstore
memstore_device_bytes = 4294967296
[client]
rgw_frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw_thread_pool_size = 64
rgw_override_bucket_index_max_shards = 1
rgw_dynamic_resharding = false
C
    monmaptool --create --clobber --fsid 0d5f4f66-5f0e-4d2e-9a3b-6b1f6e1a7c01 \
        --addv a "[v2:127.0.0.1:$monitor_port]" --set-min-mon-release 16 "$dir/monmap" >/dev/null
    ceph-mon --mkfs -i a --monmap "$dir/monmap"
    ceph-mon -i a
    local uuid
    uuid="$(cat /proc/sys/kernel/random/uuid)"
    timeout 30 ceph osd new "$uuid" >/dev/null
    ceph-osd -i 0 --mkfs --osd-uuid "$uuid" >/dev/null 2>&1
    ceph-osd -i 0 >/dev/null 2>&1
    wait_for osd_is_up
    timeout 60 radosgw-admin user create --uid=test --display-name=test \
        --access-key=testaccess --secret-key=testsecretkey >/dev/null 2>&1
    timeout 60 radosgw -n client.rgw.a
    wait_for curl -s -o /dev/null "http://127.0.0.1:$port/"
    request -X PUT "http://127.0.0.1:$port/test"
    # The first object creates the pools that hold the data.
    request -X PUT --data-binary x "http://127.0.0.1:$port/test/.warm"
    request -X DELETE "http://127.0.0.1:$port/test/.warm"
    setsid bash -c "while [[ -d '$dir' ]] && kill -0 $owner; do sleep 1; done; [[ ! -d '$dir' ]] || '${BASH_SOURCE[0]}' stop '$dir'" \
        </dev/null >/dev/null 2>&1 &
}

case "${1:-}" in
start)
    shift 2
    start "$@" || {
        stop
        exit 1
    }
    ;;
stop) stop ;;
*)
    sed -n '2,5p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
