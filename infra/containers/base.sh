#!/bin/sh
# Makes the base of all images where no hub answers: Debian with Python, from Debian's own packages.
# It has this machine's certificates, so that pip works behind the same proxy. As root: sh infra/containers/base.sh NAME
set -eu
name=${1:?usage: sh infra/containers/base.sh NAME}
certificates=/etc/ssl/certs/ca-certificates.crt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python-is-python3 bookworm "$folder"
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
cp "$certificates" "$folder$certificates"
tar -C "$folder" -c . | docker import \
  --change "ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_CERT=$certificates REQUESTS_CA_BUNDLE=$certificates" \
  - "$name"
