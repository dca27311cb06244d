#!/bin/sh
# Installs the Debian packages that a purpose needs and that are missing: setup.sh PURPOSE...
# Purposes: build members demo test programs fuzz lint. Silent and quick when nothing is missing. Offline, or
# without root, it says exactly what to install. No daemon is started, now or at the next boot.
set -eu

# package, and after a colon a program that does instead where the package is not installed.
build='gcc:cc libc6-dev make:make'
members='perl pkg-config:pkg-config libsqlite3-dev libclang-dev'
demo='softhsm2:softhsm2-util opensc:pkcs11-tool openssl:openssl'
opendnssec='opendnssec-enforcer-sqlite3:ods-enforcerd opendnssec-signer:ods-signerd
    libhsm-bin:ods-hsmutil sqlite3:sqlite3 ldnsutils:ldns-verify-zone
    bind9-dnsutils:dig bind9-utils:dnssec-verify iproute2:ip'
remote='p11-kit:p11-kit p11-kit-modules'
programs='gnutls-bin:p11tool libengine-pkcs11-openssl openssh-client:ssh-keygen openssh-server
    openjdk-17-jdk-headless:jarsigner python3:python3 python3-venv'
memory='valgrind:valgrind'
# Other projects' own tests, and a third vendor's module to judge.
suites='golang-go:go golang-github-miekg-pkcs11-dev libnss3 libnss3-tools:certutil'
headers='libp11-kit-dev'
fuzz='g++:c++'
lint='shellcheck:shellcheck'

wanted=
for purpose in "$@"; do
    case $purpose in
    build) wanted="$wanted $build" ;;
    members) wanted="$wanted $build $members" ;;
    demo) wanted="$wanted $build $members $demo" ;;
    test) wanted="$wanted $build $members $demo $opendnssec $remote $programs $memory $headers" ;;
    programs) wanted="$wanted $suites" ;;
    fuzz) wanted="$wanted $build $fuzz" ;;
    lint) wanted="$wanted $lint" ;;
    *) echo "setup.sh: no such purpose: $purpose (build members demo test programs fuzz lint)" >&2; exit 2 ;;
    esac
done

if ! command -v cargo > /dev/null; then
    echo "setup.sh: Rust is missing: install cargo and rustc, for instance with rustup" >&2
    exit 1
fi

installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2> /dev/null |
    sed -n 's/^installed //p' | tr '\n' ' ') "
missing=
for entry in $wanted; do
    package=${entry%%:*}
    program=${entry#"$package"}
    case "$installed $missing " in *" $package "*) continue ;; esac
    # /usr/sbin is not on every user's path
    if [ -n "$program" ] && PATH=$PATH:/usr/sbin:/sbin command -v "${program#:}" > /dev/null; then
        continue
    fi
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "setup.sh: these Debian packages are missing; as root, run" >&2
    echo "  apt-get update && $install" >&2
    exit 1
fi

# Some of these packages bring daemons; a policy of "no" is Debian's own way to leave them stopped.
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
made_policy=
trap '[ -z "$made_policy" ] || rm -f "$policy"; rm -f "$log"' EXIT
trap 'exit 130' INT TERM
if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi

echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=2 "$@" < /dev/null >> "$log" 2>&1; }
# A fresh machine has no package lists, an old one stale ones: ask for new lists only when needed.
# shellcheck disable=SC2086 # one word a package
if ! apt install -y --no-install-recommends $missing; then
    apt update || true
    if ! apt install -y --no-install-recommends $missing; then
        tail -n 20 "$log" >&2
        echo "setup.sh: the packages could not be installed (offline?); as root, run" >&2
        echo "  apt-get update && $install" >&2
        exit 1
    fi
fi
for service in ssh opendnssec-enforcer opendnssec-signer; do
    case "$missing " in
    *" openssh-server "* | *" opendnssec-signer "*)
        systemctl disable "$service" > /dev/null 2>&1 || true ;;
    esac
done
