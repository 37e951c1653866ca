#!/bin/sh
# Installs what ceph-s3.sh needs (Ceph's monitor, object store and S3 gateway) from Debian's or Ubuntu's own packages. Starts no service.
set -eu
have_all() {
    for program in ceph ceph-mon ceph-osd monmaptool radosgw radosgw-admin curl; do
        command -v "$program" >/dev/null 2>&1 || return 1
    done
}
install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ceph-mon ceph-osd ceph-common radosgw curl
}
have_all && exit 0
install || { apt-get update && install; }
have_all
