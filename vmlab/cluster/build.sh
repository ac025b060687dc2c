#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs once, in a root of Debian 12, whose Kubernetes (1.20.2) is the last one that Debian has all sources of: leaves
# control plane, kubelet, kube-proxy, kubectl, etcd and the network plugins in /bede-out/bin, and in /bede-out keys and
# certificates of the cluster.
set -euo pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >/etc/apt/sources.list.d/sources.list
apt-get -qq update
mkdir -p /bede-out/bin /build/fetched
cd /build/fetched
fetch=(apt-get -qq -o APT::Sandbox::User=root)
"${fetch[@]}" source --download-only kubernetes
"${fetch[@]}" download etcd-server containernetworking-plugins
for package in *.deb; do dpkg-deb -x "$package" /build/packages; done
cp /build/packages/usr/bin/etcd /bede-out/bin/
for plugin in loopback host-local ptp; do cp "/build/packages/usr/lib/cni/$plugin" /bede-out/bin/; done

echo "I: unpacking"
export GOPATH=/build/go GOCACHE=/build/cache GO111MODULE=off GOPROXY=off GOFLAGS= CGO_ENABLED=0
export PATH=/usr/lib/go-1.19/bin:$PATH
tree=$GOPATH/src/k8s.io/kubernetes
mkdir -p "$tree"
tar -xzf kubernetes_*.orig.tar.gz -C "$tree" --strip-components=1
cd "$tree"
# reflect2 1.0.1 in vendor/ crashes if Go 1.18 or newer compiled it; Debian's is 1.0.2.
reflect2=github.com/modern-go/reflect2
rm -r "vendor/$reflect2"
cp -r "/usr/share/gocode/src/$reflect2" "vendor/$reflect2"

# Upstream commits all generated files but this one.
echo "I: generating"
go build -o /build/openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
with_api=$(grep -rl '+k8s:openapi-gen=' --include='*.go' pkg staging/src/k8s.io |
    grep -vE '_test.go|code-generator|sample-apiserver|pkg/generated|zz_generated' | xargs -n 1 dirname | sort -u |
    sed 's,^staging/src/,vendor/,; s,^,k8s.io/kubernetes/,' | paste -sd,)
/build/openapi-gen --logtostderr -i "$with_api" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h hack/boilerplate/boilerplate.generatego.txt -r /build/violations 2>/build/openapi.log ||
    { tail -n 20 /build/openapi.log; exit 1; }

version=
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    into=k8s.io/kubernetes/vendor/$package
    version+=" -X $into.gitVersion=v1.20.2 -X $into.gitMajor=1 -X $into.gitMinor=20 -X $into.gitTreeState=clean"
done
programs=()
for program in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do programs+=("./cmd/$program"); done
# -v names each package that is compiled; all other lines are errors.
go build -v -trimpath -ldflags "-s -w$version" -o /bede-out/bin/ "${programs[@]}" 2>&1 |
    awk '/^[a-zA-Z0-9._\/-]+$/ { if (++n % 100 == 0) { print "I: " n " packages compiled"; fflush() } next }
         { print }'

# Pods check the API server's certificate, and the cluster signs others (kubernetes.io/v1 certificates) by the same CA.
cd /bede-out
openssl genrsa -out sa.key 2048 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj /CN=box -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=kube-apiserver -keyout apiserver.key -out apiserver.csr 2>/dev/null
names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost
addresses=IP:10.0.0.1,IP:10.99.0.1,IP:127.0.0.1
openssl x509 -req -days 36500 -in apiserver.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out apiserver.crt \
    -extfile <(echo "subjectAltName=$names,$addresses") 2>/dev/null
rm apiserver.csr ca.srl
echo "I: done"
