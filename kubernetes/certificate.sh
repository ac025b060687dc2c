#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a certificate for bede-webhook, and prints its Secret:
#
#   sh kubernetes/certificate.sh [NAMESPACE [DIRECTORY]] | kubectl apply -f -
#
# The authority that signs it is in DIRECTORY (./certificate), and is made if it is not there. Each run makes
# a new certificate, for a year: so the same command renews it. Nothing is printed if anything fails.
set -eu
umask 077
namespace=${1:-bede-system}
where=${2:-certificate}
service=bede-webhook.$namespace.svc

mkdir -p "$where"
new=$(mktemp -d "$where/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
if [ ! -e "$where/ca.key" ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=bede -keyout "$new/ca.key" -out "$new/ca.crt" 2>"$new/log" ||
        { cat "$new/log" >&2; exit 1; }
    mv "$new/ca.crt" "$new/ca.key" "$where/"
fi
echo "subjectAltName=DNS:$service" >"$new/names"
{
    openssl req -newkey rsa:2048 -nodes -subj "/CN=bede-webhook" -keyout "$new/tls.key" -out "$new/tls.csr" &&
        openssl x509 -req -days 365 -in "$new/tls.csr" -CA "$where/ca.crt" -CAkey "$where/ca.key" -CAcreateserial \
            -extfile "$new/names" -out "$new/tls.crt"
} 2>"$new/log" || { cat "$new/log" >&2; exit 1; }
kubectl create secret generic bede-webhook -n "$namespace" --dry-run=client -o yaml \
    --from-file="$where/ca.crt" --from-file="$new/tls.crt" --from-file="$new/tls.key"
